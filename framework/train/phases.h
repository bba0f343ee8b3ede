// How the ranks of a job start together and fail together. What comes before step 0 is cut into phases; after each, all
// ranks know whether all of them got through. A failure in a phase is the same exception on every rank, so that all of
// them end in good order and one of them prints it; a failure of one rank alone, outside a phase, ends the job.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/failure.h"
#include "comm/communicator.h"

namespace athanor {

/// Marks an exception that every rank throws alike, at the same point.
class OnAllRanks {
 public:
  virtual ~OnAllRanks() = default;
};

/// Throws the class of `failure.code`, marked with OnAllRanks.
[[noreturn]] void throw_on_all_ranks(const Failure& failure);

/// Runs `act` on every rank and waits for all of them. Where it threw on any, throws on every rank what the lowest such
/// rank threw (class and code), its name in front ("rank 3 on node2: ") unless all ranks say the same. `act` must not
/// communicate: a rank that fails half-way would leave the others waiting. In a world of one, just calls `act`.
void agree_on(Communicator& communicator, const char* phase, const std::function<void()>& act);

/// The same for what rank 0 does for all: `act` runs there alone, and its failure, which is nobody else's, has no name
/// in front.
void first_does(Communicator& communicator, const char* phase, const std::function<void()>& act);

/// Throws UsageError on all ranks where the texts differ: a rank was started with another `what` than rank 0.
void want_alike(Communicator& communicator, const std::string& text, const char* what);

/// What this rank will end with, for whoever watches the job.
void set_outcome(Communicator& communicator, const Failure& outcome);

/// What a rank does with a failure of its own before it ends the job: print it, say.
using TellFailure = std::function<void(const Failure&)>;

/// Runs `act`, which the ranks do together. What all ranks throw alike passes; of a failure of this rank alone, `tell`
/// is given the message with the rank's name, and all ranks end with its code. In a world of one, just calls `act`.
void end_together(Communicator& communicator, const std::function<void()>& act, const TellFailure& tell);

}  // namespace athanor
