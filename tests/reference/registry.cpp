#include <cmath>

#include "reference/families.h"

namespace athanor::reference {

const std::vector<ReferenceOp>& reference_ops() {
  static const std::vector<ReferenceOp> kOps = [] {
    std::vector<ReferenceOp> all;
    for (const auto& family :
         {convolution_ops(), linear_ops(), batch_norm_ops(), synchronized_batch_norm_ops(), sample_norm_ops(),
          activation_ops(), pooling_ops(), shape_ops(), arithmetic_ops(), random_ops(), loss_ops(), input_ops()}) {
      all.insert(all.end(), family.begin(), family.end());
    }
    return all;
  }();
  return kOps;
}

const ReferenceOp* find_reference(std::string_view name) {
  for (const ReferenceOp& op : reference_ops()) {
    if (op.name == name) return &op;
  }
  return nullptr;
}

Case random_case(std::string_view name, RandomStream& stream) {
  const ReferenceOp* op = find_reference(name);
  ATHANOR_CHECK(op != nullptr, "op '{}' has no reference", name);
  return op->random_case(stream);
}

Case draw_away_from_kinks(RandomStream& stream, const std::function<Case(RandomStream&)>& draw,
                          const std::function<Numbers(const Case&)>& pre_activations) {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    Case drawn = draw(stream);
    if (!has_relu(drawn.attributes)) return drawn;
    bool is_clear = true;
    for (const Number& z : pre_activations(drawn).values) is_clear = is_clear && std::abs(z.value) > 0x1p-12;
    if (is_clear) return drawn;
  }
  ATHANOR_CHECK(false, "1000 cases had a value near the kink of their ReLU");
  return {};
}

}  // namespace athanor::reference
