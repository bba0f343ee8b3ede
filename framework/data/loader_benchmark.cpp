#include "data/loader_benchmark.h"

#include <chrono>
#include <thread>

namespace athanor {

LoaderBenchmark run_loader_benchmark(const Dataset& dataset, LoaderOptions options, double seconds, double step_s) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  LoaderBenchmark result;
  const Clock::time_point constructed = Clock::now();
  Loader loader(dataset, std::move(options));
  loader.next();
  result.first_batch_s = since(constructed);
  const double wait_before_s = loader.total_wait_s();
  const Clock::time_point start = Clock::now();
  do {
    if (loader.remaining() == 0) loader.restart();
    const Batch& batch = loader.next();
    ++result.batches;
    result.images += batch.valid;
    // The step of a device leaves the core to the loader; a sleep stands for it.
    if (step_s > 0) std::this_thread::sleep_for(std::chrono::duration<double>(step_s));
    result.seconds = since(start);
  } while (result.seconds < seconds);
  result.images_per_s = static_cast<double>(result.images) / result.seconds;
  result.wait_s = loader.total_wait_s() - wait_before_s;
  result.wait_share = result.wait_s / result.seconds;
  return result;
}

}  // namespace athanor
