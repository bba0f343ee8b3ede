#include "kernels/batch_norm_synchronized.h"
#include "kernels/batch_norm_testing.h"

namespace athanor::kernels::testing::batch_norm {
namespace {

void run_in_shards(Problem& r, Isa isa, std::int64_t shards) {
  const BatchNormSynchronizedKernels& kernels = batch_norm_synchronized_kernels(isa);
  ChannelView view = r.view;
  view.batch /= shards;
  const auto part = [&](Values& values, std::int64_t shard) {
    return static_cast<std::byte*>(values.data()) +
           static_cast<std::size_t>(shard * view.elements()) * size_of(r.dtype);
  };
  std::vector<float> gathered(static_cast<std::size_t>(2 * shards * r.channels));
  const auto own = [&](std::int64_t shard) { return gathered.data() + 2 * shard * r.channels; };
  for (std::int64_t s = 0; s < shards; ++s) {
    kernels.moments({.view = view,
                     .dtype = r.dtype,
                     .channels = r.channels,
                     .x = part(r.x, s),
                     .mean = own(s),
                     .var = own(s) + r.channels,
                     .scratch = r.scratch.data(),
                     .threads = r.options.threads});
  }
  combine_batch_norm_moments({.moments = gathered.data(),
                              .shards = shards,
                              .channels = r.channels,
                              .count = static_cast<double>(r.view.batch * r.view.pixels),
                              .mean = r.mean.data(),
                              .inv_std = r.inv_std.data(),
                              .batch_mean = r.batch_mean.data(),
                              .batch_var = r.batch_var.data()});
  std::vector<float> dgamma(r.dgamma.size()), dbeta(r.dbeta.size());
  const auto gradient = [&](std::int64_t s) {
    BatchNormBackward args = r.backward_args();
    args.view = view;
    args.x = part(r.x, s);
    args.dy = part(r.dy, s);
    args.dx = part(r.dx, s);
    args.dy2 = args.y = nullptr;
    args.dresidual = nullptr;
    return args;
  };
  for (std::int64_t s = 0; s < shards; ++s) {
    batch_norm_kernels(isa).inference({.view = view,
                                       .dtype = r.dtype,
                                       .channels = r.channels,
                                       .x = part(r.x, s),
                                       .residual = r.options.residual ? part(r.residual, s) : nullptr,
                                       .gamma = r.gamma.data(),
                                       .beta = r.beta.data(),
                                       .running_mean = r.mean.data(),
                                       .inv_std = r.inv_std.data(),
                                       .y = part(r.y, s),
                                       .relu = r.options.relu,
                                       .scratch = r.scratch.data(),
                                       .threads = r.options.threads});
    BatchNormSums sums{.gradient = gradient(s), .sums = own(s)};
    sums.gradient.dgamma = dgamma.data();
    sums.gradient.dbeta = dbeta.data();
    if (r.options.residual) {
      sums.gradient.y = part(r.y, s);
      sums.gradient.dy2 = part(r.dy2, s);
      sums.gradient.dresidual = part(r.dresidual, s);
    }
    kernels.sums(sums);
    for (std::size_t c = 0; c < dgamma.size(); ++c) {
      r.dgamma[c] = dgamma[c] + (s == 0 ? 0 : r.dgamma[c]);
      r.dbeta[c] = dbeta[c] + (s == 0 ? 0 : r.dbeta[c]);
    }
  }
  for (std::int64_t s = 0; s < shards; ++s) {
    BatchNormInputGradient second{.gradient = gradient(s), .sums = gathered.data(), .shards = shards};
    if (r.options.residual) {
      second.gradient.dy = part(r.dresidual, s);
      second.gradient.relu = false;
    }
    kernels.input_gradient(second);
  }
}

// Means travel between shards as float32: far from 0, the variance of the whole takes their rounding too.
constexpr Options kShardOptions[] = {
    {false, false, 1, 0}, {true, false, 2, 0}, {true, true, 1, 0}, {false, false, 3, 2}};

TEST(BatchNorm, InShardsMatchesDoubleOverTheWholeBatch) {
  for (const Isa isa : isas()) {
    for (const Case& shape : {Case{3, 3, 5}, Case{6, 16, 49}, Case{12, 67, 30}}) {
      for (const ChannelView& view : layouts_of(shape.batch, shape.channels, shape.pixels)) {
        for (const DType dtype : {DType::f32, DType::bf16}) {
          for (const Options& options : kShardOptions) {
            SCOPED_TRACE(describe(isa, view, dtype) + " relu " + std::to_string(options.relu) + " residual " +
                         std::to_string(options.residual) + " threads " + std::to_string(options.threads));
            Problem run(view, dtype, shape.channels, options);
            run_in_shards(run, isa, 3);
            check_forward(run);
            check_backward(run);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace athanor::kernels::testing::batch_norm
