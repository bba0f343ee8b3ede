// The tables of `athanor plan`: what every layer costs, and every step with the implementation that the plan chose.
// Walks over a Plan; nothing here runs anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graph/plan.h"

namespace athanor {

/// One layer of the recipe or model, its forward ops taken together. Costs are of one image.
struct LayerRow {
  std::string layer;
  std::string op;                 ///< "conv2d", "batch_norm_relu + add"
  std::string output;             ///< logical shape of the last output: "[N, 16, 28, 28]"
  std::string parameter_formula;  ///< "(3·3·16)·32 + 32"; empty without parameters
  std::int64_t parameters = 0;
  double forward_flops = 0;  ///< 1 multiply-add = 2
  double backward_flops = 0;
  std::size_t activation_bytes = 0;          ///< that the layer's forward ops write, outputs in place not counted
  std::string implementation;                ///< of the forward ops
  std::vector<std::string> implementations;  ///< of all its steps, forward and backward, each once
  bool is_reference = false;                 ///< one of its forward or backward steps runs a slow reference kernel
};

/// One step of the plan in the order in which it runs.
struct StepRow {
  std::string_view section;  ///< "once" (per update), "forward" or "backward" (per shard)
  std::string layer;
  std::string op;
  std::string implementation;
  bool is_reference = false;
};

struct PlanTable {
  std::vector<LayerRow> layers;  ///< in forward order
  LayerRow total;                ///< sums
  std::vector<StepRow> steps;
  std::int64_t reference_steps = 0;
};

/// `rows` is the images of one shard.
PlanTable make_plan_table(const Plan& plan, std::int64_t rows);

/// "onednn:jit_1x1:avx512_core" as "onednn:jit_1x1", "onednn:x64:gemm:jit" as "onednn:gemm", our own kernels as
/// "athanor"; several after one another, the common first word once: "onednn:jit, jit_1x1".
std::vector<std::string> short_implementations(const std::vector<std::string>& implementations);

/// Lines, each ended, columns aligned. The layers fit in kPlanColumns: implementations are shortened, and formulas left
/// out where names are very long.
inline constexpr std::size_t kPlanColumns = 120;
std::string layer_table_text(const PlanTable& table);
/// Every step with its full implementation.
std::string step_table_text(const PlanTable& table);

}  // namespace athanor
