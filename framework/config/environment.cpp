#include "config/environment.h"

#include <cctype>
#include <cstdlib>
#include <optional>

#include "config/text_checks.h"

namespace athanor {
namespace {

constexpr const char* kDataVariable = "ATHANOR_DATA";

bool is_variable_name(std::string_view name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name.front()))) return false;
  for (const char c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  }
  return true;
}

/// The variable; an empty ATHANOR_DATA counts as none.
std::optional<std::string> environment_value(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || (name == kDataVariable && *value == '\0')) return std::nullopt;
  return value;
}

}  // namespace

std::string expand_environment(const YamlNode& scalar, std::string_view path, Problems& problems) {
  const std::string_view text = scalar.text;
  std::string result;
  std::size_t at = 0;
  for (std::size_t open = text.find("${"); open != std::string_view::npos; open = text.find("${", at)) {
    result += text.substr(at, open - at);
    const std::size_t close = text.find('}', open);
    const std::string name(close == std::string_view::npos ? "" : text.substr(open + 2, close - open - 2));
    if (!is_variable_name(name)) {
      problems.add(scalar.place, path, "'${' without a variable's name and '}' after it; write ${NAME}");
      return std::string(text);
    }
    at = close + 1;
    const std::optional<std::string> value = environment_value(name);
    if (!value && name != kDataVariable) {
      problems.add(scalar.place, path,
                   fmt::format("the environment variable {} is not set; set it: export {}=…", name, name));
    } else if (value && find_invalid_utf8(*value) != std::string_view::npos) {
      problems.add(scalar.place, path, fmt::format("the environment variable {} does not hold UTF-8 text", name));
    }
    result += value ? *value : fmt::format("${{{}}}", name);
  }
  result += text.substr(at);
  return result;
}

}  // namespace athanor
