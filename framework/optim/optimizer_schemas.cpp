// The recipe's section `optimizer`, one schema per name. Defaults are those of torch.optim.
#include "config/registry.h"

namespace athanor {
namespace {

Schema schema(std::string name, std::string doc, double lr, double weight_decay, std::vector<Field> own) {
  std::vector<Field> fields{real("lr", lr, "Learning rate that the schedule scales.").at_least(0)};
  for (Field& field : own) fields.push_back(std::move(field));
  fields.push_back(real("weight_decay", weight_decay, "Weight decay.").at_least(0));
  if (name != "adamw") {
    fields.push_back(boolean("decoupled", false,
                             "Shrink the weight by 1 − lr · weight_decay instead of adding weight_decay · w to the "
                             "gradient."));
  }
  fields.push_back(real("clip_norm", 0.0, "Bound of the whole gradient's L2 norm; 0: none.").at_least(0));
  fields.push_back(real("clip_value", 0.0, "Bound of each gradient's magnitude; 0: none.").at_least(0));
  fields.push_back(boolean("shard", false, "Each rank keeps and updates its part of the optimizer's state (ZeRO-1)."));
  return {.name = std::move(name), .doc = std::move(doc), .fields = std::move(fields), .shorthand = ""};
}

Field eps(double value) {
  return real("eps", value, "Added to the denominator.").above(0);
}
Field momentum(double value) {
  return real("momentum", value, "Weight of the past direction; 0: none.").at_least(0).below(1);
}
std::vector<Field> adam_fields() {
  return {reals("betas", std::vector<double>{0.9, 0.999}, "Decay of the first and of the second moment.")
              .of_length({2})
              .at_least(0)
              .below(1),
          eps(1e-8), boolean("amsgrad", false, "Divide by the largest second moment so far (Reddi et al. 2018).")};
}

const RegisterSchema kSgd{
    "optimizer", schema("sgd", "Stochastic gradient descent.", 1e-3, 0,
                        {momentum(0), real("dampening", 0.0, "1 − weight of the gradient in the momentum."),
                         boolean("nesterov", false, "Look ahead along the momentum (Sutskever et al. 2013).")})};
const RegisterSchema kAdagrad{
    "optimizer",
    schema("adagrad", "Adagrad (Duchi et al. 2011).", 1e-2, 0,
           {real("lr_decay", 0.0, "Divide the rate by 1 + (t − 1) · lr_decay.").at_least(0),
            real("initial_accumulator", 0.0, "Sum of squares before the first step.").at_least(0), eps(1e-10)})};
const RegisterSchema kRmsprop{
    "optimizer", schema("rmsprop", "RMSprop (Hinton 2012).", 1e-2, 0,
                        {real("alpha", 0.99, "Decay of the mean square.").at_least(0).below(1), eps(1e-8), momentum(0),
                         boolean("centered", false, "Divide by the variance instead of the mean square.")})};
const RegisterSchema kAdam{"optimizer", schema("adam", "Adam (Kingma & Ba 2015).", 1e-3, 0, adam_fields())};
const RegisterSchema kAdamw{"optimizer", schema("adamw", "Adam with decoupled weight decay (Loshchilov & Hutter 2019).",
                                                1e-3, 1e-2, adam_fields())};

}  // namespace
}  // namespace athanor
