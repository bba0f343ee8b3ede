#include "train/cut_metrics.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/atomic_file.h"
#include "base/error.h"

namespace athanor {
namespace {

bool is_of_step(const std::string& line, std::int64_t most) {
  const nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) return false;
  const auto step = object.find("step");
  return step != object.end() && step->is_number_integer() && step->get<std::int64_t>() <= most;
}

}  // namespace

void cut_metrics(const std::filesystem::path& file, std::int64_t step) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return;
  std::ifstream in(file, std::ios::binary);
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    if (is_of_step(line, step)) kept += line + '\n';
  }
  if (in.bad()) throw StorageError("cannot read {}; may this user read it?", file.string());
  write_atomically(file, kept);
}

}  // namespace athanor
