// y = f(x…) over flat arrays, 16 bytes a thread and turn.
#include "kernels/cuda/elementwise.h"

#include "kernels/cuda/thread_model.h"
#include "kernels/elementwise_math.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 256;

struct Sum {
  ATHANOR_DEVICE float operator()(float a, float b) const { return a + b; }
};
template <Activation kKind>
struct Value {
  float slope;
  ATHANOR_DEVICE float operator()(float x) const { return activation_of<kKind>(x, slope); }
};
template <Activation kKind>
struct Gradient {
  float slope;
  ATHANOR_DEVICE float operator()(float dy, float saved) const { return activation_gradient<kKind>(dy, saved, slope); }
};
struct Same {
  ATHANOR_DEVICE float operator()(float x) const { return x; }
};

/// y[i] = f(x[i]); the first `packs` · kPack elements as whole packs.
template <typename From, typename To, int kPack, typename F>
ATHANOR_KERNEL __launch_bounds__(kThreads) map(const From* x, To* y, std::int64_t packs, std::int64_t count, F f) {
  for (std::int64_t i = grid_thread(); i < packs; i += grid_threads()) {
    const auto in = load_pack<kPack>(x + i * kPack);
    Pack<To, kPack> out;
    for (int k = 0; k < kPack; ++k) out[k] = store_as<To>(f(load_float(in[k])));
    store_pack(y + i * kPack, out);
  }
  for (std::int64_t i = packs * kPack + grid_thread(); i < count; i += grid_threads()) {
    y[i] = store_as<To>(f(load_float(x[i])));
  }
}

/// y[i] = f(a[i], b[i]), likewise.
template <typename T, int kPack, typename F>
ATHANOR_KERNEL __launch_bounds__(kThreads)
    map2(const T* a, const T* b, T* y, std::int64_t packs, std::int64_t count, F f) {
  for (std::int64_t i = grid_thread(); i < packs; i += grid_threads()) {
    const auto first = load_pack<kPack>(a + i * kPack);
    const auto second = load_pack<kPack>(b + i * kPack);
    Pack<T, kPack> out;
    for (int k = 0; k < kPack; ++k) out[k] = store_as<T>(f(load_float(first[k]), load_float(second[k])));
    store_pack(y + i * kPack, out);
  }
  for (std::int64_t i = packs * kPack + grid_thread(); i < count; i += grid_threads()) {
    y[i] = store_as<T>(f(load_float(a[i]), load_float(b[i])));
  }
}

/// Blocks for `packs` whole packs and the elements behind them.
unsigned blocks_for(std::int64_t packs, std::int64_t count, int pack) {
  const std::int64_t rest = count - packs * pack;
  return grid_for(packs > rest ? packs : rest, kThreads);
}

template <typename From, typename To, typename F>
void launch_map(const void* x, void* y, std::int64_t count, F f, LaunchStream stream) {
  constexpr int kPack = kPackOf < From >> kPackOf<To> ? kPackOf<From> : kPackOf<To>;
  const bool aligned = is_aligned(x, sizeof(From) * kPack) && is_aligned(y, sizeof(To) * kPack);
  const std::int64_t packs = aligned ? count / kPack : 0;
  launch_independent(map<From, To, kPack, F>, blocks_for(packs, count, kPack), kThreads, 0, stream,
                     static_cast<const From*>(x), static_cast<To*>(y), packs, count, f);
}

template <typename T, typename F>
void launch_map2(const void* a, const void* b, void* y, std::int64_t count, F f, LaunchStream stream) {
  constexpr int kPack = kPackOf<T>;
  const std::int64_t packs = is_aligned(a, 16) && is_aligned(b, 16) && is_aligned(y, 16) ? count / kPack : 0;
  launch_independent(map2<T, kPack, F>, blocks_for(packs, count, kPack), kThreads, 0, stream, static_cast<const T*>(a),
                     static_cast<const T*>(b), static_cast<T*>(y), packs, count, f);
}

/// Runs `f.template operator()<kKind>()`.
template <typename F>
void with_activation(Activation kind, F&& f) {
  switch (kind) {
    case Activation::relu:
      return f.template operator()<Activation::relu>();
    case Activation::leaky_relu:
      return f.template operator()<Activation::leaky_relu>();
    case Activation::sigmoid:
      return f.template operator()<Activation::sigmoid>();
    case Activation::tanh:
      return f.template operator()<Activation::tanh>();
    case Activation::gelu_erf:
      return f.template operator()<Activation::gelu_erf>();
    case Activation::gelu_tanh:
      return f.template operator()<Activation::gelu_tanh>();
    case Activation::silu:
      return f.template operator()<Activation::silu>();
  }
}

}  // namespace

void launch(const Add& add, LaunchStream stream) {
  with_type(add.dtype, [&]<typename T>() { launch_map2<T>(add.first, add.second, add.y, add.count, Sum{}, stream); });
}

void launch(const Activate& a, LaunchStream stream) {
  with_type(a.dtype, [&]<typename T>() {
    with_activation(a.kind,
                    [&]<Activation kKind>() { launch_map<T, T>(a.x, a.y, a.count, Value<kKind>{a.slope}, stream); });
  });
}

void launch(const ActivateBackward& a, LaunchStream stream) {
  with_type(a.dtype, [&]<typename T>() {
    with_activation(a.kind, [&]<Activation kKind>() {
      launch_map2<T>(a.dy, a.saved, a.dx, a.count, Gradient<kKind>{a.slope}, stream);
    });
  });
}

void launch(const Cast& cast, LaunchStream stream) {
  with_type(cast.from, [&]<typename From>() {
    with_type(cast.to, [&]<typename To>() { launch_map<From, To>(cast.x, cast.y, cast.count, Same{}, stream); });
  });
}

}  // namespace athanor::kernels::cuda
