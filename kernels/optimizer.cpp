// Chooses the instruction set's pass. Compiled once, for the oldest processor.
#include "kernels/optimizer.h"

namespace athanor::kernels {

int slot_count(OptimizerRule rule) {
  switch (rule) {
    case OptimizerRule::sgd:
      return 0;
    case OptimizerRule::sgd_momentum:
    case OptimizerRule::sgd_nesterov:
    case OptimizerRule::adagrad:
    case OptimizerRule::rmsprop:
      return 1;
    case OptimizerRule::rmsprop_momentum:
    case OptimizerRule::rmsprop_centered:
    case OptimizerRule::adam:
      return 2;
    case OptimizerRule::rmsprop_centered_momentum:
    case OptimizerRule::adam_amsgrad:
      return 3;
  }
  return 0;
}

OptimizerKernel optimizer_kernel(OptimizerRule rule, bool with_ema, Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return avx512::find_optimizer_kernel(rule, with_ema);
    case Isa::avx2:
      return avx2::find_optimizer_kernel(rule, with_ema);
    case Isa::baseline:
      break;
  }
  return baseline::find_optimizer_kernel(rule, with_ema);
}

void update(OptimizerRule rule, const OptimizerRange& range, const StepScalars& step) {
  optimizer_kernel(rule, range.arenas.ema != nullptr)(range, step);
}

}  // namespace athanor::kernels
