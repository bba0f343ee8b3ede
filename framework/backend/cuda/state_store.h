// The arenas on a GPU that outlive a step — parameters, running statistics, optimizer slots, averages — and their named
// tensors.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/device_memory.h"
#include "backend/executable.h"
#include "backend/state_entries.h"
#include "graph/plan.h"
#include "optim/optimizer.h"

namespace athanor::cuda {

class StateStore {
 public:
  /// `plan` names the tensors and their layouts. Slots start at their initial value.
  StateStore(Device& device, const Plan& plan, const OptimizerSpec& optimizer);

  float* state() const { return arenas_[0].as<float>(); }
  /// nullptr without averaging.
  float* average() const { return arenas_[1].as<float>(); }
  float* slot(std::size_t index) const { return arenas_[2 + index].as<float>(); }
  std::size_t slots() const { return arenas_.size() - 2; }

  /// `elements` float32 numbers in device memory that belong to the optimizer's state, as "SLOT/NAME". Before
  /// make_snapshot.
  void add_numbers(std::string name, float* data, std::size_t elements) {
    numbers_ = {std::move(name), data, elements};
  }

  std::vector<StateEntry> list() const;
  /// Logical order both ways, through pinned memory; waits for the device. An entry that does not exist is a broken
  /// invariant.
  void read(const StateEntry& entry, std::span<float> values) const;
  void write(const StateEntry& entry, std::span<const float> values);
  /// Pinned memory for a copy of every arena.
  std::unique_ptr<StateSnapshot> make_snapshot() const;
  /// Copies every arena, and waits until that is done.
  void capture(StateSnapshot& snapshot) const;
  /// Of each parameter and running statistic as it lies in memory, in the order of list(), by one kernel.
  std::vector<std::uint64_t> hash() const;

  /// Device memory that a plan's state takes: parameters and statistics; slots and averages.
  static std::size_t state_bytes(const Plan& plan) { return plan.state_elements * sizeof(float); }
  static std::size_t optimizer_bytes(const Plan& plan, const OptimizerSpec& optimizer);

 private:
  friend class DeviceSnapshot;
  /// Numbers that no tensor of the plan holds.
  struct Numbers {
    std::string name;
    float* data = nullptr;
    std::size_t elements = 0;
  };
  bool is_numbers(const StateEntry& entry) const {
    return numbers_.elements > 0 && entry.kind == StateKind::optimizer && entry.name == numbers_.name;
  }
  void place_hash_ranges();
  void read_held(const StateTensor& tensor, const float* held, std::span<float> values) const;

  Device& device_;
  const Plan& plan_;
  OptimizerSpec optimizer_;
  std::vector<DeviceMemory> arenas_;  // state, average, slots
  DeviceMemory staging_;              // pinned: the largest tensor
  Numbers numbers_;
  DeviceMemory hashed_;  // ranges of the state, one a tensor
  DeviceMemory hashes_;  // pinned
};

}  // namespace athanor::cuda
