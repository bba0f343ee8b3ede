#include "backend/cpu/ops/support.h"

#include "backend/cpu/onednn.h"

namespace athanor::cpu {

std::function<NodeChoice(const ChooseContext&)> kernel_that_follows(std::size_t index, std::string name) {
  return [index, name = std::move(name)](const ChooseContext& context) {
    return choose_like_input(context, index, own_implementation(name));
  };
}

bool divides(const Layout& layout, const Value& image) {
  const std::int64_t lanes = layout == "nChw16c" ? 16 : layout == "nChw8c" ? 8 : 1;
  return image.shape[1] % lanes == 0;
}

Layout preferred_layout(const Value& image) {
  // The tile units of AMX want channels innermost.
  if (image.dtype == DType::bf16 && dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_amx) return "nhwc";
  return divides(blocked_layout(), image) ? blocked_layout() : kPlain;
}

std::int64_t stored_elements(const Value& value, const Layout& layout) {
  return static_cast<std::int64_t>(layout_bytes(value, layout) / size_of(value.dtype));
}

}  // namespace athanor::cpu
