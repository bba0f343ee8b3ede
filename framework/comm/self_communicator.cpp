#include "base/host_name.h"
#include "comm/communicator.h"

namespace athanor {
namespace {

class SelfCommunicator : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 1; }
  std::string host() const override { return host_name(); }
  void all_reduce(float*, std::size_t, const char*) override {}
  int agree(int status, const char*) override { return status; }
  void barrier(const char*) override {}
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() {
  return std::make_unique<SelfCommunicator>();
}

}  // namespace athanor
