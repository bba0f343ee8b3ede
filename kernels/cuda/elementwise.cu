// y = f(x…) over flat arrays, 16 bytes a thread and turn.
#include "kernels/cuda/elementwise.h"

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
ATHANOR_KERNEL __launch_bounds__(kThreads) add_kernel(const T* first, const T* second, T* y, std::int64_t count) {
  constexpr int kPack = kPackOf<T>;
  const std::int64_t packs = count / kPack;
  for (std::int64_t i = grid_thread(); i < packs; i += grid_threads()) {
    const auto a = load_pack<kPack>(first + i * kPack);
    const auto b = load_pack<kPack>(second + i * kPack);
    Pack<T, kPack> sum;
    for (int k = 0; k < kPack; ++k) sum[k] = store_as<T>(load_float(a[k]) + load_float(b[k]));
    store_pack(y + i * kPack, sum);
  }
  for (std::int64_t i = packs * kPack + grid_thread(); i < count; i += grid_threads()) {
    y[i] = store_as<T>(load_float(first[i]) + load_float(second[i]));
  }
}

}  // namespace

void launch(const Add& add, LaunchStream stream) {
  with_type(add.dtype, [&]<typename T>() {
    launch_independent(add_kernel<T>, grid_for((add.count + kPackOf<T> - 1) / kPackOf<T>, kThreads), kThreads, 0,
                       stream, static_cast<const T*>(add.first), static_cast<const T*>(add.second),
                       static_cast<T*>(add.y), add.count);
  });
}

}  // namespace athanor::kernels::cuda
