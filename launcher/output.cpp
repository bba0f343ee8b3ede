#include "launcher/output.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace athanor {
namespace {

bool is_printed = false;

}  // namespace

void print_json(const std::string& object) {
  is_printed = true;
  fmt::print("{}\n", object);
}

void print_json_of_failure(const std::string& message, ExitCode code) {
  if (is_printed) return;
  const nlohmann::ordered_json json{{"status", "failed"}, {"error", message}, {"exit_code", static_cast<int>(code)}};
  // A message may quote a file name that is no UTF-8.
  print_json(json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace athanor
