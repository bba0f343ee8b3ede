// The resolved recipe: what the launch fixed, its text, and whether another run computes the same.
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "train/recipe.h"

namespace athanor {
namespace {

/// Keys that two runs of one experiment may have different.
constexpr std::array<std::string_view, 18> kFree = {"name",
                                                    "train.epochs",
                                                    "train.max_steps",
                                                    "train.deterministic",
                                                    "train.on_nonfinite",
                                                    "train.recompute",
                                                    "optimizer.shard",
                                                    "data.path",
                                                    "eval",
                                                    "checkpoint",
                                                    "comm.bucket_mb",
                                                    "comm.verify_every",
                                                    "comm.timeout_s",
                                                    "watchdog",
                                                    "device",
                                                    "cuda",
                                                    "versions",
                                                    "hardware"};
constexpr std::size_t kShownDifferences = 4;

YamlNode* section_of(YamlNode& root, std::string_view path, std::string_view& key) {
  const std::size_t dot = path.find('.');
  key = dot == std::string_view::npos ? path : path.substr(dot + 1);
  return dot == std::string_view::npos ? &root : root.find(path.substr(0, dot));
}

void erase(YamlNode& root, std::string_view path) {
  std::string_view key;
  if (YamlNode* section = section_of(root, path, key)) section->erase(key);
}

bool is_open(const YamlNode& root, std::string_view path) {
  const YamlNode* value = find_node(root, path);
  return value == nullptr || value->text == "0";
}

/// The largest divisor of `batch` that is at most `bound`.
std::int64_t divisor_below(std::int64_t batch, std::int64_t bound) {
  for (std::int64_t shards = std::min(batch, bound); shards > 1; --shards) {
    if (batch % shards == 0) return shards;
  }
  return 1;
}

}  // namespace

std::string batch_problem(std::int64_t batch, std::int64_t shards) {
  if (shards <= 0 || batch <= 0 || batch % shards == 0) return "";
  const std::int64_t below = batch / shards * shards;
  const std::string batches = below == 0 ? std::to_string(shards) : fmt::format("{} or {}", below, below + shards);
  return fmt::format("a batch of {} cannot be cut into {} equal shards; use a batch of {}, or train.shards={}", batch,
                     shards, batches, divisor_below(batch, shards));
}

void set_shards(Recipe& recipe, std::int64_t shards, std::int64_t shard_threads) {
  if (const std::string why = batch_problem(recipe.train.batch, shards); !why.empty()) {
    Problems problems;
    problems.add(recipe.place("train.batch"), "train.batch", why);
    problems.throw_if_any();
  }
  recipe.train.shards = shards;
  recipe.train.shard_threads = shard_threads;
  YamlNode* train = recipe.resolved.find("train");
  ATHANOR_CHECK(train != nullptr, "a resolved recipe without 'train'");
  train->set("shards", scalar_node(std::to_string(shards)));
  train->set("shard_threads", scalar_node(std::to_string(shard_threads)));
}

std::string resolved_text(const Recipe& recipe) {
  return emit(recipe.resolved);
}

std::optional<Difference> first_difference(const YamlNode& resolved_a, const YamlNode& resolved_b) {
  YamlNode a = resolved_a;
  YamlNode b = resolved_b;
  for (const std::string_view path : kFree) {
    erase(a, path);
    erase(b, path);
  }
  for (const std::string_view path : {"train.shards", "train.shard_threads"}) {
    if (!is_open(a, path) && !is_open(b, path)) continue;
    erase(a, path);
    erase(b, path);
  }
  return difference(a, b);
}

std::optional<Difference> first_difference(const Recipe& a, const Recipe& b) {
  return first_difference(a.resolved, b.resolved);
}

std::optional<std::string> difference_text(const std::string& recipe_there, const std::string& recipe_here) {
  YamlNode there = parse_yaml(recipe_there, "the folder's recipe.yaml");
  YamlNode here = parse_yaml(recipe_here, "the recipe given now");
  std::vector<std::string> differences, settings;
  for (std::size_t shown = 0; shown < kShownDifferences; ++shown) {
    const auto found = first_difference(there, here);
    if (!found) break;
    differences.push_back(fmt::format("{} is {} there and {} here", found->path, found->a, found->b));
    const std::size_t dots = static_cast<std::size_t>(std::count(found->path.begin(), found->path.end(), '.'));
    if (dots <= 1) settings.push_back(fmt::format("{}={}", found->path, found->a));
    // The rest of the section may differ as well.
    const std::size_t first_dot = found->path.find('.');
    const std::string key = dots <= 1 ? found->path : found->path.substr(0, found->path.find('.', first_dot + 1));
    erase(there, key);
    erase(here, key);
  }
  if (differences.empty()) return std::nullopt;
  std::string text = fmt::format("{}", fmt::join(differences, ", "));
  if (settings.size() == differences.size()) text += fmt::format(" (as it was: {})", fmt::join(settings, " "));
  return text;
}

}  // namespace athanor
