// The host's tensor cores against a plain product: what kernels compute with them means nothing before this holds.
#include "kernels/cuda/mma.h"

#include "gpu/kernels/guarded.h"

namespace athanor::kernels::cuda::testing::mma {
namespace {

/// d [16, 16] = a [16, 16] · b [16, 16], each stored by rows, or by columns where transposed.
template <typename T>
void product_kernel(const T* a, bool a_transposed, const T* b, bool b_transposed, float* d) {
  T* shared = dynamic_shared<T>();
  const unsigned lane = threadIdx.x;
  copy_async<16>(shared + lane * 8, a + lane * 8, true);
  copy_async<16>(shared + 256 + lane * 8, b + lane * 8, true);
  wait_for_copies<0>();
  __syncthreads();
  const unsigned row = lane % 8, piece = lane / 8;
  unsigned fa[4], fb[4];
  if (a_transposed) {
    load_matrices_transposed(fa, shared + (piece / 2 * 8 + row) * 16 + piece % 2 * 8);
  } else {
    load_matrices(fa, shared + (piece % 2 * 8 + row) * 16 + piece / 2 * 8);
  }
  // Memory by columns has a column's 16 k side by side: the rows of these matrices.
  if (b_transposed) {
    load_matrices(fb, shared + 256 + (piece / 2 * 8 + row) * 16 + piece % 2 * 8);
  } else {
    load_matrices_transposed(fb, shared + 256 + (piece % 2 * 8 + row) * 16 + piece / 2 * 8);
  }
  for (unsigned n = 0; n < 2; ++n) {
    float sums[4] = {};
    multiply_add<T>(sums, fa, fb[n * 2], fb[n * 2 + 1]);
    for (unsigned i = 0; i < 4; ++i) d[(lane / 4 + i / 2 * 8) * 16 + n * 8 + lane % 4 * 2 + i % 2] = sums[i];
  }
}

template <typename T>
void check(DType dtype) {
  Guarded a = random_guarded(dtype, 256, 1), b = random_guarded(dtype, 256, 2);
  for (const bool a_transposed : {false, true}) {
    for (const bool b_transposed : {false, true}) {
      std::vector<double> want(256);
      for (int i = 0; i < 16; ++i)
        for (int j = 0; j < 16; ++j)
          for (int k = 0; k < 16; ++k)
            want[static_cast<std::size_t>(i * 16 + j)] +=
                a[a_transposed ? k * 16 + i : i * 16 + k] * b[b_transposed ? j * 16 + k : k * 16 + j];
      Guarded d(DType::f32, 256);
      launch_kernel(product_kernel<T>, 1, 32, 1024, nullptr, a.as<T>(), a_transposed, b.as<T>(), b_transposed,
                    d.as<float>());
      expect_near(d, want, 1e-5, 1e-5, "product");
    }
  }
}

TEST(TensorCores, OfTheHostGiveTheProduct) {
  check<Float16>(DType::f16);
  check<BFloat16>(DType::bf16);
}

}  // namespace
}  // namespace athanor::kernels::cuda::testing::mma
