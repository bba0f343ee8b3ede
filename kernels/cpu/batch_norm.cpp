#include "kernels/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/cpu/batch_norm_parts.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

using namespace batch_norm;

/// Whether Σ x² in float32 tells the variance of all channels of a group: it has 24 bits, of which as many are lost as
/// mean² is larger than the variance.
bool sums_tell_variance(const BatchNormForward& args, std::int64_t first, std::int64_t end, double n) {
  constexpr double kMostSquaredMeanPerVariance = 8;
  for (std::int64_t c = first; c < end; ++c) {
    const double mean = args.sum[c] / n, var = args.squares[c] / n - mean * mean;
    if (!(mean * mean <= kMostSquaredMeanPerVariance * var) && args.squares[c] != 0) return false;
  }
  return true;
}

/// Takes what is given for the first slice's sums; the others' are 0.
void take_sums(const BatchNormForward& args, const Item& item, const Scratch& scratch) {
  const std::int64_t lanes = args.view.lanes, first = item.group * lanes;
  double* sums = scratch.sums + 2 * (item.slice * args.view.channels() + first);
  for (std::int64_t lane = 0; lane < lanes; ++lane) {
    sums[2 * lane] = item.slice == 0 ? args.sum[first + lane] : 0.0;
    sums[2 * lane + 1] = item.slice == 0 ? args.squares[first + lane] : 0.0;
  }
}

void forward(const BatchNormForward& args) {
  const ChannelView& view = args.view;
  const Walk walk = walk_of(view);
  const Scratch scratch = scratch_of(view, args.threads, args.scratch);
  const std::int64_t used = args.channels ? args.channels : view.channels();
  with_kind(args.dtype, walk, [&](auto* type, auto uniform) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto* x = static_cast<const T*>(args.x);
    const auto n = static_cast<double>(view.batch * view.pixels);
    for_items(view, args.threads, [&](const Item& item) {
      const std::int64_t first = item.group * view.lanes;
      if (args.sum && sums_tell_variance(args, first, std::min(first + view.lanes, used), n)) {
        take_sums(args, item, scratch);
      } else {
        sum_moments<decltype(uniform)::value>(view, walk, x, item, scratch);
      }
    });
    clear_padding(view, used, scratch);
    const int slices = slices_for(view, args.threads);
    for (std::int64_t c = 0; c < used; ++c) {
      const auto [mean, var] = mean_and_variance(moments_of(view, slices, scratch, c), n);
      args.mean[c] = static_cast<float>(mean);
      args.inv_std[c] = static_cast<float>(1 / std::sqrt(var + static_cast<double>(args.eps)));
      if (args.batch_mean) args.batch_mean[c] = args.mean[c];
      if (args.batch_var) args.batch_var[c] = n > 1 ? static_cast<float>(var * (n / (n - 1))) : 0.0f;
      set_affine(scratch, c, args.gamma, args.beta, args.mean[c], args.inv_std[c]);
      if (args.scale) args.scale[c] = scratch.scale[c];
      if (args.shift) args.shift[c] = scratch.shift[c];
    }
    if (!args.y) return;
    apply<decltype(uniform)::value>(view, walk, x, static_cast<const T*>(args.residual), static_cast<T*>(args.y),
                                    args.relu, args.threads, scratch);
  });
}

float inv_std_of(const BatchNormInference& args, std::int64_t channel) {
  const double var = args.running_var[channel];
  return static_cast<float>(1 / std::sqrt(var + static_cast<double>(args.eps)));
}

void inference(const BatchNormInference& args) {
  const ChannelView& view = args.view;
  const Walk walk = walk_of(view);
  const Scratch scratch = scratch_of(view, args.threads, args.scratch);
  const std::int64_t used = args.channels ? args.channels : view.channels();
  clear_padding(view, used, scratch);
  for (std::int64_t c = 0; c < used; ++c) {
    set_affine(scratch, c, args.gamma, args.beta, args.running_mean[c],
               args.inv_std ? args.inv_std[c] : inv_std_of(args, c));
  }
  with_kind(args.dtype, walk, [&](auto* type, auto uniform) {
    using T = std::remove_pointer_t<decltype(type)>;
    apply<decltype(uniform)::value>(view, walk, static_cast<const T*>(args.x), static_cast<const T*>(args.residual),
                                    static_cast<T*>(args.y), args.relu, args.threads, scratch);
  });
}

template <Mask kMask, bool kUniform, typename T>
void backward_as(const BatchNormBackward& args, const Walk& walk, const Scratch& scratch, std::int64_t used) {
  const ChannelView& view = args.view;
  if (args.sum == nullptr) {
    for_items(view, args.threads,
              [&](const Item& item) { sum_gradients<kMask, kUniform, T>(args, walk, item, scratch); });
  }
  const int slices = slices_for(view, args.threads);
  const auto n = static_cast<double>(view.batch * view.pixels);
  for (std::int64_t c = 0; c < used; ++c) {
    const Moments m = args.sum ? Moments{args.sum[c], args.products[c]} : moments_of(view, slices, scratch, c);
    args.dbeta[c] = static_cast<float>(m.s1);
    args.dgamma[c] = static_cast<float>(m.s2 * args.inv_std[c]);
    set_gradient_factors(args, c, m, n, scratch);
  }
  for_items(view, args.threads, [&](const Item& item) {
    if (args.dresidual) {
      apply_gradients<Mask::none, kUniform, T>(args, static_cast<const T*>(args.dresidual), nullptr, walk, item,
                                               scratch);
    } else {
      apply_gradients<kMask, kUniform, T>(args, static_cast<const T*>(args.dy), static_cast<const T*>(args.dy2), walk,
                                          item, scratch);
    }
  });
}

void backward(const BatchNormBackward& args) {
  const Walk walk = walk_of(args.view);
  const Scratch scratch = scratch_of(args.view, args.threads, args.scratch);
  const std::int64_t used = set_gradient_channels(args, scratch);
  with_masked_kind(args, walk, [&](auto* type, auto uniform, auto mask) {
    using T = std::remove_pointer_t<decltype(type)>;
    backward_as<decltype(mask)::value, decltype(uniform)::value, T>(args, walk, scratch, used);
  });
}

}  // namespace

extern const BatchNormKernels batch_norm_table = {forward, backward, inference};

}  // namespace athanor::kernels::ATHANOR_ISA
