#include "backend/backend.h"

#include "base/error.h"

namespace athanor {

DType compute_type(std::string_view precision) {
  if (precision == "bf16") return DType::bf16;
  if (precision == "fp16") return DType::f16;
  ATHANOR_CHECK(precision == "fp32" || precision == "tf32");
  return DType::f32;
}

const Backend& backend_for(std::string_view device) {
  if (device == "cpu") return cpu_backend();
  if (device == "cuda") return cuda_backend();
  if (device == "auto") return has_cuda() ? cuda_backend() : cpu_backend();
  throw UsageError("unknown device '{}'; use auto, cpu or cuda", device);
}

}  // namespace athanor
