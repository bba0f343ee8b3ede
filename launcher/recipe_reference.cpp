// athanor recipe-reference: every key of a recipe, from the schemas that the strict reader uses, as docs/recipe.md.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/reference.h"
#include "config/registry.h"
#include "launcher/command.h"

namespace athanor {
namespace {

constexpr const char* kIntroduction = R"(# The recipe

A recipe is a YAML file that says everything a training run depends on. Every key that it can hold stands here with its
type, default and range. An unknown key, a wrong type or a value out of range is an error that names the place, the
nearest valid name and what is allowed; all problems of a file are reported at once.

This file is printed by `athanor recipe-reference`, from the schemas that the program itself reads recipes with.

A network by name:

```yaml
name: fashion-resnet20
data:
  name: fashion_mnist
  path: "${ATHANOR_DATA}/fashion-mnist"
  normalize: {mean: [0.2860], std: [0.3530]}
  augment:
    - random_crop: {padding: 2}
    - horizontal_flip
model: {name: cifar_resnet, depth: 20, width: 16, classes: 10}
train: {epochs: 10, batch: 128, shards: 8}
optimizer: {name: sgd, lr: 0.2, momentum: 0.9, nesterov: true, weight_decay: 5e-4}
schedule: {name: one_cycle, warmup: 0.25}
```

A network of layers, on the data set that needs no files:

```yaml
data: {name: glyphs}
model:
  input: [1, 28, 28]
  layers:
    - conv: {channels: 32, kernel: 3}
    - relu
    - max_pool: 2
    - flatten
    - linear: 10
optimizer: {name: adam, lr: 1e-3}
```

- Overrides on the command line use dots: `athanor train recipe.yaml optimizer.lr=0.1 model.depth=56`.
- `${NAME}` is an environment variable. Where `ATHANOR_DATA` is not set, `../shared/data` stands in for it.
- A choice by name is a mapping with `name`, or the name alone where the defaults do: `loss: cross_entropy`.
- Layers and augmentations are lists; a layer without settings is its name alone, and one with a short form takes its
  main setting as `linear: 10`.

)";

/// In the order in which a recipe is written; a section that is registered later comes last.
constexpr std::array<std::string_view, 13> kSections = {
    "recipe", "data", "data.normalize", "model", "every model", "train", "optimizer.groups",
    "ema",    "eval", "checkpoint",     "comm",  "watchdog",    "cuda"};

struct Kind {
  std::string_view name;
  std::string_view title;
};
constexpr std::array<Kind, 7> kKinds = {{{"data", "Data sets (`data.name`)"},
                                         {"augment", "Augmentations (`data.augment`)"},
                                         {"model", "Models (`model.name`)"},
                                         {"layer", "Layers (`model.layers`)"},
                                         {"loss", "Losses (`loss.name`)"},
                                         {"optimizer", "Optimizers (`optimizer.name`)"},
                                         {"schedule", "Schedules (`schedule.name`)"}}};

std::string reference() {
  std::string text = kIntroduction;
  text += "## Sections\n\n";
  for (const std::string_view name : kSections) {
    if (const Schema* schema = find_schema("section", name)) text += markdown_reference(*schema);
  }
  for (const Schema* schema : schemas_of("section")) {
    if (std::find(kSections.begin(), kSections.end(), schema->name) == kSections.end())
      text += markdown_reference(*schema);
  }
  for (const Kind& kind : kKinds) text += fmt::format("## {}\n\n{}", kind.title, markdown_reference(kind.name));
  // One line break at the end, as in any text file.
  text.erase(text.find_last_not_of('\n') + 1);
  return text + "\n";
}

void add_recipe_reference(CLI::App& program, int&) {
  CLI::App* command = program.add_subcommand("recipe-reference", "Prints every key of a recipe, as Markdown");
  command->callback([] { fmt::print("{}", reference()); });
}

const RegisterCommand kRecipeReference{90, add_recipe_reference};

}  // namespace
}  // namespace athanor
