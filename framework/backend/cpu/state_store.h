// The arenas that outlive a step — parameters, running statistics, optimizer slots, averages — and their named tensors.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/cpu/arena.h"
#include "backend/executable.h"
#include "graph/plan.h"
#include "optim/optimizer.h"

namespace athanor::cpu {

class StateStore {
 public:
  /// `plan` names the tensors and their layouts. Slots start at their initial value. `owned`: the ranges of the slots
  /// that this rank keeps; empty: all. Slots keep the parameters' offsets all the same: memory that nobody touches is
  /// never made real.
  StateStore(const Plan& plan, const OptimizerSpec& optimizer, std::vector<ArenaRange> owned = {});

  float* state() const { return state_.floats(); }
  float* average() const { return average_.floats(); }
  const std::vector<ArenaMemory>& slots() const { return slots_; }

  std::vector<StateEntry> list() const;
  std::unique_ptr<StateSnapshot> make_snapshot() const;
  /// Copies every arena into a snapshot of make_snapshot.
  void capture(StateSnapshot& snapshot) const;
  /// A snapshot's copy of a slot.
  float* slot_of(StateSnapshot& snapshot, std::size_t slot) const;
  /// XXH3-64 of each parameter and running statistic as it lies in memory, in the order of list().
  std::vector<std::uint64_t> hash() const;
  /// Logical order both ways; of slots only what this rank keeps. An entry that does not exist is a broken invariant.
  void read(const StateEntry& entry, std::span<float> values) const;
  void write(const StateEntry& entry, std::span<const float> values);

 private:
  friend class CpuStateSnapshot;

  /// The arenas, or a copy of them.
  struct Bases {
    float* state;
    float* average;
    std::vector<float*> slots;
  };
  struct Place {
    const StateTensor* tensor;
    float* data;
  };
  Bases bases() const;
  Place find(const StateEntry& entry, const Bases& bases) const;
  void read_from(const Bases& bases, const StateEntry& entry, std::span<float> values) const;
  void write_owned(const StateTensor& tensor, std::span<const float> values, float* slot) const;
  void reorder(const StateTensor& tensor, const void* from, bool from_logical, void* to) const;

  const Plan& plan_;
  OptimizerSpec optimizer_;
  std::vector<ArenaRange> owned_;
  ArenaMemory state_;
  ArenaMemory average_;
  std::vector<ArenaMemory> slots_;
};

}  // namespace athanor::cpu
