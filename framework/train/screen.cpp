#include "train/screen.h"

#include <fmt/format.h>

#include <iterator>

#include "train/units_text.h"

namespace athanor {
namespace {

void add_row(std::string& text, std::string_view key, std::string_view value) {
  fmt::format_to(std::back_inserter(text), "  {:<11} {}\n", key, value);
}

void add_machine(std::string& text, const FirstScreen& screen) {
  text += "machine\n";
  add_row(text, "host", screen.hardware.host);
  add_row(text, "processor", screen.hardware.cpu_model);
  add_row(text, "may use",
          fmt::format("{}, {} available", plural(screen.hardware.allowed_cpus, "core"),
                      bytes_text(screen.hardware.memory_available_bytes)));
  add_row(text, "scheduler", screen.binding);
  add_row(text, "runs on",
          fmt::format("{}, {}, own kernels for {}", screen.backend, screen.precision, screen.hardware.isa));
}

/// train.max_steps may end the run within an epoch, or be all that ends it.
std::string steps_text(const FirstScreen& screen) {
  const std::string an_epoch = fmt::format("{} an epoch", count_text(screen.steps_per_epoch));
  if (screen.total_steps == 0 || screen.total_steps == screen.epochs * screen.steps_per_epoch) {
    return fmt::format("{}, {}", an_epoch, plural(screen.epochs, "epoch"));
  }
  return fmt::format("{} in all (train.max_steps), {}", count_text(screen.total_steps), an_epoch);
}

void add_work(std::string& text, const FirstScreen& screen) {
  text += "work\n";
  if (!screen.data.empty()) add_row(text, "data", screen.data);
  add_row(text, "ranks", fmt::format("{}", screen.world_size));
  add_row(text, "shards", fmt::format("{} of {}", screen.shards, plural(screen.batch / screen.shards, "image")));
  add_row(text, "threads",
          fmt::format("{} a shard, {} side by side", screen.shard_threads, plural(screen.lanes, "shard")));
  if (screen.steps_per_epoch > 0) {
    add_row(text, "steps", steps_text(screen));
  }
  if (screen.dropped_samples > 0) {
    add_row(text, "dropped", fmt::format("{} an epoch fill no batch", plural(screen.dropped_samples, "image")));
  }
}

void add_network(std::string& text, const FirstScreen& screen) {
  text += "network\n";
  add_row(text, "parameters", count_text(screen.parameters));
  add_row(text, "FLOPs/image",
          fmt::format("{} forward, {} with backward", flops_text(static_cast<double>(screen.forward_flops_per_image)),
                      flops_text(static_cast<double>(screen.train_flops_per_image))));
}

void add_memory(std::string& text, const FirstScreen& screen) {
  text += "memory of a rank\n";
  const auto row = [&](std::string_view key, std::size_t bytes) {
    add_row(text, key, fmt::format("{:>9}", bytes_text(bytes)));
  };
  row("weights", screen.memory.state);
  row("optimizer", screen.memory.optimizer);
  row("gradients", screen.memory.gradients);
  row("activations", screen.memory.activations);
  row("shared", screen.memory.shared);
  row("data", screen.memory.data);
  row("snapshot", screen.memory.snapshot);
  row("peak", screen.memory.total());
}

}  // namespace

std::string first_screen(const FirstScreen& screen) {
  std::string text = screen.recipe;
  if (!text.empty() && text.back() != '\n') text += '\n';
  text += '\n';
  add_machine(text, screen);
  add_work(text, screen);
  add_network(text, screen);
  add_memory(text, screen);
  if (!screen.run_folder.empty()) fmt::format_to(std::back_inserter(text), "files in {}\n", screen.run_folder);
  for (const std::string& warning : screen.warnings) {
    fmt::format_to(std::back_inserter(text), "warning: {}\n", warning);
  }
  return text;
}

}  // namespace athanor
