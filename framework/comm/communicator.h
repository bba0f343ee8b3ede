// The ranks of a job as one group. A world of one is a group of one: callers never ask whether they are distributed.
// Back ends: self_communicator.cpp (a process alone) and mpi_communicator.cpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"
#include "watch/activity.h"

namespace athanor {

namespace watch {
class HeartbeatClient;
}

enum class ReduceOp : std::uint8_t { sum, max, min };

/// One message of exchange(), to or from `peer`. Both ends give the same number of bytes.
struct SendPart {
  int peer = 0;
  const void* data = nullptr;
  std::size_t bytes = 0;
};
struct ReceivePart {
  int peer = 0;
  void* data = nullptr;
  std::size_t bytes = 0;
};

/// The job must end, and another rank says why.
class ToldElsewhere final : public PeerError {
 public:
  explicit ToldElsewhere(const std::string& message) : PeerError(message) {}
};

/// Who this process is, and what the group does together. Every collective is called by all ranks in the same order,
/// with equal sizes and a name that errors report. A call that does not end within the deadline, or a peer that is
/// found dead, throws PeerError that names the operation, the ranks waited for and their hosts; the group is then
/// broken and only leave() is of use. One thread at a time; duplicate() gives another thread a group of its own.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Position among the ranks of this host, and how many they are.
  virtual int local_rank() const = 0;
  virtual int local_size() const = 0;
  /// The host that a rank runs on.
  virtual const std::string& host(int rank) const = 0;
  const std::string& host() const { return host(rank()); }
  /// "rank 3 on node2", for messages.
  std::string name_of(int rank) const;
  virtual std::string_view backend() const = 0;  ///< "self", "mpi"

  /// Combines `count` elements over the ranks in place, in the library's order of summation: the bits of a floating
  /// sum depend on the number of ranks (tree_reduction.h sums gradients in a fixed order). All of DType.
  virtual void all_reduce(void* data, std::size_t count, DType type, ReduceOp op, const char* name) = 0;
  /// Every rank hands in size() · `count` elements and gets the reduced part [rank · count, …) of them.
  virtual void reduce_scatter(const void* in, void* out, std::size_t count, DType type, ReduceOp op,
                              const char* name) = 0;
  /// Every rank hands in `bytes` and gets those of all ranks, by rank. `in` may lie at its place in `out`.
  virtual void all_gather(const void* in, void* out, std::size_t bytes, const char* name) = 0;
  virtual void broadcast(void* data, std::size_t bytes, int root, const char* name) = 0;
  virtual void barrier(const char* name) = 0;
  /// The largest status of all ranks: how they agree to stop, or that one has failed.
  int agree(int status, const char* name);

  /// Point to point: posts all messages, returns when all are done. Several messages between two ranks arrive in the
  /// order in which they stand. What ordered algorithms are built from.
  virtual void exchange(std::span<const SendPart> sends, std::span<const ReceivePart> receives, const char* name) = 0;

  /// Seconds that a call may wait for others.
  virtual void set_timeout(double seconds) = 0;
  virtual double timeout_s() const = 0;
  /// Asked while a call waits: how many seconds it may, where that is less than the timeout; none: the timeout holds.
  /// For the time after a stop request, when nobody should wait long for a rank that is gone.
  virtual void set_limit(std::function<std::optional<double>()> limit_s) = 0;
  /// Calls of a background thread: while `*waiting` is 0 nobody waits for them and others compute, so that a call that
  /// waits sleeps in between. nullptr: somebody always waits. Must outlive the group.
  virtual void set_background(const std::atomic<int>* waiting) = 0;

  /// The same ranks as another group, for another thread. Collective. Must not outlive this one.
  virtual std::unique_ptr<Communicator> duplicate(const char* name) = 0;

  /// What this rank is doing, for whoever watches the job; one for all groups of a process.
  virtual watch::Activity& activity() { return activity_; }
  /// The line to whoever watches the job; nullptr where nobody does.
  virtual watch::HeartbeatClient* heartbeats() { return nullptr; }

  /// Ends all ranks of the job with `code`, without asking them. For what the others cannot know: a failure of this
  /// rank alone. Does not return.
  [[noreturn]] virtual void leave(ExitCode code) = 0;

 private:
  watch::Activity activity_;
};

/// Texts of all ranks, by rank. Collective.
std::vector<std::string> gather_texts(Communicator& communicator, const std::string& text, const char* name);
/// Rank `root`'s text on every rank. Collective.
std::string broadcast_text(Communicator& communicator, const std::string& text, int root, const char* name);

/// A group of this process alone.
std::unique_ptr<Communicator> make_self_communicator();

/// Whether this process was started by mpirun or by srun with PMIx, as one of several or alone.
bool was_launched();

/// The ranks that a launcher started together: MPI where was_launched(), else this process alone, without starting MPI.
/// At most one at a time. Throws UsageError where a launcher started several processes that cannot find each other
/// (srun without --mpi=pmix), DeviceError where MPI lacks what is needed.
std::unique_ptr<Communicator> make_communicator();

}  // namespace athanor
