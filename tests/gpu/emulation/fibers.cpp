// The threads of a block as fibers: each has a stack, runs until it waits or ends, and then gives way to the next. A
// warp goes on once all its lanes wait for the warp; a block once all its threads wait for the block.
#undef _FORTIFY_SOURCE  // its longjmp takes another stack for a mistake
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda::host {
namespace {

constexpr std::size_t kStackBytes = 128 * 1024;

enum class State : std::uint8_t { ready, waits_for_warp, waits_for_block, done };

struct Fiber {
  jmp_buf place;
  void* stack = nullptr;
  bool has_started = false;  ///< its context exists and waits for a body
  State state = State::done;
  Dim3 thread;
  unsigned lane = 0;
  bool parity = false;  ///< which of the warp's two sets of slots comes next
};

struct Warp {
  alignas(16) std::byte slots[2][kWarp * kSlotBytes];
  unsigned lanes = 0;
};

/// The fibers of one host thread, used again by its next launch.
struct Scheduler {
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Warp> warps;
  std::vector<std::byte> shared;
  Fiber* current = nullptr;
  Warp* current_warp = nullptr;
  jmp_buf home;
  void (*body)(void*) = nullptr;
  void* context = nullptr;
  bool is_running = false;

  ~Scheduler() {
    for (const auto& fiber : fibers) {
      if (fiber->stack != nullptr) munmap(fiber->stack, kStackBytes);
    }
  }
};

thread_local Scheduler scheduler;
std::atomic<Order> order_of_launches{Order::ascending};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "emulated kernel: %s (block %u, %u, %u)\n", what, blockIdx.x, blockIdx.y, blockIdx.z);
  std::abort();
}

void give_way() {
  Scheduler& s = scheduler;
  if (_setjmp(s.current->place) == 0) _longjmp(s.home, 1);
}

/// A fiber's whole life: bodies, one after another.
void live() {
  for (;;) {
    scheduler.body(scheduler.context);
    scheduler.current->state = State::done;
    give_way();
  }
}

void start(Fiber& fiber) {
  fiber.stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (fiber.stack == MAP_FAILED) fail("no memory for a thread's stack");
  fiber.has_started = true;
  ucontext_t context, here;
  getcontext(&context);
  context.uc_stack.ss_sp = fiber.stack;
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  makecontext(&context, live, 0);
  swapcontext(&here, &context);
}

void resume(Fiber& fiber) {
  scheduler.current = &fiber;
  threadIdx = fiber.thread;
  if (_setjmp(scheduler.home) != 0) return;
  if (fiber.has_started) {
    _longjmp(fiber.place, 1);
  } else {
    start(fiber);
  }
}

/// Runs a warp until all its lanes have ended or wait for the block.
void run_warp(Warp& warp, std::size_t first) {
  Scheduler& s = scheduler;
  s.current_warp = &warp;
  for (;;) {
    unsigned in_warp = 0, in_block = 0;
    for (unsigned lane = 0; lane < warp.lanes; ++lane) {
      Fiber& fiber = *s.fibers[first + lane];
      if (fiber.state == State::ready) resume(fiber);
      in_warp += fiber.state == State::waits_for_warp;
      in_block += fiber.state == State::waits_for_block;
    }
    if (in_warp == 0) return;
    if (in_block != 0) fail("some lanes of a warp wait for the warp, others for the block");
    for (unsigned lane = 0; lane < warp.lanes; ++lane) {
      Fiber& fiber = *s.fibers[first + lane];
      if (fiber.state == State::waits_for_warp) fiber.state = State::ready;
    }
  }
}

void run_block(unsigned threads) {
  Scheduler& s = scheduler;
  const std::size_t warps = (threads + kWarp - 1) / kWarp;
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& fiber = *s.fibers[i];
    fiber.state = State::ready;
    fiber.lane = i % kWarp;
    fiber.parity = false;
    fiber.thread = Dim3(i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y);
  }
  for (std::size_t w = 0; w < warps; ++w) {
    const unsigned left = threads - static_cast<unsigned>(w) * kWarp;
    s.warps[w].lanes = left < kWarp ? left : kWarp;
  }
  for (bool go_on = true; go_on;) {
    for (std::size_t i = 0; i < warps; ++i) {
      const std::size_t w = order_of_launches == Order::ascending ? i : warps - 1 - i;
      run_warp(s.warps[w], w * kWarp);
    }
    go_on = false;
    for (unsigned i = 0; i < threads; ++i) {
      Fiber& fiber = *s.fibers[i];
      if (fiber.state != State::waits_for_block) continue;
      fiber.state = State::ready;
      go_on = true;
    }
  }
}

template <typename RunBlock>
void for_blocks(Dim3 grid, Dim3 block, std::size_t shared_bytes, RunBlock&& run) {
  Scheduler& s = scheduler;
  if (s.is_running) fail("a kernel launches a kernel");
  s.is_running = true;
  if (s.shared.size() < shared_bytes + 128) s.shared.resize(shared_bytes + 128);
  gridDim = grid;
  blockDim = block;
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  for (std::uint64_t i = 0; i < blocks; ++i) {
    const std::uint64_t at = order_of_launches == Order::ascending ? i : blocks - 1 - i;
    blockIdx = Dim3(static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
                    static_cast<unsigned>(at / grid.x / grid.y));
    std::memset(s.shared.data(), 0xff, shared_bytes + 128);
    run();
  }
  s.is_running = false;
}

}  // namespace

void set_order(Order order) {
  order_of_launches = order;
}

std::byte* shared_memory() {
  const auto address = reinterpret_cast<std::uintptr_t>(scheduler.shared.data());
  return scheduler.shared.data() + (128 - address % 128) % 128;
}

void wait_for_block() {
  if (scheduler.current == nullptr) fail("a kernel of launch_independent synchronises");
  scheduler.current->state = State::waits_for_block;
  give_way();
}

void wait_for_warp() {
  if (scheduler.current == nullptr) fail("a kernel of launch_independent synchronises");
  scheduler.current->state = State::waits_for_warp;
  give_way();
}

const std::byte* exchange(const void* value, std::size_t bytes, unsigned& lanes) {
  Scheduler& s = scheduler;
  if (s.current == nullptr) fail("a kernel of launch_independent shuffles");
  std::byte* slots = s.current_warp->slots[s.current->parity ? 1 : 0];
  s.current->parity = !s.current->parity;
  std::memcpy(slots + s.current->lane * kSlotBytes, value, bytes);
  lanes = s.current_warp->lanes;
  wait_for_warp();
  return slots;
}

unsigned lane() {
  return scheduler.current == nullptr ? 0 : scheduler.current->lane;
}

void run_blocks(void (*body)(void*), void* context, Dim3 grid, Dim3 block, std::size_t shared_bytes) {
  Scheduler& s = scheduler;
  const unsigned threads = block.x * block.y * block.z;
  if (threads == 0 || threads > 1024) fail("a block has 1 to 1024 threads");
  while (s.fibers.size() < threads) s.fibers.push_back(std::make_unique<Fiber>());
  if (s.warps.size() < (threads + kWarp - 1) / kWarp) s.warps.resize((threads + kWarp - 1) / kWarp);
  s.body = body;
  s.context = context;
  for_blocks(grid, block, shared_bytes, [&] { run_block(threads); });
  s.current = nullptr;
}

void run_independent(void (*body)(void*), void* context, Dim3 grid, Dim3 block, std::size_t shared_bytes) {
  if (block.x * block.y * block.z > 1024) fail("a block has 1 to 1024 threads");
  for_blocks(grid, block, shared_bytes, [&] {
    for (unsigned z = 0; z < block.z; ++z) {
      for (unsigned y = 0; y < block.y; ++y) {
        for (unsigned x = 0; x < block.x; ++x) {
          threadIdx = Dim3(x, y, z);
          body(context);
        }
      }
    }
  });
}

}  // namespace athanor::kernels::cuda::host
