// Between what a run knows and what a checkpoint says beside its tensors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/checkpoint_file.h"
#include "train/run_state.h"
#include "train/session.h"

namespace athanor {

/// What stays the same from a run's first step to its last.
struct RunFacts {
  std::string recipe_text;  ///< resolved
  std::uint64_t seed = 0;
  std::int64_t shards = 1;
  std::int64_t shard_threads = 1;
  std::int64_t batch = 0;
  std::int64_t steps_per_epoch = 1;
  int world_size = 1;               ///< of this attempt
  std::optional<double> bucket_mb;  ///< resolved; none: the fixed sizes
  std::string plan;                 ///< fingerprints; this one without the bounds of buckets
  std::string evaluation_plan;
  std::string train_data;
  std::string test_data;
  std::string isa;              ///< of the own kernels
  std::string backend;          ///< "cpu"
  std::string device_choices;   ///< Backend::choices; "": none
  std::string device_versions;  ///< what they were measured on; "": no choices
  std::string provenance;       ///< versions and hardware of this attempt
};

RunFacts facts_of(const Recipe& recipe, const Sizing& sizing, const Plans& plans, const RunData& data,
                  const std::string& provenance, int world_size);

CheckpointMeta checkpoint_meta(const RunFacts& facts, const RunState& state);

/// Throws StorageError about `file` where it lacks what a run goes on from: it holds weights only.
RunState state_from(const CheckpointMeta& meta, const std::string& file);

}  // namespace athanor
