// Moves a value into another layout or element type on a GPU: `reorder`, which the layout pass inserts, and `cast`,
// which may do both at once when its input is a parameter.
#include "kernels/cuda/reorder.h"

#include "backend/cuda/op.h"
#include "kernels/cuda/elementwise.h"

namespace athanor::cuda {
namespace {

Step prepare_reorder(const CudaBinding& b) {
  const Value &x = b.input_value(0), &y = b.output_value(0);
  const Layout &from = b.input_layouts[0], &to = b.output_layouts[0];
  if (from == to || x.shape.rank() != 4) {
    const kernels::cuda::Cast args{.from = x.dtype,
                                   .to = y.dtype,
                                   .x = b.input<void>(0),
                                   .y = b.output<void>(0),
                                   .count = stored_elements(x, from)};
    return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
  }
  const kernels::cuda::Reorder args{.from = x.dtype,
                                    .to = y.dtype,
                                    .x = b.input<void>(0),
                                    .y = b.output<void>(0),
                                    .batch = x.shape[0],
                                    .channels = x.shape[1],
                                    .height = x.shape[2],
                                    .width = x.shape[3],
                                    .source = order_of(x.shape, from),
                                    .target = order_of(y.shape, to)};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

const RegisterCudaOp kReorder{"reorder", {kernel_that_follows(0, "reorder"), prepare_reorder}};
const RegisterCudaOp kCast{"cast", {kernel_that_follows(0, "cast"), prepare_reorder}};

}  // namespace
}  // namespace athanor::cuda
