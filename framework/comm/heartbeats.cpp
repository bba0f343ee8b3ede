#include "comm/heartbeats.h"

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>

#include "base/cpu_set.h"
#include "base/log.h"
#include "watch/heartbeat_client.h"
#include "watch/heartbeat_service.h"

namespace athanor {
namespace {

constexpr const char* kVariable = "ATHANOR_HEARTBEAT";
constexpr std::size_t kMostNotes = 256;
/// From an order to end until the process ends itself. A supervisor has said why already, and wants to begin again.
constexpr double kEndTime_s = 5, kEndTimeUnderSupervisor_s = 2;

/// Writes notes into the run's log or on the screen, on a thread of its own: a disk that hangs, a pipe that nobody
/// reads must hold up no heartbeat.
class NoteWriter {
 public:
  /// `aloud`: on the screen too, where no supervisor says it.
  explicit NoteWriter(bool aloud)
      : queue_(std::make_shared<Queue>()), thread_([queue = queue_, aloud] { work(*queue, aloud); }) {}
  /// Where writing hangs, the end of the process does not wait for it.
  ~NoteWriter() {
    std::unique_lock lock(queue_->mutex);
    queue_->is_ending = true;
    queue_->changed.notify_all();
    const bool is_done = queue_->changed.wait_for(lock, kLongestEnd, [this] { return queue_->is_done; });
    lock.unlock();
    if (is_done) {
      thread_.join();
    } else {
      thread_.detach();
    }
  }
  NoteWriter(const NoteWriter&) = delete;
  NoteWriter& operator=(const NoteWriter&) = delete;

  void add(const std::string& note) {
    {
      const std::lock_guard lock(queue_->mutex);
      if (queue_->notes.size() < kMostNotes) queue_->notes.push_back(note);
    }
    queue_->changed.notify_all();
  }

 private:
  static constexpr std::chrono::seconds kLongestEnd{2};

  struct Queue {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::string> notes;
    bool is_ending = false, is_done = false;
  };

  static void work(Queue& queue, bool aloud) {
    std::unique_lock lock(queue.mutex);
    for (;;) {
      queue.changed.wait(lock, [&] { return queue.is_ending || !queue.notes.empty(); });
      if (queue.notes.empty()) break;
      const std::string note = std::move(queue.notes.front());
      queue.notes.pop_front();
      lock.unlock();
      if (aloud) {
        log_warning("{}", note);
      } else {
        log_to_file_only(LogLevel::warning, note);
      }
      lock.lock();
    }
    queue.is_done = true;
    queue.changed.notify_all();
  }

  std::shared_ptr<Queue> queue_;
  std::thread thread_;
};

}  // namespace

bool has_supervisor() {
  const char* const invitation = std::getenv(kVariable);
  return invitation != nullptr && *invitation != '\0';
}

struct Heartbeats::State {
  std::unique_ptr<watch::HeartbeatService> service;  ///< outlives the client of its own rank
  std::unique_ptr<NoteWriter> notes;
  std::unique_ptr<watch::HeartbeatClient> client;
};

Heartbeats::Heartbeats(Communicator& world) : state_(std::make_unique<State>()) {
  std::string text;
  if (world.rank() == 0) {
    if (has_supervisor()) {
      text = std::getenv(kVariable);
    } else if (world.size() > 1) {
      // All that its events say reaches this rank's own client as notes.
      state_->service = std::make_unique<watch::HeartbeatService>(watch::ServiceOptions{.world_size = world.size()},
                                                                  [](const watch::Event&) {});
      text = to_text(state_->service->invitation());
    }
  }
  text = broadcast_text(world, text, 0, "meeting");
  if (text.empty()) return;
  const watch::Invitation invitation = watch::invitation_from(text);
  state_->notes = std::make_unique<NoteWriter>(world.rank() != 0 || !invitation.by_supervisor);
  state_->client = std::make_unique<watch::HeartbeatClient>(
      invitation,
      watch::ClientOptions{.rank = world.rank(),
                           .world_size = world.size(),
                           .host = world.host(),
                           .cpus = cpu_list_text(allowed_cpu_ids()),
                           .end_time_s = invitation.by_supervisor ? kEndTimeUnderSupervisor_s : kEndTime_s},
      world.activity());
  state_->client->on_note([notes = state_->notes.get()](const std::string& note) { notes->add(note); });
}

Heartbeats::~Heartbeats() = default;

watch::HeartbeatClient* Heartbeats::client() {
  return state_->client.get();
}

}  // namespace athanor
