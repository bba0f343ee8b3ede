#include "comm/mpi_communicator.h"

#include <mpi.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

#include "base/host_name.h"
#include "comm/heartbeats.h"
#include "comm/mpi_types.h"
#include "comm/peer_watch.h"
#include "watch/heartbeat_client.h"

namespace athanor {
namespace {

using Clock = std::chrono::steady_clock;

/// MPI counts are ints; longer messages travel in parts of this many bytes.
constexpr std::size_t kMostBytes = std::size_t{1} << 30;
constexpr double kDefaultTimeout_s = 300;
/// How often a waiting call looks at the clock, at stop requests and at its peers.
constexpr std::chrono::milliseconds kLook{50};
constexpr int kTag = 1;

/// What every rank knows of every other one.
struct Peer {
  char host[256] = {};
  ProcessId process;
  bool is_watched = false;  ///< on this host, and visible from here
};

/// MPI from its start to its end, shared by all groups of a process.
class MpiProcess {
 public:
  MpiProcess() {
    int provided = 0;
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided) != MPI_SUCCESS) {
      throw DeviceError("MPI cannot be started; does mpirun come from the same MPI as this program's library?");
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (provided < MPI_THREAD_MULTIPLE) {
      throw DeviceError("this MPI lets only one thread call it (level {}); use one with MPI_THREAD_MULTIPLE", provided);
    }
    operations.emplace();
  }
  /// A group that lost a peer would wait in MPI_Finalize for ever; the launcher ends what is left.
  ~MpiProcess() {
    if (broken) return;
    if (operations) operations->release();
    // MPI ends together, and may hang over it: what this rank came to is said before.
    if (client() != nullptr) client()->say_good_bye();
    MPI_Finalize();
  }
  MpiProcess(const MpiProcess&) = delete;
  MpiProcess& operator=(const MpiProcess&) = delete;

  std::optional<MpiOperations> operations;
  std::atomic<bool> broken{false};
  std::vector<Peer> peers;  ///< by rank of MPI_COMM_WORLD
  int local_rank = 0, local_size = 1;
  std::vector<std::string> hosts;
  watch::Activity activity;
  std::unique_ptr<Heartbeats> heartbeats;

  watch::HeartbeatClient* client() const { return heartbeats ? heartbeats->client() : nullptr; }
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(std::shared_ptr<MpiProcess> process, MPI_Comm comm)
      : process_(std::move(process)), comm_(comm), group_(process_->activity.new_group()) {
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
    requests_.reserve(static_cast<std::size_t>(size_) * 4);
    awaited_.reserve(requests_.capacity());
  }
  ~MpiCommunicator() override {
    if (!process_->broken && comm_ != MPI_COMM_WORLD) MPI_Comm_free(&comm_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return process_->local_rank; }
  int local_size() const override { return process_->local_size; }
  const std::string& host(int rank) const override { return process_->hosts[static_cast<std::size_t>(rank)]; }
  std::string_view backend() const override { return "mpi"; }

  void all_reduce(void* data, std::size_t count, DType type, ReduceOp op, const char* name) override;
  void reduce_scatter(const void* in, void* out, std::size_t count, DType type, ReduceOp op, const char* name) override;
  void all_gather(const void* in, void* out, std::size_t bytes, const char* name) override;
  void broadcast(void* data, std::size_t bytes, int root, const char* name) override;
  void barrier(const char* name) override;
  void exchange(std::span<const SendPart> sends, std::span<const ReceivePart> receives, const char* name) override;

  void set_timeout(double seconds) override { timeout_s_ = seconds; }
  double timeout_s() const override { return timeout_s_; }
  void set_limit(std::function<std::optional<double>()> limit_s) override { limit_s_ = std::move(limit_s); }
  void set_background(const std::atomic<int>* waiting) override { waiting_ = waiting; }
  std::unique_ptr<Communicator> duplicate(const char* name) override;
  watch::Activity& activity() override { return process_->activity; }
  watch::HeartbeatClient* heartbeats() override { return process_->client(); }
  [[noreturn]] void leave(ExitCode code) override;

  MPI_Comm handle() const { return comm_; }

 private:
  MPI_Request& add_request(int peer);
  void post(int status, const char* name);
  void wait(const char* name);
  template <typename Post>
  void call(const char* name, std::size_t bytes, Post&& post_all);
  void look_around(Clock::time_point start, const char* name);
  [[noreturn]] void give_up(const char* name, const std::string& why);
  [[noreturn]] void end_as_told(const Failure& verdict);
  std::optional<Failure> verdict_now() const;
  std::optional<Failure> verdict_soon() const;
  std::string awaited_text() const;

  std::shared_ptr<MpiProcess> process_;
  MPI_Comm comm_;
  const std::uint32_t group_;   ///< among the groups of this process
  std::uint64_t sequence_ = 0;  ///< calls so far
  int rank_ = 0, size_ = 1;
  double timeout_s_ = kDefaultTimeout_s;
  std::function<std::optional<double>()> limit_s_;
  const std::atomic<int>* waiting_ = nullptr;
  std::vector<MPI_Request> requests_;  ///< of the call in hand
  std::vector<int> awaited_;           ///< per request: the peer, −1: everybody
};

MPI_Request& MpiCommunicator::add_request(int peer) {
  awaited_.push_back(peer);
  return requests_.emplace_back(MPI_REQUEST_NULL);
}

void MpiCommunicator::post(int status, const char* name) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(status, text, &length);
  give_up(name, fmt::format("MPI says: {}", text));
}

void MpiCommunicator::give_up(const char* name, const std::string& why) {
  process_->broken = true;
  throw PeerError("gave up in '{}': {}. Start the job again: it goes on from its last checkpoint", name, why);
}

std::optional<Failure> MpiCommunicator::verdict_now() const {
  const watch::HeartbeatClient* const client = process_->client();
  return client != nullptr ? client->verdict() : std::nullopt;
}

std::optional<Failure> MpiCommunicator::verdict_soon() const {
  constexpr std::chrono::milliseconds kPatience{1000}, kNap{5};
  if (process_->client() == nullptr) return std::nullopt;
  for (const Clock::time_point end = Clock::now() + kPatience; Clock::now() < end; std::this_thread::sleep_for(kNap)) {
    if (std::optional<Failure> verdict = verdict_now()) return verdict;
  }
  return std::nullopt;
}

/// Whoever watches the job knows more than this rank, which only waits.
void MpiCommunicator::end_as_told(const Failure& verdict) {
  process_->broken = true;
  if (process_->client()->is_told_to_all() && rank_ != 0) throw ToldElsewhere(verdict.message);
  if (verdict.code == ExitCode::peer) throw PeerError(verdict.message);
  throw Error(verdict.code, verdict.message);
}

/// "rank 2 on node1, rank 3 on node1 (every rank of 4 takes part)".
std::string MpiCommunicator::awaited_text() const {
  std::vector<int> ranks;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i] != MPI_REQUEST_NULL && awaited_[i] >= 0) ranks.push_back(awaited_[i]);
  }
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  if (ranks.empty()) return fmt::format("some of the {} ranks", size_);
  std::string text;
  for (const int rank : ranks) text += (text.empty() ? "" : ", ") + name_of(rank);
  return text;
}

/// Throws where waiting is of no use any more.
void MpiCommunicator::look_around(Clock::time_point start, const char* name) {
  if (const std::optional<Failure> verdict = verdict_now()) end_as_told(*verdict);
  for (int rank = 0; rank < size_; ++rank) {
    const Peer& peer = process_->peers[static_cast<std::size_t>(rank)];
    if (rank == rank_ || !peer.is_watched || !is_dead(peer.process)) continue;
    // What it sent before it died may be all that was missing.
    int all_done = 0;
    post(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &all_done, MPI_STATUSES_IGNORE), name);
    if (all_done == 0) {
      // It may have left because of another one: whoever watches the job knows, and says so in a moment.
      if (const std::optional<Failure> verdict = verdict_soon()) end_as_told(*verdict);
      give_up(name, fmt::format("{} (process {}) is gone: it died, or ended with a message of its own", name_of(rank),
                                peer.process.pid));
    }
  }
  const double waited_s = std::chrono::duration<double>(Clock::now() - start).count();
  const std::optional<double> limit_s = limit_s_ ? limit_s_() : std::nullopt;
  if (waited_s < std::min(timeout_s_, limit_s.value_or(timeout_s_))) return;
  give_up(name, fmt::format("waited {:.1f} s for {}{}", waited_s, awaited_text(),
                            limit_s ? ", and a stop was requested" : "; is it alive, and the network up?"));
}

/// Until every posted request is done.
void MpiCommunicator::wait(const char* name) {
  constexpr int kSpins = 64;
  constexpr timespec kNap{0, 20'000}, kLongNap{0, 200'000};
  // A wait this long is no message on its way but somebody's work, which may need this core.
  constexpr std::chrono::milliseconds kImpatient{20};
  Clock::time_point start = Clock::now();
  Clock::time_point next_look = start + kLook;
  for (int spin = 0;; ++spin) {
    int done = 0;
    post(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE), name);
    if (done != 0) break;
    if (waiting_ != nullptr && waiting_->load(std::memory_order_relaxed) == 0) {
      nanosleep(&kNap, nullptr);
    } else if (spin % kSpins == kSpins - 1) {
      sched_yield();
    } else {
      continue;
    }
    const Clock::time_point now = Clock::now();
    if (now - start > kImpatient) nanosleep(&kLongNap, nullptr);
    if (now < next_look) continue;
    // Stopped itself (a suspended job, a sleeping machine): nobody was waited for meanwhile.
    constexpr std::chrono::seconds kPause{2};
    if (now > next_look + kPause) start += now - next_look;
    look_around(start, name);
    next_look = Clock::now() + kLook;
  }
  requests_.clear();
  awaited_.clear();
}

/// Posts, waits, and has it on the board meanwhile; a call that throws stays there as one that never returned.
template <typename Post>
void MpiCommunicator::call(const char* name, std::size_t bytes, Post&& post_all) {
  const std::uint32_t ticket = process_->activity.enter(name, group_, ++sequence_, bytes);
  post_all();
  wait(name);
  process_->activity.leave(ticket);
}

void MpiCommunicator::all_reduce(void* data, std::size_t count, DType type, ReduceOp op, const char* name) {
  const MpiReduction reduction = process_->operations->of(type, op);
  const std::size_t most = kMostBytes / size_of(type);
  for (std::size_t begin = 0; begin < count; begin += most) {
    const int part = static_cast<int>(std::min(most, count - begin));
    call(name, static_cast<std::size_t>(part) * size_of(type), [&] {
      post(MPI_Iallreduce(MPI_IN_PLACE, static_cast<std::byte*>(data) + begin * size_of(type), part, reduction.type,
                          reduction.op, comm_, &add_request(-1)),
           name);
    });
  }
}

void MpiCommunicator::reduce_scatter(const void* in, void* out, std::size_t count, DType type, ReduceOp op,
                                     const char* name) {
  const MpiReduction reduction = process_->operations->of(type, op);
  ATHANOR_CHECK(count * size_of(type) <= kMostBytes, "{}: reduce_scatter of {} elements a rank", name, count);
  call(name, count * size_of(type), [&] {
    post(MPI_Ireduce_scatter_block(in, out, static_cast<int>(count), reduction.type, reduction.op, comm_,
                                   &add_request(-1)),
         name);
  });
}

void MpiCommunicator::all_gather(const void* in, void* out, std::size_t bytes, const char* name) {
  std::byte* own = static_cast<std::byte*>(out) + static_cast<std::size_t>(rank_) * bytes;
  if (bytes > 0 && in != own) std::memmove(own, in, bytes);
  if (bytes > kMostBytes) {
    // Rare and large: every rank to every other one, in parts.
    std::vector<SendPart> sends;
    std::vector<ReceivePart> receives;
    for (int peer = 0; peer < size_; ++peer) {
      if (peer == rank_) continue;
      sends.push_back({peer, own, bytes});
      receives.push_back({peer, static_cast<std::byte*>(out) + static_cast<std::size_t>(peer) * bytes, bytes});
    }
    exchange(sends, receives, name);
    return;
  }
  call(name, bytes, [&] {
    post(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_BYTE, out, static_cast<int>(bytes), MPI_BYTE, comm_, &add_request(-1)),
         name);
  });
}

void MpiCommunicator::broadcast(void* data, std::size_t bytes, int root, const char* name) {
  for (std::size_t begin = 0; begin < bytes; begin += kMostBytes) {
    const auto part = static_cast<int>(std::min(kMostBytes, bytes - begin));
    call(name, static_cast<std::size_t>(part), [&] {
      post(MPI_Ibcast(static_cast<std::byte*>(data) + begin, part, MPI_BYTE, root, comm_, &add_request(-1)), name);
    });
  }
}

void MpiCommunicator::barrier(const char* name) {
  call(name, 0, [&] { post(MPI_Ibarrier(comm_, &add_request(-1)), name); });
}

void MpiCommunicator::exchange(std::span<const SendPart> sends, std::span<const ReceivePart> receives,
                               const char* name) {
  const auto in_parts = [](std::size_t bytes, const auto& visit) {
    for (std::size_t begin = 0; begin < bytes; begin += kMostBytes) {
      visit(begin, static_cast<int>(std::min(kMostBytes, bytes - begin)));
    }
  };
  call(name, 0, [&] {
    for (const ReceivePart& part : receives) {
      in_parts(part.bytes, [&](std::size_t begin, int bytes) {
        post(MPI_Irecv(static_cast<std::byte*>(part.data) + begin, bytes, MPI_BYTE, part.peer, kTag, comm_,
                       &add_request(part.peer)),
             name);
      });
    }
    for (const SendPart& part : sends) {
      in_parts(part.bytes, [&](std::size_t begin, int bytes) {
        post(MPI_Isend(static_cast<const std::byte*>(part.data) + begin, bytes, MPI_BYTE, part.peer, kTag, comm_,
                       &add_request(part.peer)),
             name);
      });
    }
  });
}

std::unique_ptr<Communicator> MpiCommunicator::duplicate(const char* name) {
  MPI_Comm copy = MPI_COMM_NULL;
  call(name, 0, [&] { post(MPI_Comm_idup(comm_, &copy, &add_request(-1)), name); });
  auto group = std::make_unique<MpiCommunicator>(process_, copy);
  group->timeout_s_ = timeout_s_;
  group->limit_s_ = limit_s_;
  return group;
}

void MpiCommunicator::leave(ExitCode code) {
  process_->broken = true;
  std::fflush(nullptr);
  if (process_->client() != nullptr) process_->client()->say_good_bye();
  // The abort itself may hang, with a launcher that is gone.
  std::thread([code] {
    std::this_thread::sleep_for(std::chrono::seconds(5));
    _exit(static_cast<int>(code));
  }).detach();
  MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
  _exit(static_cast<int>(code));
}

/// Who the others are, and which of them live where this rank can see them.
void meet(MpiProcess& process, MpiCommunicator& world) {
  Peer own;
  std::strncpy(own.host, host_name().c_str(), sizeof own.host - 1);
  own.process = this_process();
  process.peers.resize(static_cast<std::size_t>(world.size()));
  world.all_gather(&own, process.peers.data(), sizeof own, "meeting");
  MPI_Comm local = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local);
  MPI_Comm_rank(local, &process.local_rank);
  MPI_Comm_size(local, &process.local_size);
  MPI_Comm_free(&local);
  for (Peer& peer : process.peers) {
    process.hosts.emplace_back(peer.host);
    peer.is_watched = std::strcmp(peer.host, own.host) == 0 && is_visible(peer.process);
  }
  process.heartbeats = std::make_unique<Heartbeats>(world);
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator() {
  const auto process = std::make_shared<MpiProcess>();
  auto world = std::make_unique<MpiCommunicator>(process, MPI_COMM_WORLD);
  meet(*process, *world);
  return world;
}

bool mpi_blocking_all_reduce(Communicator& communicator, float* data, std::size_t count) {
  const auto* group = dynamic_cast<MpiCommunicator*>(&communicator);
  if (group == nullptr) return false;
  return MPI_Allreduce(MPI_IN_PLACE, data, static_cast<int>(count), MPI_FLOAT, MPI_SUM, group->handle()) == MPI_SUCCESS;
}

}  // namespace athanor
