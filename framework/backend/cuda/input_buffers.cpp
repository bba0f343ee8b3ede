#include "backend/cuda/input_buffers.h"

#include <cstring>

#include "base/error.h"

namespace athanor::cuda {
namespace {

constexpr std::size_t kArrayAlignment = 256;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kArrayAlignment - 1) / kArrayAlignment * kArrayAlignment;
}

}  // namespace

InputBuffers::InputBuffers(Device& device, const Plan& plan, int shards, std::size_t extra_bytes)
    : device_ref_(device) {
  lay_out(plan, shards, extra_bytes);
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    device_[slot] = DeviceMemory(device, MemoryKind::device, bytes_);
    pinned_[slot] = DeviceMemory(device, MemoryKind::pinned, bytes_);
    uploaded_[slot] = DeviceEvent(device);
  }
}

void InputBuffers::lay_out(const Plan& plan, int shards, std::size_t extra_bytes) {
  std::size_t end = 0;
  const auto place = [&](Array& array, ValueId id, std::int64_t rows_of_shard) {
    const std::size_t shard_bytes = BackendPlanner::dense_bytes(plan.graph.value(id));
    array = {id, end, shard_bytes / static_cast<std::size_t>(rows_of_shard)};
    end += aligned(array.row_bytes * static_cast<std::size_t>(rows_of_shard * shards));
  };
  const std::vector<ValueId> inputs = plan.graph.of_role(Role::input);
  for (const ValueId id : inputs) {
    const Value& value = plan.graph.value(id);
    if (value.name == "images") rows_ = value.shape[0];
  }
  all_rows_ = rows_ * shards;
  for (const ValueId id : inputs) {
    const std::string& name = plan.graph.value(id).name;
    if (name == "labels") place(labels_, id, rows_);
    if (name == "sample_indices") place(sample_indices_, id, rows_);
    if (name == "transforms") place(transforms_, id, rows_);
  }
  extra_offset_ = end;
  end += aligned(extra_bytes);
  for (const ValueId id : inputs) {
    if (plan.graph.value(id).name != "epoch") continue;
    epoch_ = {id, end, sizeof(std::int64_t)};
    end += aligned(sizeof(std::int64_t));
  }
  images_offset_ = end;
  for (const ValueId id : inputs) {
    if (plan.graph.value(id).name == "images") place(images_, id, rows_);
  }
  bytes_ = end;
}

std::size_t InputBuffers::bytes(const Plan& plan, int shards, std::size_t extra_bytes) {
  std::size_t sum = aligned(extra_bytes) + kArrayAlignment;
  for (const ValueId id : plan.graph.of_role(Role::input)) {
    sum += aligned(BackendPlanner::dense_bytes(plan.graph.value(id)) * static_cast<std::size_t>(shards));
  }
  return kSlots * sum;
}

void* InputBuffers::address(int slot, int shard, ValueId input) const {
  std::byte* const base = device_[index(slot)].data();
  if (input == epoch_.value) return base + epoch_.offset;
  for (const Array* array : {&images_, &labels_, &sample_indices_, &transforms_}) {
    if (array->value == input) {
      return base + array->offset + array->row_bytes * static_cast<std::size_t>(rows_ * shard);
    }
  }
  ATHANOR_CHECK(false, "value {} is no input of the step", input);
}

template <typename T>
void InputBuffers::stage(const Array& array, std::span<T> rows, std::byte* base) const {
  if (array.value == kNoValue) return;
  const std::size_t bytes = array.row_bytes * static_cast<std::size_t>(all_rows_);
  ATHANOR_CHECK(rows.size_bytes() >= bytes, "a batch of other images than the plan's");
  std::memcpy(base + array.offset, rows.data(), bytes);
}

void InputBuffers::upload(const Batch& batch, int slot, bool keep_images) {
  std::byte* const pinned = pinned_[index(slot)].data();
  stage(labels_, batch.labels, pinned);
  stage(sample_indices_, batch.sample_indices, pinned);
  stage(transforms_, batch.transforms, pinned);
  if (epoch_.value != kNoValue) std::memcpy(pinned + epoch_.offset, &batch.epoch, sizeof(batch.epoch));
  if (!keep_images) stage(images_, batch.images, pinned);
  device_ref_.copy(device_[index(slot)].data(), pinned, keep_images ? images_offset_ : bytes_, Stream::copy);
  device_ref_.record(uploaded_[index(slot)].get(), Stream::copy);
  device_ref_.wait(Stream::compute, uploaded_[index(slot)].get());
}

}  // namespace athanor::cuda
