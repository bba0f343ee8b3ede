#include <cstdlib>
#include <cstring>

#include "base/host_name.h"
#include "comm/communicator.h"

namespace athanor {
namespace {

class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 1; }
  const std::string& host(int) const override { return host_; }
  std::string_view backend() const override { return "self"; }

  void all_reduce(void*, std::size_t, DType, ReduceOp, const char*) override {}
  void reduce_scatter(const void* in, void* out, std::size_t count, DType type, ReduceOp, const char*) override {
    copy(in, out, count * size_of(type));
  }
  void all_gather(const void* in, void* out, std::size_t bytes, const char*) override { copy(in, out, bytes); }
  void broadcast(void*, std::size_t, int, const char*) override {}
  void barrier(const char*) override {}
  /// A message to oneself.
  void exchange(std::span<const SendPart> sends, std::span<const ReceivePart> receives, const char* name) override {
    ATHANOR_CHECK(sends.size() == receives.size(), "{}: {} messages sent, {} awaited", name, sends.size(),
                  receives.size());
    for (std::size_t i = 0; i < sends.size(); ++i) copy(sends[i].data, receives[i].data, receives[i].bytes);
  }

  void set_timeout(double) override {}
  double timeout_s() const override { return 0; }
  void set_limit(std::function<std::optional<double>()>) override {}
  void set_background(const std::atomic<int>*) override {}
  std::unique_ptr<Communicator> duplicate(const char*) override { return make_self_communicator(); }
  [[noreturn]] void leave(ExitCode code) override { std::_Exit(static_cast<int>(code)); }

 private:
  static void copy(const void* from, void* to, std::size_t bytes) {
    if (bytes > 0 && from != to) std::memcpy(to, from, bytes);
  }

  std::string host_ = host_name();
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() {
  return std::make_unique<SelfCommunicator>();
}

}  // namespace athanor
