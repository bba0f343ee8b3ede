// The CUDA back end's twin for builds without it.
#include "backend/backend.h"
#include "base/error.h"

namespace athanor {

const Backend& cuda_backend() {
  throw DeviceError(
      "device is cuda, but this Athanor was built without CUDA: install the CUDA Toolkit and cuDNN and build again, or "
      "use device=cpu");
}

bool has_cuda() {
  return false;
}

}  // namespace athanor
