// athanor plan RECIPE [KEY=VALUE …] [--device cpu|NAME] [--steps] [--counters] [--json]: what training would do and
// need, without training.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "backend/backend.h"
#include "base/error.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "train/plan_counters.h"
#include "train/plan_table.h"
#include "train/session.h"
#include "train/units_text.h"

namespace athanor {
namespace {

using Json = nlohmann::ordered_json;

struct PlanArguments {
  RecipeArguments recipe;
  std::string device;
  bool steps = false;
  bool counters = false;
  bool json = false;
};

/// The shape of the data; where its files cannot be read, of the published set, and why.
struct PlannedData {
  DatasetInfo info;
  std::int64_t train_samples = 0;
  std::string missing;
};

PlannedData look_at_data(const Recipe& recipe) {
  try {
    const RunData data = open_data(recipe);
    return {data.train->info(), data.train_size(), ""};
  } catch (const DataError& error) {
    const std::optional<DatasetInfo> info = describe_dataset(recipe.data.set.name, recipe.data.set.attributes);
    if (!info) throw;
    return {*info, std::max<std::int64_t>(1, info->train_size - recipe.data.validation), error.what()};
  }
}

void choose_device(Recipe& recipe, const std::string& device) {
  if (device.empty()) return;
  if (device != "auto" && device != "cpu" && device != "cuda") {
    throw UsageError(
        "--device {}: planning for a GPU by name comes with the CUDA back end, this build knows no such device; use "
        "--device cpu",
        device);
  }
  recipe.device = device;
}

/// Shards whose activations are held at once.
std::string shards_at_once(const Sizing& sizing, const Plans& plans) {
  if (!plans.training.has_meetings()) return fmt::format("of {} side by side", plural(sizing.lanes, "shard"));
  return fmt::format("of all {}: they wait for each other in synchronised batch norms",
                     plural(sizing.local.count(), "shard"));
}

/// The memory of the same run with the other train.recompute. Not where engines are measured, which takes long.
std::optional<MemoryPlan> memory_of_other_way(Recipe recipe, const ModelSpec& model, const DatasetInfo& info,
                                              const Sizing& sizing, Communicator& communicator) {
  if (backend_for(recipe.device).device_memory_bytes()) return std::nullopt;
  recipe.train.recompute = !recipe.train.recompute;
  return plan_run_memory(recipe, info, sizing, make_plans(recipe, model, info, sizing), communicator);
}

std::string other_way_text(const Recipe& recipe, const std::optional<MemoryPlan>& memory) {
  if (!memory) return "";
  return fmt::format("  {:<12} {:>10}  with train.recompute={}: activations {}\n", "or peak",
                     bytes_text(memory->total()), !recipe.train.recompute, bytes_text(memory->activations));
}

std::string memory_text(const MemoryPlan& memory, const std::string& shards, std::size_t available,
                        const std::string& other_way) {
  std::string text = "peak memory of a rank\n";
  const auto row = [&](const char* use, std::size_t bytes, const std::string& note) {
    text += fmt::format("  {:<12} {:>10}{}\n", use, bytes_text(bytes), note.empty() ? "" : "  " + note);
  };
  row("weights", memory.state, "parameters and running statistics");
  row("optimizer", memory.optimizer, "");
  row("gradients", memory.gradients, "of the shards, and the sums of the tree");
  row("activations", memory.activations, shards);
  row("shared", memory.shared, "constants, reordered and cast weights");
  row("data", memory.data, "images held in memory, batches ahead of the step");
  row("snapshot", memory.snapshot, "what a checkpoint is written from, on rank 0");
  row("peak", memory.total(), memory.total() <= available ? "fits" : "DOES NOT FIT");
  text += other_way;
  row("available", available, "");
  return text;
}

std::string buckets_text(const Plans& plans) {
  std::string text = "gradient buckets, in the order in which backward finishes them\n";
  for (std::size_t i = 0; i < plans.training.reduce.size(); ++i) {
    const std::int64_t elements = plans.training.reduce[i].range.elements();
    text += fmt::format("  {:<12} {:>10}  {} values\n", i,
                        bytes_text(static_cast<std::size_t>(elements) * sizeof(float)), count_text(elements));
  }
  return text;
}

std::string optimize_text(const Recipe& recipe, const Plans& plans) {
  std::string text = fmt::format("updates by {}\n", recipe.optimizer.named.name);
  for (const OptimizeStep& step : plans.training.optimize) {
    for (const OptimizeSegment& segment : step.segments) {
      const double decay = static_cast<double>(std::max(segment.l2_decay, segment.decoupled_decay));
      text += fmt::format("  {:<12} {:>10}  values from {}, lr × {:g}, weight decay {:g}\n", "range",
                          count_text(segment.range.end - segment.range.begin), count_text(segment.range.begin),
                          static_cast<double>(segment.lr_scale), decay);
    }
  }
  return text;
}

Json row_json(const LayerRow& row) {
  return {{"layer", row.layer},
          {"op", row.op},
          {"output", row.output},
          {"parameter_formula", row.parameter_formula},
          {"parameters", row.parameters},
          {"forward_flops", row.forward_flops},
          {"backward_flops", row.backward_flops},
          {"activation_bytes", row.activation_bytes},
          {"implementation", row.implementation},
          {"is_reference", row.is_reference}};
}

Json json_of(const Recipe& recipe, const Plans& plans, const Sizing& sizing, const PlanTable& table,
             const MemoryPlan& memory, const std::optional<MemoryPlan>& other_way, std::size_t available,
             const PlannedData& data) {
  Json json{{"name", recipe.name},
            {"data_missing", data.missing},
            {"device", backend_for(recipe.device).name()},
            {"precision", recipe.train.precision},
            {"batch", recipe.train.batch},
            {"shards", sizing.shards},
            {"shard_threads", sizing.shard_threads},
            {"lanes", sizing.lanes},
            {"parameters", plans.training.graph.parameter_count()},
            {"forward_flops_per_image", table.total.forward_flops},
            {"backward_flops_per_image", table.total.backward_flops},
            {"peak_bytes", memory.total()},
            {"available_bytes", available},
            {"fits", memory.total() <= available},
            {"fingerprint", plans.training.fingerprint()},
            {"reference_steps", table.reference_steps}};
  json["memory"] = {{"weights", memory.state},       {"optimizer", memory.optimizer},
                    {"gradients", memory.gradients}, {"activations", memory.activations},
                    {"shared", memory.shared},       {"data", memory.data},
                    {"snapshot", memory.snapshot}};
  json["recompute"] = recipe.train.recompute;
  if (other_way) json["peak_bytes_other_recompute"] = other_way->total();
  json["layers"] = Json::array();
  for (const LayerRow& row : table.layers) json["layers"].push_back(row_json(row));
  json["buckets"] = Json::array();
  for (const ReduceStep& step : plans.training.reduce) {
    json["buckets"].push_back({{"begin", step.range.begin}, {"end", step.range.end}});
  }
  json["steps"] = Json::array();
  for (const StepRow& step : table.steps) {
    json["steps"].push_back({{"when", step.section},
                             {"layer", step.layer},
                             {"op", step.op},
                             {"implementation", step.implementation},
                             {"is_reference", step.is_reference}});
  }
  json["counters"] = Json::object();
  for (const Counter& counter : count_plans(recipe, sizing, plans)) json["counters"][counter.name] = counter.count;
  return json;
}

std::string heading(const Recipe& recipe, const PlannedData& data, const Sizing& sizing) {
  const DatasetInfo& info = data.info;
  std::string text = fmt::format(
      "{}: {} images {}×{}×{}, {}; {}, {}\nbatch {} = {} of {}, {} each, {} side by side\n", recipe.name, info.name,
      info.channels, info.height, info.width, plural(info.classes, "class", "classes"),
      backend_for(recipe.device).name(), recipe.train.precision, recipe.train.batch, plural(sizing.shards, "shard"),
      plural(recipe.train.batch / sizing.shards, "image"), plural(sizing.shard_threads, "thread"), sizing.lanes);
  if (!data.missing.empty()) {
    text += fmt::format("planned from the published shape of the data, because it is not here: {}\n", data.missing);
  }
  return text;
}

/// As the first of the ranks that there are would run it.
void run_plan(const PlanArguments& arguments, Communicator& communicator) {
  Recipe recipe = read_recipe(arguments.recipe.recipe, arguments.recipe.overrides);
  choose_device(recipe, arguments.device);
  want_device(recipe);
  const Backend& backend = backend_for(recipe.device);
  const Hardware hardware = probe_hardware();
  const PlannedData data = look_at_data(recipe);
  const Sizing sizing = size_run(recipe, data.train_samples, hardware, communicator);
  const ModelSpec model = model_of(recipe);
  const Plans plans = make_plans(recipe, model, data.info, sizing);
  const MemoryPlan memory = plan_run_memory(recipe, data.info, sizing, plans, communicator);
  const std::optional<MemoryPlan> other_way = memory_of_other_way(recipe, model, data.info, sizing, communicator);
  const std::size_t available = available_bytes(backend, hardware, communicator);
  const PlanTable table = make_plan_table(plans.training, recipe.train.batch / sizing.shards);

  std::FILE* text = arguments.json ? stderr : stdout;
  fmt::print(text, "{}\nlayers; FLOPs forward and backward, bytes of activations, of one image\n{}\n{}\n{}\n{}\n",
             heading(recipe, data, sizing), layer_table_text(table),
             memory_text(memory, shards_at_once(sizing, plans), available, other_way_text(recipe, other_way)),
             buckets_text(plans), optimize_text(recipe, plans));
  if (arguments.steps) fmt::print(text, "steps\n{}\n", step_table_text(table));
  if (arguments.counters) fmt::print(text, "counters\n{}\n", counter_text(count_plans(recipe, sizing, plans)));
  if (table.reference_steps > 0) {
    fmt::print(text, "warning: {} on a slow reference kernel; --steps lists them\n",
               table.reference_steps == 1 ? "1 step runs" : fmt::format("{} steps run", table.reference_steps));
  }
  fmt::print(text, "fingerprint {}\n", plans.training.fingerprint());
  if (arguments.json) print_json(json_of(recipe, plans, sizing, table, memory, other_way, available, data).dump());
  std::fflush(stdout);
  check_memory(recipe, model, data.info, sizing, plans, hardware, communicator);
}

void add_plan(CLI::App& program, int&) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* command =
      program.add_subcommand("plan", "Prints layers, costs, memory and implementations; trains nothing");
  arguments->recipe.add_to(*command);
  command->add_option("--device", arguments->device, "Plan for this device instead of the recipe's: cpu");
  command->add_flag("--steps", arguments->steps, "List every step with its full implementation too");
  command->add_flag("--counters", arguments->counters, "Count steps, bytes moved, reorders and implementations too");
  command->add_flag("--json", arguments->json, "Print one JSON object on standard output");
  command->callback([arguments] {
    run_on_first_rank("plan", [&](Communicator& communicator) { run_plan(*arguments, communicator); });
  });
}

const RegisterCommand kPlan{3, add_plan};

}  // namespace
}  // namespace athanor
