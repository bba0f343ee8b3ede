#include "backend/cuda/progress_board.h"

#include <algorithm>
#include <atomic>

namespace athanor::cuda {

ProgressBoard::ProgressBoard(Device& device, std::size_t items)
    : device_(device),
      items_(items),
      counter_(device, MemoryKind::device, sizeof(std::int64_t)),
      words_(device, MemoryKind::pinned, (2 * items + 1) * sizeof(std::int64_t)) {
  std::fill_n(words_.as<std::int64_t>(), 2 * items + 1, 0);
  device.fill_zero(counter_.data(), counter_.bytes(), Stream::communication);
  // A graph's branches do not wait for what its streams did before it.
  device.synchronize();
}

void ProgressBoard::store(std::size_t word, bool advance, Stream stream) {
  launch(device_,
         kernels::cuda::StoreSequence{
             .counter = counter_.as<std::int64_t>(), .target = words_.as<std::int64_t>() + word, .advance = advance},
         stream);
}

std::int64_t ProgressBoard::read(std::size_t word) const {
  return std::atomic_ref(words_.as<std::int64_t>()[word]).load(std::memory_order_acquire);
}

void ProgressBoard::enqueue_step(Stream stream) {
  store(0, true, stream);
}

void ProgressBoard::enqueue_begin(std::size_t item, Stream stream) {
  store(1 + 2 * item, false, stream);
}

void ProgressBoard::enqueue_end(std::size_t item, Stream stream) {
  store(2 + 2 * item, false, stream);
}

std::optional<ProgressBoard::Open> ProgressBoard::open_item() const {
  for (std::size_t item = 0; item < items_; ++item) {
    // The end first: read the other way round, an item that ends and begins anew in between would look open.
    const std::int64_t ended = read(2 + 2 * item), begun = read(1 + 2 * item);
    if (begun != ended) return Open{begun, item};
  }
  return std::nullopt;
}

}  // namespace athanor::cuda
