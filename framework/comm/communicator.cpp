#include "comm/communicator.h"

#include <fmt/format.h>

#include <algorithm>

namespace athanor {

std::string Communicator::name_of(int rank) const {
  return fmt::format("rank {} on {}", rank, host(rank));
}

int Communicator::agree(int status, const char* name) {
  auto word = static_cast<std::int32_t>(status);
  all_reduce(&word, 1, DType::i32, ReduceOp::max, name);
  return word;
}

std::vector<std::string> gather_texts(Communicator& communicator, const std::string& text, const char* name) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  std::vector<std::uint64_t> sizes(ranks);
  const std::uint64_t own = text.size();
  communicator.all_gather(&own, sizes.data(), sizeof own, name);
  std::uint64_t longest = 0;
  for (const std::uint64_t size : sizes) longest = std::max(longest, size);
  if (longest == 0) return std::vector<std::string>(ranks);
  std::string padded = text, all(ranks * longest, '\0');
  padded.resize(longest);
  communicator.all_gather(padded.data(), all.data(), longest, name);
  std::vector<std::string> texts;
  for (std::size_t rank = 0; rank < ranks; ++rank) texts.push_back(all.substr(rank * longest, sizes[rank]));
  return texts;
}

std::string broadcast_text(Communicator& communicator, const std::string& text, int root, const char* name) {
  std::uint64_t size = text.size();
  communicator.broadcast(&size, sizeof size, root, name);
  std::string result = text;
  result.resize(size);
  if (size > 0) communicator.broadcast(result.data(), size, root, name);
  return result;
}

}  // namespace athanor
