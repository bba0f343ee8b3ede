// What a plan costs, in whole numbers that depend on nothing but the plan: steps, bytes moved, reorders, arenas, FLOPs,
// implementations. No clock is read, so two versions of the code can be compared on any machine, however busy.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/session.h"

namespace athanor {

struct Counter {
  std::string name;  ///< "bytes/conv2d": what is counted, then of what
  std::int64_t count = 0;
};

/// In the order in which they are printed; names differ.
///
/// Bytes moved by a step are the sizes of its inputs and outputs, each once however often the implementation reads it:
/// what memory must carry where nothing stays in a cache. Of a training step they are those of the prologue and of all
/// `train.shards` shards; of "evaluation/…" those of one batch of `eval.batch`. Scratch is counted as often as its step
/// runs. Views move nothing and are no steps. FLOPs are of one image.
std::vector<Counter> count_plans(const Recipe& recipe, const Sizing& sizing, const Plans& plans);

/// One line a counter, columns aligned.
std::string counter_text(const std::vector<Counter>& counters);

}  // namespace athanor
