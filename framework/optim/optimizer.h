// What an optimizer is: rule, hyperparameters and state slots, all known before step 0, and the few numbers that one
// step adds. It holds no tensors: those lie in the arenas that kernels/optimizer.h updates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/attributes.h"
#include "kernels/step_math.h"
#include "optim/averaging.h"

namespace athanor {

/// An fp32 arena of optimizer state, with the offsets of the parameter arena.
struct StateSlot {
  std::string name;   ///< torch's name: "momentum_buffer", "exp_avg", …
  float initial = 0;  ///< every element before the first update
  friend bool operator==(const StateSlot&, const StateSlot&) = default;
};

struct OptimizerSpec {
  std::string name;  ///< as the recipe names it
  kernels::OptimizerRule rule = kernels::OptimizerRule::sgd;
  std::vector<StateSlot> slots;  ///< in the order that the kernel wants them
  double lr = 0;
  double momentum = 0;   ///< SGD, RMSprop
  double dampening = 0;  ///< SGD
  double beta1 = 0;      ///< Adam
  double beta2 = 0;      ///< Adam
  double alpha = 0;      ///< RMSprop
  double eps = 0;
  double lr_decay = 0;  ///< Adagrad
  double weight_decay = 0;
  bool decoupled = false;  ///< weight decay shrinks the weight itself, instead of being added to the gradient
  double clip_norm = 0;    ///< 0: none
  double clip_value = 0;   ///< 0: none
  bool shard = false;      ///< each rank keeps its part of the state only
  EmaSpec ema;             ///< from the recipe's section `ema`
};

/// The optimizer of a name ("sgd", "adagrad", "rmsprop", "adam", "adamw"); attributes left out take the schema's
/// default. Throws UsageError for an unknown name or settings that exclude each other.
OptimizerSpec make_optimizer(std::string_view name, const Attributes& attributes);

/// What a schedule may cycle as "momentum": momentum itself, β1 of Adam; nothing where the rule has neither.
std::optional<double> cycled_momentum(const OptimizerSpec& spec);

/// What one step adds.
struct StepInputs {
  std::int64_t step = 1;           ///< t: counts updates from 1
  std::int64_t number = 0;         ///< of the run's step, counted from 1, for messages; 0: not known
  double lr = 0;                   ///< from the schedule
  std::optional<double> momentum;  ///< from the schedule; none: the recipe's
  double grad_scale = 1;           ///< 1 / shards · clip factor
};

/// The spec's numbers as kernels take them.
kernels::OptimizerSettings settings_of(const OptimizerSpec& spec);

/// The pass's scalars, bias corrections included, computed in double and rounded once.
kernels::StepScalars step_scalars(const OptimizerSpec& spec, const StepInputs& inputs);

}  // namespace athanor
