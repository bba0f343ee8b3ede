#include "comm/heartbeats.h"

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

/// Writes notes into the run's log or on the screen, on a thread of its own: a disk that hangs, a pipe that nobody
/// reads must hold up no heartbeat.
class NoteWriter {
 public:
  /// `aloud`: on the screen too, where no supervisor says it.
  explicit NoteWriter(bool aloud) : aloud_(aloud), thread_([this] { work(); }) {}
  ~NoteWriter() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  NoteWriter(const NoteWriter&) = delete;
  NoteWriter& operator=(const NoteWriter&) = delete;

  void add(const std::string& note) {
    {
      const std::lock_guard lock(mutex_);
      if (notes_.size() < kMostNotes) notes_.push_back(note);
    }
    changed_.notify_one();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ending_ || !notes_.empty(); });
      if (notes_.empty()) return;
      const std::string note = std::move(notes_.front());
      notes_.pop_front();
      lock.unlock();
      if (aloud_) {
        log_warning("{}", note);
      } else {
        log_to_file_only(LogLevel::warning, note);
      }
      lock.lock();
    }
  }

  const bool aloud_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> notes_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace

struct Heartbeats::State {
  std::unique_ptr<watch::HeartbeatService> service;  ///< outlives the client of its own rank
  std::unique_ptr<NoteWriter> notes;
  std::unique_ptr<watch::HeartbeatClient> client;
};

Heartbeats::Heartbeats(Communicator& world) : state_(std::make_unique<State>()) {
  std::string text;
  if (world.rank() == 0) {
    const char* const supervisor = std::getenv(kVariable);
    if (supervisor != nullptr && *supervisor != '\0') {
      text = supervisor;
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
  state_->client =
      std::make_unique<watch::HeartbeatClient>(invitation,
                                               watch::ClientOptions{.rank = world.rank(),
                                                                    .world_size = world.size(),
                                                                    .host = world.host(),
                                                                    .cpus = cpu_list_text(allowed_cpu_ids())},
                                               world.activity());
  state_->client->on_note([notes = state_->notes.get()](const std::string& note) { notes->add(note); });
}

Heartbeats::~Heartbeats() = default;

watch::HeartbeatClient* Heartbeats::client() {
  return state_->client.get();
}

}  // namespace athanor
