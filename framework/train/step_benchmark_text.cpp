// How a step benchmark is written: for machines and for people.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "train/step_benchmark.h"
#include "train/units_text.h"

namespace athanor {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kMs = 1e3;

Json spread_json(const Spread& spread, double unit) {
  return {{"median", spread.median * unit}, {"p10", spread.p10 * unit}, {"p90", spread.p90 * unit}};
}

Json ops_json(const std::vector<OpShare>& ops) {
  Json list = Json::array();
  for (const OpShare& op : ops) {
    list.push_back({{"op", op.op},
                    {"nodes", op.nodes},
                    {"ms", op.seconds * kMs},
                    {"share", op.share},
                    {"gflop_per_s", op.gflop_per_s}});
  }
  return list;
}

Json products_json(const std::vector<CeilingProduct>& products) {
  Json list = Json::array();
  for (const CeilingProduct& product : products) {
    list.push_back({{"op", product.op},
                    {"layer", product.layer},
                    {"shapes", product.shapes},
                    {"nodes", product.nodes},
                    {"implementation", product.implementation},
                    {"layouts", product.layouts},
                    {"ms", product.seconds * kMs},
                    {"gflop_per_s", product.seconds > 0 ? product.flops * 1e-9 / product.seconds : 0},
                    {"planned_slowdown", product.planned_slowdown}});
  }
  return list;
}

}  // namespace

std::string to_json(const StepBenchmark& b) {
  Json json;
  json["benchmark"] = "step";
  json["recipe"] = b.recipe;
  json["cpu"] = b.cpu_model;
  json["isa"] = b.isa;
  json["backend"] = b.backend;
  json["pass"] = b.evaluation ? "evaluation" : "training";
  json["precision"] = b.precision;
  if (b.host_s > 0) json["host_ms"] = b.host_s * 1e3;
  json["batch"] = b.batch;
  json["shards"] = b.shards;
  json["lanes"] = b.lanes;
  json["shard_threads"] = b.shard_threads;
  json["threads"] = b.threads;
  json["steps"] = b.steps;
  json["images_per_s"] = spread_json(b.images_per_s, 1);
  json["step_ms"] = spread_json(b.step_s, kMs);
  json["start_ms"] = b.start_s * kMs;
  json["page_faults_per_step"] = b.page_faults_per_step;
  json["flops_per_step"] = b.flops_per_step;
  json["gflop_per_s"] = b.gflop_per_s;
  const auto if_known = [&](double value) { return b.ceiling_s > 0 ? Json(value) : Json(nullptr); };
  json["ceiling_ms"] = if_known(b.ceiling_s * kMs);
  json["ceiling_share"] = if_known(b.ceiling_share);
  json["ceiling_gflop_per_s"] = if_known(b.products_flops_per_step * 1e-9 / b.ceiling_s);
  json["memory_plan_bytes"] = b.memory_plan_bytes;
  json["peak_bytes"] = b.peak_bytes;
  json["load_before"] = b.load_before;
  json["load_after"] = b.load_after;
  json["ops"] = ops_json(b.ops);
  json["ceiling"] = products_json(b.products);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void print_step_benchmark(std::FILE* out, const StepBenchmark& b) {
  fmt::print(out, "{}: {}batch {}, {} shards, {} side by side with {} each, {}\n", b.recipe,
             b.evaluation ? "evaluation, " : "", b.batch, b.shards, b.lanes, plural(b.shard_threads, "thread"),
             b.precision);
  fmt::print(out, "  machine    {} ({}), load {:.1f} before, {:.1f} after\n", b.cpu_model, b.isa, b.load_before,
             b.load_after);
  fmt::print(out, "  step       {:.2f} ms ({:.2f} – {:.2f}), {} steps\n", b.step_s.median * kMs, b.step_s.p10 * kMs,
             b.step_s.p90 * kMs, b.steps);
  fmt::print(out, "  speed      {:.0f} images/s ({:.0f} – {:.0f}), {:.1f} GFLOP/s of {} a step\n",
             b.images_per_s.median, b.images_per_s.p10, b.images_per_s.p90, b.gflop_per_s,
             flops_text(b.flops_per_step));
  if (b.host_s > 0) fmt::print(out, "  host       {:.0f} us to hand a step over\n", b.host_s * 1e6);
  fmt::print(out, "  memory     {} planned, {} peak of the process, {:.1f} page faults a step\n",
             bytes_text(b.memory_plan_bytes), bytes_text(b.peak_bytes), b.page_faults_per_step);
  fmt::print(out, "  start      {:.2f} s until the first step could begin\n", b.start_s);
  if (b.ceiling_s > 0) {
    fmt::print(out, "  ceiling    {:.2f} ms: its convolutions and matrix products alone, {:.1f} % of the step\n",
               b.ceiling_s * kMs, b.ceiling_share * 100);
  }
  if (b.ops.empty()) return;
  fmt::print(out, "\n  {:<28} {:>5} {:>9} {:>7} {:>9}\n", "op", "nodes", "ms", "share", "GFLOP/s");
  for (const OpShare& op : b.ops) {
    fmt::print(out, "  {:<28} {:>5} {:>9.3f} {:>6.1f}% {:>9.1f}\n", op.op, op.nodes, op.seconds * kMs, op.share * 100,
               op.gflop_per_s);
  }
  if (b.products.empty()) return;
  fmt::print(out, "\n  Fastest of each product (time of one; plan: time of the planner's free choice over it)\n");
  fmt::print(out, "  {:<24} {:<34} {:>5} {:>9} {:>8} {:>6}  {}\n", "op", "shapes", "nodes", "us", "GFLOP/s", "plan",
             "implementation, layouts");
  for (const CeilingProduct& p : b.products) {
    fmt::print(out, "  {:<24} {:<34} {:>5} {:>9.1f} {:>8.1f} {:>6.2f}  {}, {}\n", p.op, p.shapes, p.nodes,
               p.seconds * 1e6, p.seconds > 0 ? p.flops * 1e-9 / p.seconds : 0, p.planned_slowdown, p.implementation,
               p.layouts);
  }
}

}  // namespace athanor
