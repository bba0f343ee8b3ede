// The backward pass of batch norm.
#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/batch_norm_parts.h"

namespace athanor::kernels::cuda {
namespace {

using namespace batch_norm;

struct FinishBackward {
  GradientFactors factors;
  float* dgamma;
  float* dbeta;
  double n;

  ATHANOR_DEVICE void operator()(std::int64_t c, const double (&sums)[2]) const {
    dbeta[c] = static_cast<float>(sums[0]);
    dgamma[c] = static_cast<float>(sums[1] * static_cast<double>(factors.inv_std[c]));
    factors.set(c, sums[0], sums[1], n);
  }
};

}  // namespace

void launch(const BatchNormBackward& args, LaunchStream stream) {
  const FinishBackward finish{{args.gamma, args.beta, args.mean, args.inv_std,
                               factors_of(args.scratch, args.dtype, args.rows, args.channels), args.channels},
                              args.dgamma,
                              args.dbeta,
                              static_cast<double>(args.rows)};
  launch_gradient_sums(args, finish, stream);
  BatchNormBackward rest = args;
  if (args.dresidual != nullptr) {  // it holds dz now
    rest.dy = args.dresidual;
    rest.dy2 = nullptr;
    rest.relu = false;
  }
  launch_input_gradient(rest, stream);
}

}  // namespace athanor::kernels::cuda
