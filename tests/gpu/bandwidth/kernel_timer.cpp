#include "gpu/bandwidth/kernel_timer.h"

#include <fmt/format.h>

#include <cstdio>

namespace athanor::testing {

using cuda::Stream;

KernelTimer::KernelTimer(cuda::Device& device, const cuda::DeviceMemory& from, const cuda::DeviceMemory& to)
    : device_(device) {
  const double seconds = seconds_of([&](Stream stream) { device_.copy(to.data(), from.data(), from.bytes(), stream); });
  copy_speed_ = 2 * static_cast<double>(from.bytes()) / seconds;
  fmt::print("{:46} {:9.1f} us {:6.0f} GB/s\n", "copy", seconds * 1e6, copy_speed_ * 1e-9);
}

double KernelTimer::time(const std::string& name, double bytes, const std::function<void(Stream)>& work) {
  if (name.find(filter_) == std::string::npos) return 0;
  const double seconds = seconds_of(work);
  fmt::print("{:46} {:9.1f} us {:6.0f} GB/s {:5.1f} %\n", name, seconds * 1e6, bytes / seconds * 1e-9,
             100 * bytes / seconds / copy_speed_);
  std::fflush(stdout);
  return seconds;
}

/// The faster of two graphs' runs of 20 calls, after one that does not count.
double KernelTimer::seconds_of(const std::function<void(Stream)>& work) {
  constexpr int kCalls = 20, kRuns = 2;
  work(Stream::compute);
  device_.synchronize();
  device_.begin_capture(Stream::compute);
  for (int i = 0; i < kCalls; ++i) work(Stream::compute);
  const cuda::GraphExec graph = device_.end_capture(Stream::compute);
  const cuda::Event start = device_.make_event(true), end = device_.make_event(true);
  device_.launch(graph, Stream::compute);
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    device_.record(start, Stream::compute);
    device_.launch(graph, Stream::compute);
    device_.record(end, Stream::compute);
    device_.synchronize(end);
    const double seconds = device_.seconds_between(start, end) / kCalls;
    best = run == 0 || seconds < best ? seconds : best;
  }
  device_.release(start);
  device_.release(end);
  device_.release(graph);
  return best;
}

}  // namespace athanor::testing
