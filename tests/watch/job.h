// A heartbeat service and clients in one process, with times short enough for a test.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "watch/heartbeat_client.h"
#include "watch/heartbeat_service.h"

namespace athanor::watch::testing {

/// Whether `condition` comes true within `seconds`.
inline bool comes_true(const std::function<bool()>& condition, double seconds = 20) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// Events in the order in which they came.
class Events {
 public:
  void add(const Event& event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
    changed_.notify_all();
  }
  /// The first of this kind, when it has come; kind `warning` with an empty text where it does not come in time.
  Event wait_for(EventKind kind, double seconds = 20) {
    std::unique_lock lock(mutex_);
    Event found;
    changed_.wait_for(lock, std::chrono::duration<double>(seconds), [&] {
      for (const Event& event : events_) {
        if (event.kind != kind) continue;
        found = event;
        return true;
      }
      return false;
    });
    return found;
  }
  int count(EventKind kind) {
    const std::lock_guard lock(mutex_);
    int count = 0;
    for (const Event& event : events_) count += event.kind == kind ? 1 : 0;
    return count;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> events_;
};

inline ServiceOptions quick_service(int ranks, bool by_supervisor = true) {
  ServiceOptions options;
  options.world_size = ranks;
  options.by_supervisor = by_supervisor;
  options.gather_time_s = 1;
  return options;
}

inline ClientOptions quick_client(int rank, int ranks) {
  ClientOptions options;
  options.rank = rank;
  options.world_size = ranks;
  options.host = "node" + std::to_string(rank / 2);
  options.cpus = "0-1";
  options.beat_s = 0.05;
  // A verdict must not end the test.
  options.end_time_s = 1000;
  return options;
}

/// A rank of the job: what it does, and its client.
struct Rank {
  Rank(const Invitation& invitation, const ClientOptions& options)
      : client(std::make_unique<HeartbeatClient>(invitation, options, *activity)) {}
  std::unique_ptr<Activity> activity = std::make_unique<Activity>();
  std::unique_ptr<HeartbeatClient> client;
};

/// On this host whatever its addresses are.
inline Invitation here(Invitation invitation) {
  invitation.addresses = {"127.0.0.1"};
  return invitation;
}

struct Job {
  explicit Job(const ServiceOptions& options)
      : service(std::make_unique<HeartbeatService>(options, [this](const Event& event) { events.add(event); })) {
    for (int rank = 0; rank < options.world_size; ++rank) {
      ranks.push_back(std::make_unique<Rank>(here(service->invitation()), quick_client(rank, options.world_size)));
    }
    events.wait_for(EventKind::joined);
  }

  HeartbeatClient& client(int rank) { return *ranks[static_cast<std::size_t>(rank)]->client; }
  Activity& activity(int rank) { return *ranks[static_cast<std::size_t>(rank)]->activity; }
  RankPicture picture(int rank) const { return service->picture().ranks[static_cast<std::size_t>(rank)]; }

  Events events;
  std::unique_ptr<HeartbeatService> service;
  std::vector<std::unique_ptr<Rank>> ranks;
};

}  // namespace athanor::watch::testing
