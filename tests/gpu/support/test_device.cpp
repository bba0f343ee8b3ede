#include "gpu/support/test_device.h"

#include <cstdlib>
#include <memory>
#include <string_view>

#include "backend/cuda/open_device.h"
#include "gpu/emulation/emulated_device.h"

namespace athanor::testing {
namespace {

std::unique_ptr<cuda::Device> open() {
  if (wants_gpu()) return cuda::open_device(0);
  return std::make_unique<EmulatedDevice>();
}

}  // namespace

bool wants_gpu() {
  const char* wanted = std::getenv("ATHANOR_TEST_DEVICE");
  return wanted != nullptr && std::string_view(wanted) == "cuda";
}

bool has_test_device() {
  static const bool has_one = !wants_gpu() || cuda::has_device();
  return has_one;
}

cuda::Device& test_device() {
  static const std::unique_ptr<cuda::Device> device = open();
  return *device;
}

cuda::EngineChoice& test_engines() {
  static cuda::EngineChoice engines(test_device(), "");
  return engines;
}

void check_test_device() {
  if (auto* emulated = dynamic_cast<EmulatedDevice*>(&test_device())) emulated->check();
}

}  // namespace athanor::testing
