#include "backend/cuda/start_check.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>
#include <vector>

#include "backend/cuda/device_memory.h"
#include "backend/cuda/group_watchdog.h"
#include "base/log.h"

namespace athanor::cuda {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kCount = 256;
constexpr double kAbort_s = 2;

/// Whole numbers, so that every order of summation gives the same.
float term(int rank, int i) {
  return static_cast<float>(rank + 1) * static_cast<float>(i % 16);
}

float sum_of_terms(int ranks, int i) {
  return static_cast<float>(ranks) * static_cast<float>(ranks + 1) / 2 * static_cast<float>(i % 16);
}

void log_devices(const Device& device, Communicator& communicator) {
  const DeviceInfo& info = device.info();
  const std::vector<std::string> devices =
      gather_texts(communicator, fmt::format("{} ({})", info.name, info.bus_id), "devices");
  if (communicator.rank() != 0) return;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    const int next = (rank + 1) % communicator.size();
    const bool is_near = communicator.host(rank) == communicator.host(next);
    log_to_file_only(LogLevel::info, fmt::format("{}: {}; to rank {} {}", communicator.name_of(rank),
                                                 devices[static_cast<std::size_t>(rank)], next,
                                                 is_near ? "within the host" : "over the network"));
  }
}

/// Memory that messages still write to cannot be given back: what is under way ends first, or else the process.
[[noreturn]] void give_up(DeviceGroup& group, Communicator& communicator, const std::string& why) {
  const std::string message = fmt::format("{}: the first sum over {} GPUs {}",
                                          communicator.name_of(communicator.rank()), communicator.size(), why);
  if (!abort_within(group, kAbort_s)) {
    log_error("{}", message);
    communicator.leave(ExitCode::peer);
  }
  throw PeerError("{}", message);
}

void wait_for(Device& device, Event event, DeviceGroup& group, Communicator& communicator) {
  const Clock::time_point start = Clock::now();
  while (!device.is_done(event)) {
    const std::string error = group.poll();
    const double waited_s = std::chrono::duration<double>(Clock::now() - start).count();
    if (!error.empty()) give_up(group, communicator, "failed: " + error);
    if (waited_s > communicator.timeout_s()) {
      give_up(group, communicator, fmt::format("did not end within {:.1f} s", waited_s));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

}  // namespace

void check_group(Device& device, DeviceGroup& group, Communicator& communicator) {
  log_devices(device, communicator);
  const int rank = communicator.rank(), ranks = communicator.size();
  constexpr std::size_t kBytes = kCount * sizeof(float);
  // The terms and their sum, then what comes from the rank before.
  const DeviceMemory memory(device, MemoryKind::communication, 2 * kBytes);
  const DeviceMemory host(device, MemoryKind::pinned, 2 * kBytes);
  float* const sums = memory.as<float>();
  float* const received = sums + kCount;
  float* const values = host.as<float>();
  for (int i = 0; i < kCount; ++i) values[i] = term(rank, i);
  const DeviceEvent done(device);

  device.copy(sums, values, kBytes, Stream::communication);
  group.begin();
  group.send(sums, kBytes, (rank + 1) % ranks, Stream::communication);
  group.receive(received, kBytes, (rank + ranks - 1) % ranks, Stream::communication);
  group.end();
  group.all_reduce(sums, kCount, DType::f32, Stream::communication);
  device.copy(values, sums, 2 * kBytes, Stream::communication);
  device.record(done.get(), Stream::communication);
  wait_for(device, done.get(), group, communicator);

  for (int i = 0; i < kCount; ++i) {
    const float sum = sum_of_terms(ranks, i), sent = term((rank + ranks - 1) % ranks, i);
    if (values[i] == sum && values[kCount + i] == sent) continue;
    throw DeviceError(
        "{}: GPUs exchange wrong numbers: the sum over {} ranks is {}, want {}; rank {} sent {}, here is {}",
        communicator.name_of(rank), ranks, values[i], sum, (rank + ranks - 1) % ranks, sent, values[kCount + i]);
  }
}

}  // namespace athanor::cuda
