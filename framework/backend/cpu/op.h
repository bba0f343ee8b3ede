// How an op runs on the CPU: a choice of layouts when the plan is made, and a step with every pointer bound before step
// 0. Each file of backend/cpu/ops/ registers its ops; nothing else names them.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "backend/binding.h"
#include "graph/graph.h"
#include "graph/planner.h"
#include "kernels/channel_view.h"

namespace athanor::cpu {

/// Fails where what was made for a step is not what the plan says: it would compute other bits.
void check_planned(const Binding& binding, std::string_view what, std::string_view planned, std::string_view made);

/// Runs one node. Allocates nothing of ours.
using Step = std::function<void()>;

class ConvolutionChoices;

/// What an op may ask when the plan is made.
struct CpuChooseContext : ChooseContext {
  ConvolutionChoices* convolutions = nullptr;  ///< that are measured; none: the rule's
  bool measures = true;                        ///< false: what is not known of them is guessed
};

struct CpuOp {
  std::function<NodeChoice(const CpuChooseContext&)> choose;
  std::function<Step(const Binding&)> prepare;
};

struct RegisterCpuOp {
  RegisterCpuOp(std::string_view name, CpuOp op);
};

/// How a plan names a kernel of ours: "athanor:batch_norm:avx512".
std::string own_implementation(std::string_view kernel);
/// The CPU side of an op, or nullptr.
const CpuOp* find_cpu_op(std::string_view name);

/// All inputs and outputs in plain layout.
NodeChoice choose_plain(const ChooseContext& context);
/// Whatever layout input 0 has, for every input and output of the same rank as input 0; plain for the others.
NodeChoice choose_same(const ChooseContext& context);
/// The same with an implementation's name.
std::function<NodeChoice(const ChooseContext&)> plain_kernel(std::string name);
std::function<NodeChoice(const ChooseContext&)> same_layout_kernel(std::string name);

/// How a hand-written kernel sees a value of rank 4 or 2 in a layout; a layout that it cannot see is a broken
/// invariant.
kernels::ChannelView view_of(const Value& value, const Layout& layout);

}  // namespace athanor::cpu
