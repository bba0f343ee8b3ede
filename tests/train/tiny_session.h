// What lies between a recipe and an executable, held together for tests that look inside a run.
#pragma once

#include <memory>
#include <vector>

#include "data/loader.h"
#include "train/session.h"
#include "train/tiny_run.h"

namespace athanor::testing {

struct TinySession {
  explicit TinySession(const std::vector<std::string>& overrides = {}, int lanes = 1) : recipe(tiny_recipe(overrides)) {
    sizing = size_run(recipe, data.train_size(), probe_hardware(), *communicator);
    sizing.lanes = lanes;
    plans = make_plans(recipe, model_of(recipe), data.train->info(), sizing);
    executable = backend_for(recipe.device).make_executable(executable_options(recipe, sizing, plans, *communicator));
    initialize_state(*executable, plans.training, recipe.train.seed);
  }

  void take_steps(std::int64_t count) {
    Loader loader(*data.train, {.batch = recipe.train.batch, .seed = recipe.train.seed});
    for (std::int64_t step = 0; step < count; ++step) {
      executable->step(loader.next(), {.step = step + 1, .lr = 0.05, .momentum = 0.9, .grad_scale = 1});
    }
  }

  /// A loader of the test split in batches of the session's size.
  std::unique_ptr<Loader> test_loader() const {
    LoaderOptions options{.mode = LoaderMode::evaluate, .batch = sizing.evaluation_rows};
    return std::make_unique<Loader>(*data.test, std::move(options));
  }

  /// Every tensor of the state, bit by bit.
  std::vector<std::vector<float>> state() const {
    std::vector<std::vector<float>> tensors;
    for (const StateEntry& entry : executable->list_state()) {
      tensors.emplace_back(static_cast<std::size_t>(entry.shape.elements()));
      executable->read_state(entry, tensors.back());
    }
    return tensors;
  }

  Recipe recipe;
  std::unique_ptr<Communicator> communicator = make_self_communicator();
  RunData data = open_data(recipe);
  Sizing sizing;
  Plans plans;
  std::unique_ptr<Executable> executable;
};

}  // namespace athanor::testing
