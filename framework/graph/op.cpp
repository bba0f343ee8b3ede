#include "graph/op.h"

#include <map>

namespace athanor {
namespace {

std::map<std::string, OpDef, std::less<>>& ops_by_name() {
  static std::map<std::string, OpDef, std::less<>> ops;
  return ops;
}

}  // namespace

RegisterOp::RegisterOp(OpDef op) {
  const std::string name = op.name;
  ATHANOR_CHECK(ops_by_name().emplace(name, std::move(op)).second, "op '{}' is registered twice", name);
}

const OpDef& op_named(std::string_view name) {
  const auto found = ops_by_name().find(name);
  ATHANOR_CHECK(found != ops_by_name().end(), "no op '{}'", name);
  return found->second;
}

std::vector<const OpDef*> registered_ops() {
  std::vector<const OpDef*> ops;
  for (const auto& [name, op] : ops_by_name()) ops.push_back(&op);
  return ops;
}

}  // namespace athanor
