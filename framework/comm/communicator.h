// The ranks of a job as one group. A world of one is a group of one: callers never ask whether they are distributed.
#pragma once

#include <memory>
#include <string>

namespace athanor {

/// Who this process is, and what the group does together. Every collective is called by all ranks in the same order,
/// with a name that errors and the watchdog report.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Position among the ranks of this host, and how many they are.
  virtual int local_rank() const = 0;
  virtual int local_size() const = 0;
  virtual std::string host() const = 0;

  /// Sums `count` floats over the ranks along the reduction tree; every rank ends with the same bits.
  virtual void all_reduce(float* data, std::size_t count, const char* name) = 0;
  /// The largest status of all ranks: how they agree to stop, or that one has failed.
  virtual int agree(int status, const char* name) = 0;
  virtual void barrier(const char* name) = 0;
};

/// A group of this process alone.
std::unique_ptr<Communicator> make_self_communicator();

}  // namespace athanor
