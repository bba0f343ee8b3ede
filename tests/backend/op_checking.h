// How far a result of a back end may lie from the reference, and where the tolerances come from.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "reference/reference.h"

namespace athanor::testing {

/// A bfloat16 has 8 significant bits: storing a result moves it by 2^-9 of its size, and a value saved for the backward
/// pass moves what is computed from it by as much of the terms; twice that is allowed.
inline constexpr double kBFloat16Unit = 0x1p-8;

/// float32: 8 · 2^-24 · sqrt(n) · ‖terms‖₂, the reference's bound; 0 where the op only moves or chooses elements.
inline double float32_tolerance(const reference::Result& want, std::int64_t e) {
  return reference::kErrorUnit * want.bound[e];
}

/// Winograd's F(4×4, 3×3) adds tiles whose transforms weigh elements by up to 5 and weights by as little as 1/24, and
/// so loses about a digit more than direct sums: 16 times theirs is allowed.
inline double winograd_tolerance(const reference::Result& want, std::int64_t e) {
  return 16 * float32_tolerance(want, e);
}

/// Operands are exact bfloat16 numbers, sums are float32, and the result is rounded once.
inline double bfloat16_tolerance(const reference::Result& want, std::int64_t e) {
  return want.bound[e] == 0 ? 0.0 : kBFloat16Unit * std::abs(want.value[e]) + float32_tolerance(want, e);
}

/// The same where the op goes back through a value that was rounded when it was saved.
inline double bfloat16_gradient_tolerance(const reference::Result& want, std::int64_t e) {
  return kBFloat16Unit * want.bound[e];
}

/// A float16 has 11 significant bits, and below 2^-14 no number closer than 2^-24.
inline constexpr double kFloat16Unit = 0x1p-10;
inline constexpr double kFloat16Step = 0x1p-24;

/// As for bfloat16.
inline double float16_tolerance(const reference::Result& want, std::int64_t e) {
  return want.bound[e] == 0 ? 0.0 : kFloat16Unit * std::abs(want.value[e]) + kFloat16Step + float32_tolerance(want, e);
}
inline double float16_gradient_tolerance(const reference::Result& want, std::int64_t e) {
  return kFloat16Unit * want.bound[e] + kFloat16Step;
}

template <typename Tolerance>
void expect_close(const reference::Tensor& got, const reference::Result& want, Tolerance tolerance,
                  const std::string& what) {
  ASSERT_EQ(got.elements(), want.value.elements()) << what;
  for (std::int64_t e = 0; e < got.elements(); ++e) {
    // Written so that NaN fails.
    const bool is_close = std::abs(got[e] - want.value[e]) <= tolerance(want, e);
    ASSERT_TRUE(is_close) << what << ", element " << e << " of " << got.elements() << ": " << got[e] << ", want "
                          << want.value[e] << " ± " << tolerance(want, e);
  }
}

}  // namespace athanor::testing
