#include "config/reference.h"

#include <fmt/ranges.h>

#include "config/emit.h"
#include "config/field_value.h"
#include "config/registry.h"

namespace athanor {
namespace {

std::string type_name(FieldType type) {
  switch (type) {
    case FieldType::boolean:
      return "true or false";
    case FieldType::integer:
      return "integer";
    case FieldType::real:
      return "number";
    case FieldType::text:
      return "text";
    case FieldType::integers:
      return "list of integers";
    case FieldType::reals:
      return "list of numbers";
    case FieldType::texts:
      return "list of texts";
    case FieldType::layers:
      return "list of layers";
  }
  return "";
}

std::string allowed_text(const Field& field) {
  std::string allowed = range_text(field);
  const auto append = [&](const std::string& text) { allowed += (allowed.empty() ? "" : "; ") + text; };
  if (!field.choices.empty()) append(fmt::format("`{}`", fmt::join(field.choices, "`, `")));
  if (!field.lengths.empty()) append(fmt::format("{} values", fmt::join(field.lengths, " or ")));
  return allowed;
}

std::string default_text(const Field& field) {
  if (field.type == FieldType::layers) return field.must_hold_layers ? "required" : "none";
  if (!field.default_value) return "required";
  return fmt::format("`{}`", emit_line(to_node(*field.default_value)));
}

/// A bar would end the cell.
std::string cell(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

}  // namespace

std::string markdown_reference(const Schema& schema, int level) {
  std::string out = fmt::format("{} `{}`\n\n", std::string(static_cast<std::size_t>(level), '#'), schema.name);
  if (!schema.doc.empty()) out += schema.doc + "\n\n";
  if (!schema.shorthand.empty())
    out += fmt::format("Short form: `{0}: X` sets `{1}`.\n\n", schema.name, schema.shorthand);
  if (schema.fields.empty()) return out + "No keys.\n\n";
  out += "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n";
  for (const Field& field : schema.fields) {
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", field.name, type_name(field.type), cell(default_text(field)),
                       cell(allowed_text(field)), cell(field.doc));
  }
  return out + "\n";
}

std::string markdown_reference(std::string_view kind, int level) {
  std::string out;
  for (const Schema* schema : schemas_of(kind)) out += markdown_reference(*schema, level);
  return out;
}

}  // namespace athanor
