#include "backend/cuda/state_store.h"

#include <algorithm>

#include "backend/cuda/logical_order.h"
#include "base/error.h"

namespace athanor::cuda {
namespace {

std::size_t largest_tensor(const Plan& plan) {
  std::size_t largest = 16;  // for the numbers beside the tensors
  for (const StateTensor& tensor : plan.state) largest = std::max(largest, tensor.elements);
  return largest;
}

}  // namespace

/// Copies of the arenas of one store, which it must not outlive.
class DeviceSnapshot final : public StateSnapshot {
 public:
  explicit DeviceSnapshot(const StateStore& store) : store_(store) {
    for (const DeviceMemory& arena : store.arenas_) {
      copies_.emplace_back(store.device_, MemoryKind::pinned, arena.bytes());
    }
    numbers_ = DeviceMemory(store.device_, MemoryKind::pinned, store.numbers_.elements * sizeof(float));
  }

  void capture() {
    for (std::size_t i = 0; i < copies_.size(); ++i) {
      const DeviceMemory& arena = store_.arenas_[i];
      if (arena.bytes() > 0) store_.device_.copy(copies_[i].data(), arena.data(), arena.bytes(), Stream::compute);
    }
    if (numbers_.bytes() > 0)
      store_.device_.copy(numbers_.data(), store_.numbers_.data, numbers_.bytes(), Stream::compute);
    store_.device_.synchronize();
  }

  void read(const StateEntry& entry, std::span<float> values) const override {
    if (store_.is_numbers(entry)) {
      std::copy_n(numbers_.as<float>(), values.size(), values.data());
      return;
    }
    const StatePlace place = find_state_entry(store_.plan_, store_.optimizer_, entry);
    store_.read_held(*place.tensor, copies_[place.arena].as<float>() + place.tensor->offset, values);
  }
  std::size_t bytes() const override {
    std::size_t sum = 0;
    for (const DeviceMemory& copy : copies_) sum += copy.bytes();
    return sum;
  }

 private:
  const StateStore& store_;
  std::vector<DeviceMemory> copies_;
  DeviceMemory numbers_;
};

std::size_t StateStore::optimizer_bytes(const Plan& plan, const OptimizerSpec& optimizer) {
  if (!plan.is_training()) return 0;
  const std::size_t averages = optimizer.ema.enabled() ? plan.state_elements : 0;
  return (optimizer.slots.size() * plan.parameter_elements + averages) * sizeof(float);
}

StateStore::StateStore(Device& device, const Plan& plan, const OptimizerSpec& optimizer)
    : device_(device),
      plan_(plan),
      optimizer_(optimizer),
      staging_(device, MemoryKind::pinned, largest_tensor(plan) * sizeof(float)) {
  arenas_.emplace_back(device, MemoryKind::device, state_bytes(plan));
  const bool averages = plan.is_training() && optimizer.ema.enabled();
  arenas_.emplace_back(device, MemoryKind::device, averages ? state_bytes(plan) : 0);
  const std::size_t slots = plan.is_training() ? optimizer.slots.size() : 0;
  for (std::size_t slot = 0; slot < slots; ++slot) {
    arenas_.emplace_back(device, MemoryKind::device, plan.parameter_elements * sizeof(float));
  }
  place_hash_ranges();
  for (const DeviceMemory& arena : arenas_) {
    if (arena.bytes() > 0) device.fill_zero(arena.data(), arena.bytes(), Stream::compute);
  }
  device.synchronize();
  for (std::size_t slot = 0; slot < slots; ++slot) {
    if (optimizer.slots[slot].initial == 0) continue;
    for (const StateTensor& tensor : plan.state) {
      if (tensor.is_statistic) continue;
      std::fill_n(staging_.as<float>(), tensor.elements, optimizer.slots[slot].initial);
      device.copy(this->slot(slot) + tensor.offset, staging_.data(), tensor.elements * sizeof(float), Stream::compute);
      device.synchronize();
    }
  }
}

void StateStore::place_hash_ranges() {
  const std::size_t bytes = plan_.state.size() * sizeof(kernels::cuda::HashRange);
  const DeviceMemory ranges(device_, MemoryKind::pinned, bytes);
  hashed_ = DeviceMemory(device_, MemoryKind::device, bytes);
  hashes_ = DeviceMemory(device_, MemoryKind::pinned, plan_.state.size() * sizeof(std::uint64_t));
  for (std::size_t i = 0; i < plan_.state.size(); ++i) {
    const StateTensor& tensor = plan_.state[i];
    ranges.as<kernels::cuda::HashRange>()[i] = {state() + tensor.offset, static_cast<std::int64_t>(tensor.elements)};
  }
  if (bytes > 0) device_.copy(hashed_.data(), ranges.data(), bytes, Stream::compute);
  device_.synchronize();
}

std::vector<StateEntry> StateStore::list() const {
  std::vector<StateEntry> entries = list_state_entries(plan_, optimizer_, average() != nullptr);
  if (numbers_.elements > 0) {
    entries.push_back({StateKind::optimizer, numbers_.name, Shape{static_cast<std::int64_t>(numbers_.elements)}});
  }
  return entries;
}

void StateStore::read_held(const StateTensor& tensor, const float* held, std::span<float> values) const {
  ATHANOR_CHECK(values.size() == tensor.elements);
  to_logical(plan_.graph.value(tensor.value).shape, plan_.buffers[static_cast<std::size_t>(tensor.value)].layout, held,
             values);
}

void StateStore::read(const StateEntry& entry, std::span<float> values) const {
  if (is_numbers(entry)) {
    device_.copy(staging_.data(), numbers_.data, values.size_bytes(), Stream::compute);
    device_.synchronize();
    std::copy_n(staging_.as<float>(), values.size(), values.data());
    return;
  }
  const StatePlace place = find_state_entry(plan_, optimizer_, entry);
  const float* held = arenas_[place.arena].as<float>() + place.tensor->offset;
  device_.copy(staging_.data(), held, place.tensor->elements * sizeof(float), Stream::compute);
  device_.synchronize();
  read_held(*place.tensor, staging_.as<float>(), values);
}

void StateStore::write(const StateEntry& entry, std::span<const float> values) {
  if (is_numbers(entry)) {
    std::copy(values.begin(), values.end(), staging_.as<float>());
    device_.copy(numbers_.data, staging_.data(), values.size_bytes(), Stream::compute);
    device_.synchronize();
    return;
  }
  const StatePlace place = find_state_entry(plan_, optimizer_, entry);
  ATHANOR_CHECK(values.size() == place.tensor->elements);
  const ValueId value = place.tensor->value;
  from_logical(plan_.graph.value(value).shape, plan_.buffers[static_cast<std::size_t>(value)].layout, values,
               staging_.as<float>());
  device_.copy(arenas_[place.arena].as<float>() + place.tensor->offset, staging_.data(),
               place.tensor->elements * sizeof(float), Stream::compute);
  device_.synchronize();
}

std::unique_ptr<StateSnapshot> StateStore::make_snapshot() const {
  return std::make_unique<DeviceSnapshot>(*this);
}

void StateStore::capture(StateSnapshot& snapshot) const {
  dynamic_cast<DeviceSnapshot&>(snapshot).capture();
}

std::vector<std::uint64_t> StateStore::hash() const {
  const std::size_t tensors = plan_.state.size();
  launch(device_,
         kernels::cuda::HashBlocks{.ranges = hashed_.as<kernels::cuda::HashRange>(),
                                   .range_count = static_cast<std::int32_t>(tensors),
                                   .hashes = hashes_.as<std::uint64_t>()},
         Stream::compute);
  device_.synchronize();
  return {hashes_.as<std::uint64_t>(), hashes_.as<std::uint64_t>() + tensors};
}

}  // namespace athanor::cuda
