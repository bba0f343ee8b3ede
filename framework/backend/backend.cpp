#include "backend/backend.h"

#include "base/error.h"

namespace athanor {

const Backend& backend_for(std::string_view device) {
  if (device == "cpu") return cpu_backend();
  if (device == "cuda") return cuda_backend();
  if (device == "auto") return has_cuda() ? cuda_backend() : cpu_backend();
  throw UsageError("unknown device '{}'; use auto, cpu or cuda", device);
}

}  // namespace athanor
