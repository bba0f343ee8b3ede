#include "data/data_path.h"

#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/tilde.h"

namespace athanor {
namespace {

constexpr std::string_view kVariable = "${ATHANOR_DATA}";
constexpr const char* kFallback = "../shared/data";

}  // namespace

std::filesystem::path resolve_data_path(std::string_view path) {
  const std::size_t at = path.find(kVariable);
  if (at == std::string_view::npos) return path;
  const char* set = std::getenv("ATHANOR_DATA");
  std::string root = set == nullptr ? "" : set;
  if (root.empty()) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(kFallback, ignored)) {
      std::string_view folder = path.substr(at + kVariable.size());
      while (folder.starts_with('/')) folder.remove_prefix(1);
      throw DataError(
          "cannot find the data: ATHANOR_DATA is not set and {} is not a folder; set ATHANOR_DATA to the folder that "
          "'{}' lies in, or give data.path",
          kFallback, folder);
    }
    root = kFallback;
  }
  return std::string(path.substr(0, at)) + root + std::string(path.substr(at + kVariable.size()));
}

std::string where_to_look(std::string_view path) {
  const std::string advice = "; set data.path or ATHANOR_DATA to where it is";
  if (path.starts_with('~')) return tilde_hint(path);
  const char* set = std::getenv("ATHANOR_DATA");
  if (set == nullptr || *set == '\0' || !path.starts_with(set)) return advice;
  std::error_code ignored;
  const bool is_folder = std::filesystem::is_directory(set, ignored);
  return fmt::format("; ATHANOR_DATA is '{}'{}{}", set, is_folder ? "" : ", which is no folder", advice);
}

}  // namespace athanor
