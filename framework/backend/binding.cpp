#include "backend/binding.h"

namespace athanor {

void* address_of(const Plan& plan, const Arenas& arenas, ValueId value) {
  if (value == kNoValue) return nullptr;
  const Buffer& buffer = plan.buffers[static_cast<std::size_t>(value)];
  switch (buffer.arena) {
    case Arena::state:
      return arenas.state + buffer.offset;
    case Arena::outputs:
      return arenas.outputs + buffer.offset;
    case Arena::shared:
      return arenas.shared + buffer.offset;
    case Arena::lane:
      return arenas.lane + buffer.offset;
    case Arena::none:
      break;
  }
  return nullptr;
}

NodeChoice choose_plain(const ChooseContext& context, std::string implementation) {
  return {.inputs = std::vector<Layout>(context.node.inputs.size(), kPlain),
          .outputs = std::vector<Layout>(context.node.outputs.size(), kPlain),
          .implementation = std::move(implementation),
          .scratch_bytes = 0};
}

NodeChoice choose_like_input(const ChooseContext& context, std::size_t index, std::string implementation) {
  NodeChoice choice = choose_plain(context, std::move(implementation));
  const Layout layout = context.inputs[index].empty() ? kPlain : context.inputs[index];
  const std::size_t rank = context.input(index).shape.rank();
  for (std::size_t i = 0; i < choice.inputs.size(); ++i) {
    if (context.has_input(i) && context.input(i).shape.rank() == rank) choice.inputs[i] = layout;
  }
  for (std::size_t i = 0; i < choice.outputs.size(); ++i) {
    if (context.has_output(i) && context.output(i).shape.rank() == rank) choice.outputs[i] = layout;
  }
  return choice;
}

}  // namespace athanor
