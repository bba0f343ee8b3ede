#include "gpu/planning/planning_device.h"

namespace athanor::testing {
namespace {

class PlannedMatmul final : public cuda::Product {
 public:
  std::size_t workspace_bytes() const override { return 0; }
  const std::string& engine() const override { return engine_; }

 private:
  std::string engine_ = "planned";
};

}  // namespace

std::vector<std::string> PlanningDevice::engines(const cuda::ProductSpec& spec) {
  PlannedPattern& pattern = patterns_[cuda::text_of(spec)];
  pattern.spec = spec;
  if (std::holds_alternative<cuda::MatmulSpec>(spec)) {
    pattern.engines = 1;
    return {"planned"};
  }
  std::vector<std::string> names = convolutions_.engines(std::get<cuda::ConvolutionSpec>(spec));
  pattern.engines = names.size();
  if (names.empty()) pattern.failure = convolutions_.failure();
  return names;
}

std::unique_ptr<cuda::Product> PlanningDevice::make_product(const cuda::ProductSpec& spec, const std::string& engine) {
  PlannedPattern& pattern = patterns_[cuda::text_of(spec)];
  std::unique_ptr<cuda::Product> product;
  if (std::holds_alternative<cuda::MatmulSpec>(spec)) {
    product = std::make_unique<PlannedMatmul>();
  } else {
    product = convolutions_.make(std::get<cuda::ConvolutionSpec>(spec), engine);
  }
  if (product == nullptr) {
    pattern.failure = convolutions_.failure();
  } else {
    pattern.engine = product->engine();
    pattern.workspace_bytes = product->workspace_bytes();
  }
  return product;
}

}  // namespace athanor::testing
