// All that is known of a job, as plain data: what the heartbeat service gathers, the judge judges, the supervisor acts
// on, and the status page shows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "watch/activity.h"

namespace athanor::watch {

/// What rank 0 says of the run, once.
struct RunAbout {
  std::string name;        ///< the recipe's
  std::string run_folder;  ///< absolute, as rank 0 sees it
  std::int64_t total_steps = 0, steps_per_epoch = 0, batch = 0, shards = 0;
  std::int64_t checkpoint_every_steps =
      0;                          ///< the shorter of checkpoint.every_epochs and every_steps; 0: only at the end
  double watchdog_timeout_s = 0;  ///< watchdog.timeout_s; 0: auto
};

/// What rank 0 says of the run with each beat.
struct RunNews {
  std::int64_t step = 0, samples = 0, epoch = 0;  ///< of the newest step whose result is known
  double loss = 0, lr = 0;
  double images_per_s = 0;  ///< over about the last three seconds; 0: not known yet
  double accuracy = -1;
  std::int64_t checkpoint_step = -1;  ///< newest one on the disk
  double checkpoint_stall_s = 0;      ///< what a save holds up training for, mean
  double checkpoint_write_s = 0;      ///< what writing one takes in the background, mean
  std::int64_t failed_saves = 0;
};

enum class Presence : std::uint8_t {
  expected,   ///< has not called yet
  connected,  ///< beats arrive
  silent,     ///< none for silence_warning_s
  lost,       ///< none for silence_lost_s, or its connection broke without a good-bye
  left        ///< said good-bye
};
std::string_view name_of(Presence presence);

struct RankPicture {
  int rank = 0;
  std::string host;
  std::int64_t pid = 0;
  std::string cpus;  ///< that it may use: "0-3"
  int threads = 0;   ///< that it computes with
  int shards = 0;    ///< of the batch, that it runs
  Presence presence = Presence::expected;
  ActivitySnapshot activity;  ///< as of the newest beat; its times are the rank's own clock
  double beat_age_s = 0;      ///< since the newest beat
  double stalled_s = 0;       ///< since it last got on; grows also while it is silent
  double step_s = 0;          ///< median of its newest steps; 0: none yet
  double compute_s = 0, data_wait_s = 0, comm_wait_s = 0;  ///< a step, mean over about the newest 32
  double round_trip_s = 0;                                 ///< of a beat and its answer, median of the newest
  std::optional<int> exit_code;                            ///< said in its good-bye
  std::string last_words;                                  ///< why, where it failed
};

/// Callers that the service did not let in, by reason.
struct DroppedCallers {
  std::uint64_t wrong_key = 0, malformed = 0, oversized = 0, too_many = 0, too_slow = 0;
};

struct JobPicture {
  RunAbout about;
  RunNews news;
  std::vector<RankPicture> ranks;  ///< by rank
  DroppedCallers dropped;
  double watchdog_timeout_s = 0;  ///< in force now
};

}  // namespace athanor::watch
