// One rank of a test: an emulated GPU, arenas of gradients on it, and the reduction under test.
#pragma once

#include "backend/cuda/device_memory.h"
#include "backend/cuda/device_reduction.h"
#include "gpu/emulation/emulated_device.h"
#include "gpu/reduction/fixture.h"

namespace athanor::testing {

class RankRig {
 public:
  /// Takes the reduction that the ranks' devices ask for.
  RankRig(cuda::Device& device, Communicator& communicator, const Plan& plan,
          const cuda::DeviceReductionOptions& options = {})
      : RankRig(device, plan,
                cuda::make_device_reduction(cuda::reduction_kind(device, communicator), device, communicator, plan,
                                            options)) {}

  RankRig(cuda::Device& device, const Plan& plan, std::unique_ptr<cuda::DeviceReduction> reduction)
      : device_(device), plan_(plan), reduction_(std::move(reduction)) {
    std::vector<float*> pieces;
    for (std::size_t i = 0; i < reduction_->own_pieces().size(); ++i) {
      pieces.push_back(
          arenas_.emplace_back(device, cuda::MemoryKind::communication, plan.output_elements * sizeof(float))
              .as<float>());
      host_.emplace_back(device, cuda::MemoryKind::pinned, plan.output_elements * sizeof(float));
    }
    reduction_->bind(std::move(pieces));
    result_ = cuda::DeviceMemory(device, cuda::MemoryKind::pinned, plan.output_elements * sizeof(float));
  }

  cuda::DeviceReduction& reduction() { return *reduction_; }

  /// What the next step's shards hand in.
  void set_gradients(std::uint64_t seed, float scale = 1) {
    for (std::size_t i = 0; i < host_.size(); ++i) {
      const ShardRange shards = reduction_->own_pieces()[i];
      Vector sum = tree_sum(shards.first, shards.last, count(), seed);
      for (float& value : sum) value *= scale;
      std::ranges::copy(sum, host_[i].as<float>());
    }
  }

  /// "Backward" writes the pieces bucket by bucket, "the update" reads the sums.
  void enqueue_step(int slot) {
    reduction_->open(slot);
    for (std::size_t bucket = 0; bucket < plan_.reduce.size(); ++bucket) {
      const ArenaRange range = plan_.reduce[bucket].range;
      for (std::size_t i = 0; i < arenas_.size(); ++i) copy(arenas_[i], host_[i], range);
      reduction_->enqueue(bucket);
    }
    for (std::size_t bucket = 0; bucket < plan_.reduce.size(); ++bucket) {
      reduction_->wait(bucket);
      copy(result_, arenas_[0], plan_.reduce[bucket].range);
    }
    reduction_->close(slot);
  }

  Vector result() const { return {result_.as<float>(), result_.as<float>() + count()}; }
  std::int64_t count() const { return static_cast<std::int64_t>(plan_.output_elements); }

 private:
  void copy(const cuda::DeviceMemory& to, const cuda::DeviceMemory& from, ArenaRange range) {
    if (range.elements() == 0) return;
    device_.copy(to.as<float>() + range.begin, from.as<float>() + range.begin,
                 static_cast<std::size_t>(range.elements()) * sizeof(float), cuda::Stream::compute);
  }

  cuda::Device& device_;
  const Plan& plan_;
  std::vector<cuda::DeviceMemory> arenas_, host_;
  cuda::DeviceMemory result_;
  std::unique_ptr<cuda::DeviceReduction> reduction_;
};

}  // namespace athanor::testing
