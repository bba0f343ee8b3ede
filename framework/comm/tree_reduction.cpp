#include "comm/tree_reduction.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/reduce.h"

namespace athanor {
namespace {

/// Below this many bytes a message costs more by being one than by its length.
constexpr std::int64_t kSmallBytes = 2 << 10;

std::size_t bytes_of(std::int64_t elements) {
  return static_cast<std::size_t>(elements) * sizeof(float);
}

std::int64_t segment_of(const Communicator& communicator) {
  const bool on_one_host = communicator.local_size() == communicator.size();
  return on_one_host ? TreeReduction::kSegmentOnOneHost : TreeReduction::kSegmentAmongHosts;
}

TreeMessages messages_of(int shards, const Communicator& communicator) {
  return {shards, communicator.rank(), communicator.size(), kSmallBytes / static_cast<std::int64_t>(sizeof(float))};
}

void add(float* target, const float* left, const float* right, std::int64_t count) {
  if (target == right) std::swap(left, right);
  if (target != left) std::copy_n(left, count, target);
  kernels::reduce_kernels().add_into(target, right, count, 1);
}

}  // namespace

std::int64_t TreeReduction::scratch_elements(int shards, const Communicator& communicator, std::int64_t largest) {
  return messages_of(shards, communicator).scratch_elements(std::max(largest, segment_of(communicator)));
}

TreeReduction::TreeReduction(Communicator& communicator, int shards, std::int64_t largest)
    : communicator_(communicator),
      messages_(messages_of(shards, communicator)),
      segment_elements_(segment_of(communicator)) {
  scratch_.resize(static_cast<std::size_t>(scratch_elements(shards, communicator, largest)));
  // How many messages and additions there are depends on no range but on its being small: the memory for the most.
  messages_.all_reduce({0, segment_elements_}, rounds_);
  const std::size_t most =
      own_pieces().size() * static_cast<std::size_t>(communicator.size()) + static_cast<std::size_t>(shards);
  sends_.reserve(most);
  receives_.reserve(most);
}

float* TreeReduction::at(std::span<float* const> pieces, TreeOperand operand) {
  float* const arena =
      operand.piece == TreeOperand::kScratch ? scratch_.data() : pieces[static_cast<std::size_t>(operand.piece)];
  return arena + operand.begin;
}

/// Carries out rounds_.
void TreeReduction::run(std::span<float* const> pieces, const char* name) {
  for (std::size_t i = 0; i < rounds_.size(); ++i) {
    const TreeRounds::Round round = rounds_.at(i);
    sends_.clear();
    receives_.clear();
    for (const TreeMessage& message : round.sends) {
      sends_.push_back({message.peer, at(pieces, message.data), bytes_of(message.count)});
      bytes_sent_ += static_cast<std::int64_t>(bytes_of(message.count));
    }
    for (const TreeMessage& message : round.receives) {
      receives_.push_back({message.peer, at(pieces, message.data), bytes_of(message.count)});
    }
    communicator_.exchange(sends_, receives_, name);
    for (const TreeAddition& addition : round.additions) {
      add(at(pieces, addition.target), at(pieces, addition.left), at(pieces, addition.right), addition.count);
    }
  }
}

void TreeReduction::all_reduce(std::span<float* const> pieces, ArenaRange range, const char* name) {
  ATHANOR_CHECK(pieces.size() == own_pieces().size());
  for (std::int64_t begin = range.begin; begin < range.end; begin += segment_elements_) {
    rounds_.clear();
    messages_.all_reduce({begin, std::min(begin + segment_elements_, range.end)}, rounds_);
    run(pieces, name);
  }
}

void TreeReduction::reduce_scatter(std::span<float* const> pieces, ArenaRange range, const char* name) {
  ATHANOR_CHECK(pieces.size() == own_pieces().size());
  rounds_.clear();
  messages_.reduce_scatter(range, rounds_);
  run(pieces, name);
}

void TreeReduction::all_gather(float* arena, ArenaRange range, const char* name) {
  rounds_.clear();
  messages_.all_gather(range, rounds_);
  run({&arena, 1}, name);
}

}  // namespace athanor
