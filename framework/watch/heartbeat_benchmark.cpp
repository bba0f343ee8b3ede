#include "watch/heartbeat_benchmark.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include "watch/clock.h"
#include "watch/frames.h"
#include "watch/heartbeat_client.h"
#include "watch/heartbeat_service.h"
#include "watch/rank_history.h"

namespace athanor::watch {
namespace {

constexpr int kCollectivesAStep = 12;
/// Log files, libraries, the service's own.
constexpr int kOtherDescriptors = 64;

/// Calls the service for one rank, and sends its first beat; −1: it did not let it in.
int call_service(const Invitation& invitation, int rank, int ranks) {
  const int line = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(invitation.port);
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Hello hello;
  hello.key = invitation.key;
  hello.rank = rank;
  hello.world_size = ranks;
  hello.pid = getpid();
  hello.host = "node" + std::to_string(rank / 8);
  hello.cpus = "0-7";
  std::vector<std::uint8_t> frame;
  append_frame(hello, frame);
  std::array<std::uint8_t, 512> answer;
  if (line < 0 || connect(line, reinterpret_cast<const sockaddr*>(&place), sizeof place) != 0 ||
      send(line, frame.data(), frame.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(frame.size()) ||
      recv(line, answer.data(), answer.size(), 0) <= 0) {
    return -1;
  }
  frame.clear();
  append_frame(Beat{.sent_ns = steady_ns()}, frame);
  return send(line, frame.data(), frame.size(), MSG_NOSIGNAL) < 0 ? -1 : line;
}

/// All ranks, each once a second, evenly spread, until the process is killed.
[[noreturn]] void simulate_ranks(const Invitation& invitation, int ranks) {
  std::vector<int> lines;
  for (int rank = 0; rank < ranks; ++rank) {
    lines.push_back(call_service(invitation, rank, ranks));
    if (lines.back() < 0) _exit(1);
  }
  Beat beat;
  beat.activity.phase = Phase::training;
  beat.threads = 8;
  beat.shards = 1;
  beat.round_trip_s = 2e-4;
  std::vector<std::uint8_t> frame;
  std::array<std::uint8_t, 4096> pulses;
  const double start_s = steady_s();
  for (std::int64_t turn = 0;; ++turn) {
    const double due_s = start_s + static_cast<double>(turn) / ranks;
    const double wait_s = due_s - steady_s();
    // The kernel's own timers are no finer; beats that fell due meanwhile follow at once.
    if (wait_s > 0) std::this_thread::sleep_for(std::chrono::duration<double>(wait_s));
    const int line = lines[static_cast<std::size_t>(turn % ranks)];
    while (recv(line, pulses.data(), pulses.size(), MSG_DONTWAIT) > 0) continue;
    beat.sent_ns = steady_ns();
    beat.activity.step = 1 + turn / ranks * 100;
    beat.activity.progress = static_cast<std::uint64_t>(turn);
    beat.activity.progress_ns = beat.sent_ns;
    beat.activity.times.steps = beat.activity.step;
    const auto steps = static_cast<double>(beat.activity.step);
    beat.activity.times.step_s = 0.01 * steps;
    beat.activity.times.compute_s = 0.008 * steps;
    beat.activity.times.comm_wait_s = 0.002 * steps;
    frame.clear();
    append_frame(beat, frame);
    if (send(line, frame.data(), frame.size(), MSG_NOSIGNAL) < 0) _exit(1);
  }
}

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double all = 0, resident = 0;
  statm >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// As many descriptors as this process may have.
int raise_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 20));
}

class RankProcess {
 public:
  RankProcess() : pid_(fork_one()) {}
  ~RankProcess() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(ends_[0]);
    close(ends_[1]);
  }
  RankProcess(const RankProcess&) = delete;
  RankProcess& operator=(const RankProcess&) = delete;

  void begin(const Invitation& invitation, int ranks) {
    std::string text = to_text(invitation) + " " + std::to_string(ranks) + "\n";
    if (write(ends_[1], text.data(), text.size()) < 0)
      throw DeviceError("cannot tell the simulated ranks where to call");
  }
  bool has_ended() {
    const bool ended = waitpid(pid_, nullptr, WNOHANG) == pid_;
    if (ended) pid_ = -1;
    return ended;
  }

 private:
  /// Before the service, whose threads must not be copied.
  pid_t fork_one() {
    if (pipe(ends_) != 0) throw DeviceError("cannot make a pipe for the simulated ranks; are descriptors used up?");
    const pid_t pid = fork();
    if (pid < 0) throw DeviceError("cannot start a process for the simulated ranks; is there enough memory?");
    if (pid > 0) return pid;
    std::string text;
    for (char letter = 0; read(ends_[0], &letter, 1) == 1 && letter != '\n';) text += letter;
    const std::size_t space = text.find(' ');
    if (space == std::string::npos) _exit(1);
    simulate_ranks(invitation_from(text.substr(0, space)), std::atoi(text.c_str() + space));
  }

  int ends_[2];
  pid_t pid_;
};

}  // namespace

RankCost measure_rank_cost(double seconds) {
  RankCost cost;
  Activity activity;
  activity.set_phase(Phase::training);
  constexpr std::size_t kRounds = 21;
  constexpr int kSteps = 2000;
  std::array<double, kRounds> rounds_ns{};
  std::int64_t step = 0;
  std::uint64_t sequence = 0;
  for (double& round_ns : rounds_ns) {
    const std::int64_t start_ns = steady_ns();
    for (int i = 0; i < kSteps; ++i) {
      activity.begin_step(++step);
      for (int call = 0; call < kCollectivesAStep; ++call) {
        activity.leave(activity.enter("gradients", 0, ++sequence, 4096));
      }
      activity.note_step(0.01, 0.008, 0, 0.002);
    }
    round_ns = static_cast<double>(steady_ns() - start_ns) / kSteps;
  }
  cost.board_ns = median_of(rounds_ns.data(), kRounds);

  const HeartbeatService service({}, {});
  const HeartbeatClient client(service.invitation(), {}, activity);
  const double cpu_s = client.cpu_seconds();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  cost.client_share = (client.cpu_seconds() - cpu_s) / seconds;
  return cost;
}

ServiceCost measure_service_cost(int ranks, double seconds) {
  ServiceCost cost;
  cost.ranks = std::min(ranks, raise_descriptors() - kOtherDescriptors);
  RankProcess process;
  const double memory_bytes = resident_bytes();
  ServiceOptions options;
  options.world_size = cost.ranks;
  options.by_supervisor = true;
  std::atomic<bool> has_joined{false};
  std::atomic<std::uint64_t> lost{0};
  const HeartbeatService service(options, [&](const Event& event) {
    if (event.kind == EventKind::joined) has_joined = true;
    if (event.kind == EventKind::lost || event.kind == EventKind::stalled) lost += event.ranks.size();
  });
  const double called_s = steady_s();
  process.begin(service.invitation(), cost.ranks);
  while (!has_joined) {
    if (process.has_ended())
      throw DeviceError("the service did not let the simulated ranks in; are descriptors used up?");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  cost.calls_s = steady_s() - called_s;
  // The first beats come at once; what follows is the steady state.
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const std::uint64_t beats = service.beats();
  const double cpu_s = service.cpu_seconds();
  const double start_s = steady_s();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  cost.seconds = steady_s() - start_s;
  cost.cpu_share = (service.cpu_seconds() - cpu_s) / cost.seconds;
  cost.beats_per_s = static_cast<double>(service.beats() - beats) / cost.seconds;
  cost.memory_bytes = resident_bytes() - memory_bytes;
  const DroppedCallers dropped = service.picture().dropped;
  cost.dropped = lost + dropped.malformed + dropped.oversized + dropped.too_many + dropped.too_slow + dropped.wrong_key;
  return cost;
}

}  // namespace athanor::watch
