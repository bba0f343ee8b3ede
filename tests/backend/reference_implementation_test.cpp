#include "backend/reference_implementation.h"

#include <gtest/gtest.h>

namespace athanor {
namespace {

TEST(ReferenceImplementation, IsWhatHasTheWordRef) {
  for (const char* name : {"ref", "onednn:ref:any", "onednn:gemm:ref", "onednn:ref_int8:any"}) {
    EXPECT_TRUE(is_reference_implementation(name)) << name;
  }
}

TEST(ReferenceImplementation, IsNotWhatHasRefInALongerWord) {
  for (const char* name : {"", "onednn:jit:avx512_common", "onednn:gemm:jit", "athanor:refine:avx2", "prefetch", "xref",
                           "ref2", "onednn:brgconv:avx512_core", "reorder"}) {
    EXPECT_FALSE(is_reference_implementation(name)) << name;
  }
}

}  // namespace
}  // namespace athanor
