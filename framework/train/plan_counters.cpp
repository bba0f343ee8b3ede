#include "train/plan_counters.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "graph/op.h"
#include "train/text_table.h"
#include "train/units_text.h"

namespace athanor {
namespace {

constexpr std::size_t kSections = 3;  // prologue, forward, backward

class PlanCounter {
 public:
  explicit PlanCounter(const Plan& plan) : plan_(plan) {
    for (const PlannedStep& step : plan.prologue) add(step, 0, 1);
    for (const PlannedStep& step : plan.shard) {
      const bool forward = plan.graph.node(step.node).phase == Phase::forward;
      add(step, forward ? 1 : 2, plan.shards);
    }
  }

  std::vector<Counter> counters(const std::string& prefix, std::int64_t rows) const {
    std::vector<Counter> all;
    const auto say = [&](const std::string& name, std::int64_t count) { all.push_back({prefix + name, count}); };
    const auto by_section = [&](const std::string& name, const std::int64_t(&counts)[kSections]) {
      say(name + "/prologue", counts[0]);
      say(name + "/forward", counts[1]);
      if (plan_.is_training()) say(name + "/backward", counts[2]);
    };
    by_section("steps", steps_);
    by_section("reorders", reorders_);
    by_section("casts", casts_);
    say("bytes", bytes_);
    for (const auto& [op, bytes] : bytes_of_op_) say("bytes/" + op, bytes);
    say("scratch_bytes", scratch_bytes_);
    say("arena_bytes/lane", static_cast<std::int64_t>(plan_.lane_bytes));
    say("arena_bytes/shared", static_cast<std::int64_t>(plan_.shared_bytes));
    if (plan_.is_training()) {
      say("arena_bytes/outputs", static_cast<std::int64_t>(plan_.output_elements * sizeof(float)));
      say("arena_bytes/state", static_cast<std::int64_t>(plan_.state_elements * sizeof(float)));
      say("buckets", static_cast<std::int64_t>(plan_.reduce.size()));
    }
    const auto of_image = [&](double flops) { return std::llround(flops / static_cast<double>(rows)); };
    say("flops/forward", of_image(flops_[1]));
    if (plan_.is_training()) say("flops/backward", of_image(flops_[2]));
    for (const auto& [implementation, steps] : steps_of_implementation_) say("run/" + implementation, steps);
    return all;
  }

 private:
  void add(const PlannedStep& step, std::size_t section, std::int64_t times) {
    const Node& node = plan_.graph.node(step.node);
    if (node.op->is_view) return;
    const std::string& op = node.op->name;
    ++steps_[section];
    if (op == "reorder") ++reorders_[section];
    if (op == "cast") ++casts_[section];
    ++steps_of_implementation_[op + "/" + step.implementation];
    const std::int64_t bytes = times * (bytes_of(node.inputs) + bytes_of(node.outputs));
    bytes_ += bytes;
    bytes_of_op_[op] += bytes;
    scratch_bytes_ += times * static_cast<std::int64_t>(step.scratch_bytes);
    if (node.op->flops) flops_[section] += node.op->flops(plan_.graph, node);
  }

  /// A value that stands twice among the inputs is read once.
  std::int64_t bytes_of(std::vector<ValueId> values) const {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    std::int64_t bytes = 0;
    for (const ValueId id : values) {
      if (id != kNoValue) bytes += static_cast<std::int64_t>(plan_.buffers[static_cast<std::size_t>(id)].bytes);
    }
    return bytes;
  }

  const Plan& plan_;
  std::int64_t steps_[kSections] = {};
  std::int64_t reorders_[kSections] = {};
  std::int64_t casts_[kSections] = {};
  double flops_[kSections] = {};
  std::int64_t bytes_ = 0;
  std::int64_t scratch_bytes_ = 0;
  std::map<std::string, std::int64_t> bytes_of_op_;
  std::map<std::string, std::int64_t> steps_of_implementation_;
};

}  // namespace

std::vector<Counter> count_plans(const Recipe& recipe, const Sizing& sizing, const Plans& plans) {
  const auto training = PlanCounter(plans.training).counters("", recipe.train.batch / sizing.shards);
  const auto evaluation = PlanCounter(plans.evaluation).counters("evaluation/", sizing.evaluation_rows / sizing.shards);
  std::vector<Counter> all = training;
  all.insert(all.end(), evaluation.begin(), evaluation.end());
  return all;
}

std::string counter_text(const std::vector<Counter>& counters) {
  TextTable text({"counter", "count"}, {1});
  for (const Counter& counter : counters) text.add({counter.name, count_text(counter.count)});
  return text.text();
}

}  // namespace athanor
