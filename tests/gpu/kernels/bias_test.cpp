// Biases behind products and their gradient.
#include "kernels/cuda/bias.h"

#include "gpu/kernels/guarded.h"

namespace athanor::kernels::cuda {

void launch(const BiasActivation&, LaunchStream);
void launch(const ColumnSums&, LaunchStream);

namespace testing::bias {
namespace {

struct Size {
  std::int64_t rows, channels;
};
const std::vector<Size> kSizes{{1, 10}, {128, 10}, {37, 8}, {700, 64}, {5000, 16}, {90, 1000}};

TEST(BiasActivationKernel, AddsAndCutsOff) {
  for (const DType dtype : kFloatTypes) {
    for (const Size size : kSizes) {
      for (const bool relu : {false, true}) {
        for (const bool misaligned : {false, true}) {
          Guarded y = random_guarded(dtype, size.rows * size.channels, 1, 0, 1, misaligned);
          Guarded bias = random_guarded(DType::f32, size.channels, 2);
          std::vector<double> want = y.values();
          for (std::int64_t i = 0; i < y.count(); ++i) {
            double& value = want[static_cast<std::size_t>(i)];
            value += bias[i % size.channels];
            if (relu && value < 0) value = 0;
          }
          launch(BiasActivation{dtype, size.rows, size.channels, y.data(), bias.as<float>(), relu}, nullptr);
          expect_near(y, want, 1e-6, rounding_of(dtype), "bias");
        }
      }
    }
  }
}

TEST(ColumnSumsKernel, AddsUpTheRowsThatTheActivationLetThrough) {
  for (const DType dtype : kFloatTypes) {
    for (const Size size : kSizes) {
      for (const bool is_masked : {false, true}) {
        Guarded dy = random_guarded(dtype, size.rows * size.channels, 1);
        Guarded y = random_guarded(dtype, size.rows * size.channels, 2);
        std::vector<double> want(static_cast<std::size_t>(size.channels));
        for (std::int64_t i = 0; i < dy.count(); ++i) {
          if (!is_masked || y[i] > 0) want[static_cast<std::size_t>(i % size.channels)] += dy[i];
        }
        Guarded scratch(DType::f32,
                        static_cast<std::int64_t>(column_sums_scratch_bytes(dtype, size.rows, size.channels) / 4));
        std::vector<Guarded> results;
        in_both_orders([&] {
          Guarded& sums = results.emplace_back(DType::f32, size.channels);
          launch(ColumnSums{dtype, size.rows, size.channels, dy.data(), is_masked ? y.data() : nullptr,
                            sums.as<float>(), scratch.data()},
                 nullptr);
        });
        expect_near(results[0], want, 1e-7 * static_cast<double>(size.rows), 1e-6, "sums");
        EXPECT_TRUE(results[0].same_bits(results[1]));
      }
    }
  }
}

}  // namespace
}  // namespace testing::bias
}  // namespace athanor::kernels::cuda
