// How a checkpoint benchmark is written: for machines and for people.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "train/checkpoint_benchmark.h"
#include "train/text_table.h"
#include "train/units_text.h"

namespace athanor {
namespace {

constexpr double kMs = 1e3;

nlohmann::ordered_json pair_json(const MeasuredPair& pair) {
  return {{"ms", pair.ours * kMs}, {"plain_ms", pair.plain * kMs}, {"ratio", pair.plain / pair.ours}};
}

}  // namespace

std::string to_json(const CheckpointBenchmark& b) {
  const nlohmann::ordered_json json{{"benchmark", "checkpoint"},   {"recipe", b.recipe},
                                    {"folder", b.folder},          {"rounds", b.rounds},
                                    {"tensors", b.tensors},        {"state_bytes", b.state_bytes},
                                    {"file_bytes", b.file_bytes},  {"stall", pair_json(b.stall)},
                                    {"write", pair_json(b.write)}, {"verify", pair_json(b.verify)},
                                    {"read", pair_json(b.read)}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void print_checkpoint_benchmark(std::FILE* out, const CheckpointBenchmark& b) {
  fmt::print(out, "{}: {} of state in {}, file of {} in {}; medians of {}\n", b.recipe, bytes_text(b.state_bytes),
             plural(b.tensors, "tensor"), bytes_text(b.file_bytes), b.folder, plural(b.rounds, "round"));
  TextTable table({"", "ms", "MB/s", "beside it", "ms", "speed of that"}, {1, 2, 4, 5});
  const auto add = [&](const char* name, const MeasuredPair& pair, std::uint64_t bytes, const char* plain) {
    table.add({name, fmt::format("{:.1f}", pair.ours * kMs),
               count_text(static_cast<std::int64_t>(static_cast<double>(bytes) * 1e-6 / pair.ours)), plain,
               fmt::format("{:.1f}", pair.plain * kMs), fmt::format("{:.2f}", pair.plain / pair.ours)});
  };
  add("stall of the step loop", b.stall, b.state_bytes, "memcpy");
  add("write, synced and renamed", b.write, b.file_bytes, "write and fsync");
  add("read back before the rename", b.verify, b.file_bytes, "read");
  add("read to resume", b.read, b.file_bytes, "read");
  fmt::print(out, "{}", table.text());
}

}  // namespace athanor
