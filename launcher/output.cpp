#include "launcher/output.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/print.h"

namespace athanor {
namespace {

bool is_promised = false, is_printed = false, is_reported = false;

}  // namespace

void print_json(const std::string& object) {
  is_printed = true;
  print_or_lose(stdout, "{}\n", object);
}

void promise_json() {
  is_promised = true;
}

void report_failure(const Failure& failure) {
  if (std::exchange(is_reported, true)) return;
  print_or_lose(stderr, "athanor: {}\n", failure.message);
  if (is_printed || !is_promised) return;
  const nlohmann::ordered_json json{
      {"status", "failed"}, {"error", failure.message}, {"exit_code", static_cast<int>(failure.code)}};
  // A message may quote a file name that is no UTF-8.
  print_json(json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  std::fflush(stdout);
}

}  // namespace athanor
