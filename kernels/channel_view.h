// How a kernel sees an activation: one struct covers NCHW, NHWC and the channel-blocked layouts.
#pragma once

#include <cstdint>

namespace athanor::kernels {

/// Element (n, c, p), c = g · lanes + v, lies at ((n · groups + g) · pixels + p) · lanes + v.
/// NCHW: groups = C, lanes = 1. NHWC: groups = 1, lanes = C. nChw16c: groups = C / 16, lanes = 16.
/// A matrix [N, F]: groups = 1, pixels = 1, lanes = F.
struct ChannelView {
  std::int64_t batch = 0;
  std::int64_t groups = 0;
  std::int64_t pixels = 0;
  std::int64_t lanes = 0;

  std::int64_t channels() const { return groups * lanes; }
  std::int64_t elements() const { return batch * groups * pixels * lanes; }
};

}  // namespace athanor::kernels
