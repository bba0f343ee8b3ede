#include "kernels/batch_norm_synchronized.h"

#include "kernels/cpu/batch_norm_parts.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

using namespace batch_norm;

void moments(const BatchNormMoments& args) {
  const ChannelView& view = args.view;
  const Walk walk = walk_of(view);
  const Scratch scratch = scratch_of(view, args.threads, args.scratch);
  with_kind(args.dtype, walk, [&](auto* type, auto uniform) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto* x = static_cast<const T*>(args.x);
    for_items(view, args.threads,
              [&](const Item& item) { sum_moments<decltype(uniform)::value>(view, walk, x, item, scratch); });
  });
  const std::int64_t used = args.channels ? args.channels : view.channels();
  const int slices = slices_for(view, args.threads);
  const auto n = static_cast<double>(view.batch * view.pixels);
  for (std::int64_t c = 0; c < used; ++c) {
    const MeanAndVariance result = mean_and_variance(moments_of(view, slices, scratch, c), n);
    args.mean[c] = static_cast<float>(result.mean);
    args.var[c] = static_cast<float>(result.var);
  }
}

void sums(const BatchNormSums& args) {
  const BatchNormBackward& gradient = args.gradient;
  const ChannelView& view = gradient.view;
  const Walk walk = walk_of(view);
  const Scratch scratch = scratch_of(view, gradient.threads, gradient.scratch);
  const std::int64_t used = set_gradient_channels(gradient, scratch);
  with_masked_kind(gradient, walk, [&](auto* type, auto uniform, auto mask) {
    using T = std::remove_pointer_t<decltype(type)>;
    for_items(view, gradient.threads, [&](const Item& item) {
      sum_gradients<decltype(mask)::value, decltype(uniform)::value, T>(gradient, walk, item, scratch);
    });
  });
  const int slices = slices_for(view, gradient.threads);
  for (std::int64_t c = 0; c < used; ++c) {
    const Moments m = moments_of(view, slices, scratch, c);
    args.sums[c] = gradient.dbeta[c] = static_cast<float>(m.s1);
    args.sums[used + c] = gradient.dgamma[c] = static_cast<float>(m.s2 * gradient.inv_std[c]);
  }
}

void input_gradient(const BatchNormInputGradient& args) {
  const BatchNormBackward& gradient = args.gradient;
  const ChannelView& view = gradient.view;
  const Walk walk = walk_of(view);
  const Scratch scratch = scratch_of(view, gradient.threads, gradient.scratch);
  const std::int64_t used = set_gradient_channels(gradient, scratch);
  const double n = static_cast<double>(view.batch * view.pixels) * static_cast<double>(args.shards);
  for (std::int64_t c = 0; c < used; ++c) {
    const double dbeta = sum_shards(args.sums + c, args.shards, 2 * used);
    const double dgamma = sum_shards(args.sums + used + c, args.shards, 2 * used);
    set_gradient_factors(gradient, c, {dbeta, dgamma / gradient.inv_std[c]}, n, scratch);
  }
  with_masked_kind(gradient, walk, [&](auto* type, auto uniform, auto mask) {
    using T = std::remove_pointer_t<decltype(type)>;
    for_items(view, gradient.threads, [&](const Item& item) {
      apply_gradients<decltype(mask)::value, decltype(uniform)::value, T>(
          gradient, static_cast<const T*>(gradient.dy), static_cast<const T*>(gradient.dy2), walk, item, scratch);
    });
  });
}

}  // namespace

extern const BatchNormSynchronizedKernels batch_norm_synchronized_table = {moments, sums, input_gradient};

}  // namespace athanor::kernels::ATHANOR_ISA
