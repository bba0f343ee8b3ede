// The keys of the recipe's fixed sections. What is chosen by name (data sets, models, …) registers its own keys.
#include "config/registry.h"
#include "optim/averaging.h"

namespace athanor {
namespace {

Field count(std::string name, std::int64_t value, std::string doc) {
  return integer(std::move(name), value, std::move(doc)).at_least(0).at_most(1e15);
}

const RegisterSchema kRecipe{
    "section",
    {.name = "recipe",
     .doc = "The keys of the file itself; the other ones are sections.",
     .fields = {text("name", "",
                     "Of the run folder, runs/NAME: letters, digits, `.`, `_`, `-`; left out: the recipe's file name."),
                text("device", "auto", "Where to train; auto: cuda where there is a device.")
                    .one_of({"auto", "cpu", "cuda"})},
     .shorthand = {}}};

const RegisterSchema kData{
    "section",
    {.name = "data",
     .doc = "With `name`, the keys of that data set, `normalize`, and `augment`, a list.",
     .fields = {count(
         "validation", 0,
         "Training images held out, stratified, that drive `best` and reduce_on_plateau; 0: the test split does.")},
     .shorthand = {}}};

const RegisterSchema kNormalize{"section",
                                {.name = "data.normalize",
                                 .doc = "(pixel / 255 − mean) / std.",
                                 .fields = {reals("mean", std::vector<double>{0.0}, "One value, or one a channel."),
                                            reals("std", std::vector<double>{1.0}, "As many values.").above(0)},
                                 .shorthand = {}}};

const RegisterSchema kModel{
    "section",
    {.name = "model",
     .doc = "A network of layers; a model by `name` has keys of its own.",
     .fields = {integers("input", std::nullopt, "Shape of one image, [channels, height, width].")
                    .of_length({1, 3})
                    .at_least(1),
                layers("layers", "From input to logits.").must_be_given()},
     .shorthand = {}}};

const RegisterSchema kEveryModel{
    "section",
    {.name = "every model",
     .doc = "A key of `model` beside those of its layers or its name.",
     .fields = {texts("reset", std::vector<std::string>{},
                      "Patterns of parameters that start anew with `train --init FILE`; `*` any characters, `?` one.")},
     .shorthand = {}}};

const RegisterSchema kTrain{
    "section",
    {.name = "train",
     .doc = "How long, how much at once, and in which arithmetic.",
     .fields =
         {count("epochs", 10, "Passes over the training images; 0: as many as max_steps takes."),
          count("max_steps", 0, "Updates after which to end; 0: no bound."),
          integer("batch", 128, "Images of one update, over all ranks.").at_least(1).at_most(1e9),
          count("shards", 0,
                "Parts of a batch, each with its own batch-norm statistics; 0: as many as ranks at the "
                "first launch.")
              .at_most(65536),
          count("shard_threads", 0, "CPU threads that share a shard; 0: cores ÷ shards, at least 1.").at_most(65536),
          count("seed", 0, "Of weights, order and augmentation."),
          text("precision", "fp32",
               "Of activations and matrix work; tf32: fp32 whose products are rounded to TF32; fp16: with a loss scale "
               "that finds its own size. tf32 and fp16 need device: cuda.")
              .one_of({"fp32", "tf32", "bf16", "fp16"}),
          text("winograd", "auto",
               "auto: 3×3 convolutions are computed by Winograd's algorithm where that measures faster; their sums are "
               "then about a digit less exact than direct ones. off: directly, and batch norms sum for themselves. On "
               "GPUs it changes nothing.")
              .one_of({"auto", "off"}),
          text("reduction", "tree", "tree: the same bits on any number of ranks; fast: the library's order.")
              .one_of({"tree", "fast"}),
          boolean("deterministic", true, "Only algorithms that give the same bits every time."),
          text("on_nonfinite", "stop", "After a loss or gradient that is not finite: stop, or skip the update.")
              .one_of({"stop", "skip"}),
          boolean(
              "recompute", false,
              "Activations that are cheap to compute again are not kept for backward: less memory for a little time, "
              "with the same bits.")},
     .shorthand = {}}};

const RegisterSchema kGroup{
    "section",
    {.name = "optimizer.groups",
     .doc = "A list: parameters with settings of their own. The first group that matches counts.",
     .fields = {texts("match", std::nullopt, "Patterns of parameter names; `*` any characters, `?` one."),
                real("weight_decay", 0.0, "Instead of the optimizer's; left out: the optimizer's.").at_least(0),
                real("lr_scale", 1.0, "Factor of the learning rate.").at_least(0)},
     .shorthand = {}}};

const RegisterSchema kEma{"section", ema_schema()};

const RegisterSchema kEval{
    "section",
    {.name = "eval",
     .doc = "Accuracy and loss of the test split, every sample once.",
     .fields = {count("every_epochs", 1, "Epochs between evaluations; 0: only at the end."),
                integer("batch", 500, "Images at once, over all ranks.").at_least(1).at_most(1e9)},
     .shorthand = {}}};

const RegisterSchema kCheckpoint{
    "section",
    {.name = "checkpoint",
     .doc = "When to save, and what to keep.",
     .fields = {count("every_epochs", 1, "Epochs between checkpoints; 0: not by epochs."),
                count("every_steps", 0, "Updates between checkpoints; 0: not by updates."),
                integer("keep", 3, "Newest checkpoints kept.").at_least(1).at_most(1e6),
                count("keep_every", 0, "Keeps for good those whose step it divides; 0: none."),
                boolean("best", true, "Keeps the one with the best accuracy."),
                boolean("required", false, "A checkpoint that cannot be written ends the run.")},
     .shorthand = {}}};

const RegisterSchema kComm{
    "section",
    {.name = "comm",
     .doc = "How ranks talk.",
     .fields = {text("bucket_mb", "auto",
                     "Gradients that travel together, in MB (10⁶ bytes); auto: measured once, and 25 "
                     "between GPUs."),
                text("wire", "fp32", "What gradients travel as; the 16-bit ones need train.reduction: fast.")
                    .one_of({"fp32", "bf16", "fp16"}),
                count("verify_every", 1000, "Updates between comparisons of the ranks' weights; 0: never."),
                text("timeout_s", "auto", "Seconds until a silent peer counts as lost, or auto.")},
     .shorthand = {}}};

const RegisterSchema kWatchdog{
    "section",
    {.name = "watchdog",
     .doc = "When a job that gets no further ends.",
     .fields = {text("timeout_s", "auto",
                     "Seconds without progress after which all ranks end with exit code 6; auto: 30, or 20 steps where "
                     "that is longer.")},
     .shorthand = {}}};

const RegisterSchema kCuda{
    "section",
    {.name = "cuda",
     .doc = "What only `device: cuda` reads.",
     .fields = {boolean("graph", true, "A step is launched as one graph; false: launch by launch, for debugging."),
                boolean(
                    "overlap", true,
                    "Gradients of weights run beside the rest of backward; false: one after the other. Same bits.")},
     .shorthand = {}}};

}  // namespace
}  // namespace athanor
