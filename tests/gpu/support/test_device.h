// The device that GPU tests run on: the emulation, or, with ATHANOR_TEST_DEVICE=cuda, this machine's GPU.
#pragma once

#include <gtest/gtest.h>

#include "backend/cuda/device.h"
#include "backend/cuda/engine_choice.h"

namespace athanor::testing {

/// Whether ATHANOR_TEST_DEVICE asks for a real GPU.
bool wants_gpu();
/// Whether test_device() gives one.
bool has_test_device();
/// One for the whole program. Throws DeviceError where a GPU is asked for and there is none.
cuda::Device& test_device();
cuda::EngineChoice& test_engines();
/// On the emulation: throws where anything has written where it must not.
void check_test_device();

/// A test that needs the device; skipped, and counted so, without one.
#define ATHANOR_SKIP_WITHOUT_DEVICE() \
  if (!::athanor::testing::has_test_device()) GTEST_SKIP() << "skipped: no GPU"

}  // namespace athanor::testing
