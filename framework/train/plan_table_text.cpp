// The tables of `athanor plan` as text: the layers within the width of a terminal, the steps in full.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "train/plan_table.h"
#include "train/text_table.h"
#include "train/units_text.h"

namespace athanor {
namespace {

constexpr std::size_t kFewestImplementationColumns = 14;

std::string parameters_text(const LayerRow& row, bool with_formula) {
  if (row.parameters == 0) return "";
  const std::string count = count_text(row.parameters);
  const bool says_more = with_formula && !row.parameter_formula.empty() && row.parameter_formula != count;
  return says_more ? fmt::format("{} = {}", row.parameter_formula, count) : count;
}

std::string flops_cell(double flops) {
  return flops == 0 ? "" : flops_text(flops);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t end = text.find(separator);
    words.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return words;
    text.remove_prefix(end + 1);
  }
}

std::string short_implementation(const std::string& implementation) {
  std::vector<std::string> words = split(implementation, ':');
  std::erase(words, "x64");
  return words.size() == 1 || words[0] == "athanor" ? words[0] : words[0] + ":" + words[1];
}

/// What is left to the row beside the costs: how it is computed, in words that may stand below one another.
std::vector<std::string> how(const LayerRow& row) {
  std::vector<std::string> words = short_implementations(row.implementations);
  for (std::size_t i = 0; i + 1 < words.size(); ++i) words[i] += ",";
  if (row.op.starts_with("fused into ")) words.insert(words.begin(), "fused;");
  if (row.is_reference) words.push_back("<< slow kernel");
  return words;
}

std::vector<std::string> cost_cells(const LayerRow& row, bool with_formula) {
  return {row.layer,
          row.output,
          parameters_text(row, with_formula),
          flops_cell(row.forward_flops),
          flops_cell(row.backward_flops),
          row.activation_bytes == 0 ? "" : bytes_text(row.activation_bytes)};
}

const std::vector<std::string> kHeader = {"layer", "output", "parameters", "forward", "backward", "bytes"};

std::size_t width_of_costs(const std::vector<LayerRow>& rows, bool with_formula) {
  std::vector<std::size_t> widths;
  for (const std::string& title : kHeader) widths.push_back(display_width(title));
  for (const LayerRow& row : rows) {
    const std::vector<std::string> cells = cost_cells(row, with_formula);
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], display_width(cells[i]));
  }
  std::size_t all = 0;
  for (const std::size_t width : widths) all += width + 2;
  return all;
}

/// Words joined to lines of at most `columns`; a longer word stands alone.
std::vector<std::string> lines_of(const std::vector<std::string>& words, std::size_t columns) {
  std::vector<std::string> lines;
  for (const std::string& word : words) {
    if (!lines.empty() && display_width(lines.back()) + 1 + display_width(word) <= columns) {
      lines.back() += " " + word;
    } else {
      lines.push_back(word);
    }
  }
  if (lines.empty()) lines.emplace_back();
  return lines;
}

void add_row(TextTable& text, const LayerRow& row, bool with_formula, std::size_t columns) {
  std::vector<std::string> cells = cost_cells(row, with_formula);
  for (const std::string& line : lines_of(how(row), columns)) {
    cells.push_back(line);
    text.add(cells);
    cells.assign(kHeader.size(), "");
  }
}

}  // namespace

std::vector<std::string> short_implementations(const std::vector<std::string>& implementations) {
  std::vector<std::string> all;
  std::string last_library;
  for (const std::string& implementation : implementations) {
    std::string name = short_implementation(implementation);
    if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(std::move(name));
  }
  std::stable_sort(all.begin(), all.end(), [](const std::string& a, const std::string& b) {
    return a.substr(0, a.find(':')) < b.substr(0, b.find(':'));
  });
  for (std::string& name : all) {
    const std::size_t colon = name.find(':');
    const std::string library = name.substr(0, colon);
    if (colon != std::string::npos && library == last_library) name.erase(0, colon + 1);
    last_library = library;
  }
  return all;
}

std::string layer_table_text(const PlanTable& table) {
  LayerRow total = table.total;
  total.layer = plural(static_cast<std::int64_t>(table.layers.size()), "layer");
  std::vector<LayerRow> rows = table.layers;
  rows.push_back(total);
  const bool with_formula = width_of_costs(rows, true) + kFewestImplementationColumns <= kPlanColumns;
  const std::size_t costs = width_of_costs(rows, with_formula);
  const std::size_t columns = std::max(kPlanColumns, costs + kFewestImplementationColumns) - costs;
  std::vector<std::string> header = kHeader;
  header.push_back("implementation");
  TextTable text(header, {2, 3, 4, 5});
  rows.pop_back();
  for (const LayerRow& row : rows) add_row(text, row, with_formula, columns);
  text.add_rule();
  add_row(text, total, with_formula, columns);
  return text.text();
}

std::string step_table_text(const PlanTable& table) {
  TextTable text({"step", "when", "layer", "op", "implementation"}, {0});
  for (std::size_t i = 0; i < table.steps.size(); ++i) {
    const StepRow& step = table.steps[i];
    text.add({std::to_string(i), std::string(step.section), step.layer, step.op,
              step.implementation + (step.is_reference ? "  << slow reference kernel" : "")});
  }
  return text.text();
}

}  // namespace athanor
