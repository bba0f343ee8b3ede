// The loader: threads of an Asio pool fill a ring of batches ahead of the step, in order, and measure how long the step
// had to wait. Which samples a batch holds is data/batch_source.h's business.
#pragma once

#include <cstdint>
#include <memory>

#include "data/batch_source.h"

namespace athanor {

/// One consumer thread calls next() and release() in turn. Workers sleep while the ring is full. After construction
/// neither the consumer nor the workers allocate (where the data set's read does not).
class Loader {
 public:
  /// Starts filling at once. `dataset` must outlive this. Throws UsageError as BatchSource does.
  Loader(const Dataset& dataset, LoaderOptions options);
  /// Lets the batches in hand finish, then joins the workers.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next batch, valid until release(), next() (which releases it) or restart(). Waits until it is filled. What a
  /// worker threw while filling it is rethrown here, now and on every later call; so is the DataError of a watched file
  /// (data/file_watch.h).
  const Batch& next();
  /// Gives the batch of the last next() back to be refilled; without one, does nothing.
  void release();
  /// Begins again from batch 0 of the source, for the next evaluation. The batch in use is released.
  void restart();

  /// Batches that next() can still deliver before the end (evaluate); train has no end.
  std::int64_t remaining() const;
  const BatchSource& source() const;
  /// Seconds that next() waited: the last time, and in all.
  double last_wait_s() const;
  double total_wait_s() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor
