#include "comm/silent_communicator.h"

#include <cstdlib>

namespace athanor {
namespace {

class SilentCommunicator final : public Communicator {
 public:
  SilentCommunicator(int rank, int size, int local_rank, int local_size, std::string host)
      : rank_(rank), size_(size), local_rank_(local_rank), local_size_(local_size), host_(std::move(host)) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }
  const std::string& host(int) const override { return host_; }
  std::string_view backend() const override { return "silent"; }

  void all_reduce(void*, std::size_t, DType, ReduceOp, const char*) override {}
  void reduce_scatter(const void*, void*, std::size_t, DType, ReduceOp, const char*) override {}
  void all_gather(const void*, void*, std::size_t, const char*) override {}
  void broadcast(void*, std::size_t, int, const char*) override {}
  void barrier(const char*) override {}
  void exchange(std::span<const SendPart>, std::span<const ReceivePart>, const char*) override {}

  void set_timeout(double) override {}
  double timeout_s() const override { return 0; }
  void set_limit(std::function<std::optional<double>()>) override {}
  void set_background(const std::atomic<int>*) override {}
  std::unique_ptr<Communicator> duplicate(const char*) override { return make_silent_communicator(*this); }
  [[noreturn]] void leave(ExitCode code) override { std::_Exit(static_cast<int>(code)); }

 private:
  int rank_, size_, local_rank_, local_size_;
  std::string host_;
};

}  // namespace

std::unique_ptr<Communicator> make_silent_communicator(const Communicator& like) {
  return std::make_unique<SilentCommunicator>(like.rank(), like.size(), like.local_rank(), like.local_size(),
                                              like.host());
}

}  // namespace athanor
