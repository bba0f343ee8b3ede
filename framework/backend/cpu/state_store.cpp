#include "backend/cpu/state_store.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "backend/cpu/onednn.h"
#include "backend/state_entries.h"
#include "base/error.h"

namespace athanor::cpu {

StateStore::StateStore(const Plan& plan, const OptimizerSpec& optimizer, std::vector<ArenaRange> owned)
    : plan_(plan), optimizer_(optimizer), owned_(std::move(owned)), state_(plan.state_elements * sizeof(float)) {
  state_.touch();
  if (!plan.is_training()) return;
  for (const StateSlot& slot : optimizer.slots) {
    slots_.emplace_back(plan.parameter_elements * sizeof(float));
    const ArenaRange all{0, static_cast<std::int64_t>(plan.parameter_elements)};
    for (const ArenaRange& range : owned_.empty() ? std::vector<ArenaRange>{all} : owned_) {
      std::fill_n(slots_.back().floats() + range.begin, range.elements(), slot.initial);
    }
  }
  if (optimizer.ema.enabled()) {
    average_ = ArenaMemory(plan.state_elements * sizeof(float));
    average_.touch();
  }
}

/// Copies of the arenas of one store, which it must not outlive.
class CpuStateSnapshot final : public StateSnapshot {
 public:
  explicit CpuStateSnapshot(const StateStore& store) : store_(store) {
    for (const ArenaMemory* arena : arenas_of(store)) {
      copies_.emplace_back(arena->bytes());
      copies_.back().touch();
    }
  }

  void capture() {
    const std::vector<const ArenaMemory*> arenas = arenas_of(store_);
    for (std::size_t i = 0; i < arenas.size(); ++i) {
      if (i >= 2 && !store_.owned_.empty()) {
        for (const ArenaRange& range : store_.owned_) {
          std::copy_n(arenas[i]->floats() + range.begin, range.elements(), copies_[i].floats() + range.begin);
        }
      } else if (arenas[i]->bytes() > 0) {
        std::memcpy(copies_[i].data(), arenas[i]->data(), arenas[i]->bytes());
      }
    }
  }

  float* slot(std::size_t index) const { return copies_[2 + index].floats(); }

  void read(const StateEntry& entry, std::span<float> values) const override {
    StateStore::Bases bases{copies_[0].floats(), copies_[1].floats(), {}};
    for (std::size_t i = 2; i < copies_.size(); ++i) bases.slots.push_back(copies_[i].floats());
    store_.read_from(bases, entry, values);
  }
  std::size_t bytes() const override {
    std::size_t sum = 0;
    for (const ArenaMemory& copy : copies_) sum += copy.bytes();
    return sum;
  }

 private:
  static std::vector<const ArenaMemory*> arenas_of(const StateStore& store) {
    std::vector<const ArenaMemory*> arenas{&store.state_, &store.average_};
    for (const ArenaMemory& slot : store.slots_) arenas.push_back(&slot);
    return arenas;
  }

  const StateStore& store_;
  std::vector<ArenaMemory> copies_;  // state, average, slots
};

std::unique_ptr<StateSnapshot> StateStore::make_snapshot() const {
  return std::make_unique<CpuStateSnapshot>(*this);
}

void StateStore::capture(StateSnapshot& snapshot) const {
  dynamic_cast<CpuStateSnapshot&>(snapshot).capture();
}

float* StateStore::slot_of(StateSnapshot& snapshot, std::size_t slot) const {
  return dynamic_cast<CpuStateSnapshot&>(snapshot).slot(slot);
}

std::vector<std::uint64_t> StateStore::hash() const {
  std::vector<std::uint64_t> hashes;
  for (const StateTensor& tensor : plan_.state) {
    hashes.push_back(XXH3_64bits(state_.floats() + tensor.offset, tensor.elements * sizeof(float)));
  }
  return hashes;
}

std::vector<StateEntry> StateStore::list() const {
  return list_state_entries(plan_, optimizer_, average_.data() != nullptr);
}

StateStore::Bases StateStore::bases() const {
  Bases bases{state_.floats(), average_.floats(), {}};
  for (const ArenaMemory& slot : slots_) bases.slots.push_back(slot.floats());
  return bases;
}

StateStore::Place StateStore::find(const StateEntry& entry, const Bases& bases) const {
  const StatePlace place = find_state_entry(plan_, optimizer_, entry);
  float* const base = place.arena == kStateArena     ? bases.state
                      : place.arena == kAverageArena ? bases.average
                                                     : bases.slots[place.arena - kFirstSlotArena];
  return {place.tensor, base + place.tensor->offset};
}

void StateStore::reorder(const StateTensor& tensor, const void* from, bool from_logical, void* to) const {
  const Value& value = plan_.graph.value(tensor.value);
  const Layout& layout = plan_.buffers[static_cast<std::size_t>(tensor.value)].layout;
  if (layout == kPlain) {
    std::memcpy(to, from, tensor.elements * sizeof(float));
    return;
  }
  const dnnl::memory::desc logical = describe(value.shape, DType::f32, kPlain, tensor.groups);
  const dnnl::memory::desc held = describe(value.shape, DType::f32, layout, tensor.groups);
  dnnl::memory source(from_logical ? logical : held, engine(), const_cast<void*>(from));
  dnnl::memory target(from_logical ? held : logical, engine(), to);
  // By the thread that asks alone: one that writes a checkpoint must not take the lanes' cores.
  const TeamSize alone(1);
  dnnl::stream stream(engine());
  dnnl::reorder(source, target).execute(stream, source, target);
  stream.wait();
}

void StateStore::read_from(const Bases& bases, const StateEntry& entry, std::span<float> values) const {
  const Place place = find(entry, bases);
  ATHANOR_CHECK(values.size() == place.tensor->elements);
  reorder(*place.tensor, place.data, false, values.data());
}

void StateStore::read(const StateEntry& entry, std::span<float> values) const {
  read_from(bases(), entry, values);
}

void StateStore::write(const StateEntry& entry, std::span<const float> values) {
  const Place place = find(entry, bases());
  ATHANOR_CHECK(values.size() == place.tensor->elements);
  if (entry.kind == StateKind::optimizer && !owned_.empty()) {
    write_owned(*place.tensor, values, place.data - place.tensor->offset);
  } else {
    reorder(*place.tensor, values.data(), true, place.data);
  }
}

/// The rest of the slot stays untouched.
void StateStore::write_owned(const StateTensor& tensor, std::span<const float> values, float* slot) const {
  std::vector<float> held(tensor.elements);
  reorder(tensor, values.data(), true, held.data());
  const auto offset = static_cast<std::int64_t>(tensor.offset), end = offset + static_cast<std::int64_t>(held.size());
  for (const ArenaRange& range : owned_) {
    const std::int64_t from = std::max(range.begin, offset), to = std::min(range.end, end);
    if (from < to) std::copy(held.data() + (from - offset), held.data() + (to - offset), slot + from);
  }
}

}  // namespace athanor::cpu
