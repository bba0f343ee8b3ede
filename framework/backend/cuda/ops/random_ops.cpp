// Dropout and stochastic depth on GPUs. Forward and backward are the same op: the mask follows from the sample's index
// and the epoch, which the kernel reads from device memory.
#include "backend/cuda/op.h"
#include "kernels/cuda/random.h"

namespace athanor::cuda {
namespace {

Step prepare_dropout(const CudaBinding& b, bool whole_samples) {
  const Rows rows = rows_of(b.input_value(0));
  const kernels::cuda::Dropout args{.dtype = b.input_value(0).dtype,
                                    .whole_samples = whole_samples,
                                    .batch = rows.samples,
                                    .pixels = rows.pixels,
                                    .channels = rows.channels,
                                    .x = b.input<void>(0),
                                    .y = b.output<void>(0),
                                    .sample_indices = b.input<std::int64_t>(1),
                                    .epoch = b.input<std::int64_t>(2),
                                    .seed = b.seed,
                                    .key = static_cast<std::uint64_t>(b.node.attributes.integer("key")),
                                    .rate = static_cast<float>(b.node.attributes.real("rate"))};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

const RegisterCudaOp kDropout{"dropout",
                              {nhwc_kernel("dropout"), [](const CudaBinding& b) { return prepare_dropout(b, false); }}};
const RegisterCudaOp kStochasticDepth{"stochastic_depth", {nhwc_kernel("stochastic_depth"), [](const CudaBinding& b) {
                                                             return prepare_dropout(b, true);
                                                           }}};

}  // namespace
}  // namespace athanor::cuda
