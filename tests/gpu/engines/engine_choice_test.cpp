// Which engine runs a product: the fastest, timed once, kept on disk, the same on all ranks.
#include "backend/cuda/engine_choice.h"

#include <gmock/gmock.h>

#include <fstream>

#include "base/error.h"
#include "base/text_file.h"
#include "gpu/emulation/emulated_device.h"
#include "support/temporary_folder.h"

namespace athanor::testing {
namespace {

namespace fs = std::filesystem;
using cuda::EngineChoice;

const cuda::MatmulSpec kSpec{.m = 4, .n = 3, .k = 2};

class NamedProduct final : public cuda::Product {
 public:
  explicit NamedProduct(std::string engine) : engine_(std::move(engine)) {}
  std::size_t workspace_bytes() const override { return 64; }
  const std::string& engine() const override { return engine_; }

 private:
  std::string engine_;
};

/// Engines take the time that a test says; negative: they cannot be run.
class TimedDevice : public EmulatedDevice {
 public:
  explicit TimedDevice(std::vector<std::pair<std::string, double>> engines, const EmulationOptions& options = {})
      : EmulatedDevice(options), engines_(std::move(engines)) {}

  int runs() const { return runs_; }

  std::vector<std::string> engines(const cuda::ProductSpec&) override {
    std::vector<std::string> names;
    for (const auto& [name, seconds] : engines_) names.push_back(name);
    return names;
  }
  std::unique_ptr<cuda::Product> make_product(const cuda::ProductSpec&, const std::string& engine) override {
    if (seconds_of(engine) == 0) return nullptr;
    return std::make_unique<NamedProduct>(engine);
  }
  void run(const cuda::Product& product, std::span<void* const>, void*, cuda::Stream) override {
    ++runs_;
    last_seconds_ = seconds_of(product.engine());
    if (last_seconds_ < 0) throw DeviceError("this engine does not run");
  }
  double seconds_between(cuda::Event, cuda::Event) override { return last_seconds_; }

 private:
  double seconds_of(const std::string& engine) const {
    for (const auto& [name, seconds] : engines_) {
      if (name == engine) return seconds;
    }
    return 0;
  }

  std::vector<std::pair<std::string, double>> engines_;
  int runs_ = 0;
  double last_seconds_ = 0;
};

std::string chosen(EngineChoice& engines) {
  const cuda::ChosenEngine* choice = engines.choose(kSpec);
  return choice == nullptr ? "none" : choice->engine;
}

fs::path only_file(const TemporaryFolder& folder) {
  return fs::directory_iterator(folder.path())->path();
}

TEST(EngineChoice, TakesTheFastest) {
  TimedDevice device({{"slow", 3e-3}, {"fast", 1e-3}, {"middling", 2e-3}});
  EngineChoice engines(device, "");
  const cuda::ChosenEngine* choice = engines.choose(kSpec);
  ASSERT_NE(choice, nullptr);
  EXPECT_EQ(choice->engine, "fast");
  EXPECT_EQ(choice->workspace_bytes, 64u);
  EXPECT_DOUBLE_EQ(choice->seconds, 1e-3);
  EXPECT_EQ(engines.make(kSpec, "fast")->engine(), "fast");
  device.check();
}

TEST(EngineChoice, LeavesOutWhatCannotBeMadeOrRun) {
  TimedDevice device({{"absent", 0}, {"broken", -1}, {"works", 1e-3}});
  EngineChoice engines(device, "");
  EXPECT_EQ(chosen(engines), "works");
  TimedDevice none({});
  EngineChoice nothing(none, "");
  EXPECT_EQ(nothing.choose(kSpec), nullptr);
  EXPECT_THROW(nothing.make(kSpec, "absent"), DeviceError);
}

TEST(EngineChoice, AFusedProductThatDoesNotRunIsNone) {
  TimedDevice device({{"broken", -1}, {"broken too", -1}});
  EngineChoice engines(device, "");
  EXPECT_EQ(chosen(engines), "broken") << "the step that needs it says what is wrong";
  cuda::MatmulSpec fused = kSpec;
  fused.epilogue = cuda::Epilogue::bias;
  EXPECT_EQ(engines.choose(fused), nullptr);
  cuda::ConvolutionSpec conv{.type = DType::f16, .batch = 1, .channels = 8, .out_channels = 8};
  conv.height = conv.width = conv.out_height = conv.out_width = 1;
  EXPECT_NE(engines.choose(conv), nullptr);
  conv.statistics = true;
  EXPECT_EQ(engines.choose(conv), nullptr);
}

TEST(EngineChoice, SpendsABoundedTimeOnASpec) {
  TimedDevice device({{"first", 50e-3}, {"second", 49e-3}, {"third", 1e-3}});
  EngineChoice engines(device, "");
  EXPECT_EQ(chosen(engines), "first");
  EXPECT_LE(device.runs(), 2);
}

TEST(EngineChoice, TakesTheFavouriteWhereMemoryIsShort) {
  TimedDevice device({{"favourite", 2e-3}, {"fast", 1e-3}}, {.memory_bytes = 1024});
  const cuda::MatmulSpec large{.m = 1024, .n = 1024, .k = 1024};
  EngineChoice engines(device, "");
  ASSERT_NE(engines.choose(large), nullptr);
  EXPECT_EQ(engines.choose(large)->engine, "favourite");
  EXPECT_EQ(engines.choose(large)->seconds, 0);
}

TEST(EngineChoice, IsKeptOnDisk) {
  const TemporaryFolder folder;
  {
    TimedDevice device({{"slow", 2e-3}, {"fast", 1e-3}});
    EngineChoice engines(device, folder.text());
    EXPECT_EQ(chosen(engines), "fast");
  }
  TimedDevice device({{"slow", 1e-3}, {"fast", 2e-3}});
  EngineChoice engines(device, folder.text());
  EXPECT_EQ(chosen(engines), "fast");
  EXPECT_EQ(device.runs(), 0);
}

TEST(EngineChoice, TimesAgainWhatTheLibraryNoLongerHas) {
  const TemporaryFolder folder;
  {
    TimedDevice device({{"slow", 2e-3}, {"old", 1e-3}});
    EngineChoice engines(device, folder.text());
    EXPECT_EQ(chosen(engines), "old");
  }
  TimedDevice device({{"slow", 2e-3}, {"new", 1e-3}});
  EngineChoice engines(device, folder.text());
  EXPECT_EQ(chosen(engines), "new");
}

TEST(EngineChoice, SurvivesADamagedCache) {
  const TemporaryFolder folder;
  {
    TimedDevice device({{"fast", 1e-3}, {"slow", 2e-3}});
    EngineChoice engines(device, folder.text());
    EXPECT_EQ(chosen(engines), "fast");
  }
  const std::string whole = read_text(only_file(folder));
  for (const std::string& damaged :
       {std::string(), std::string("\xff\xfe\0garbage", 10), whole.substr(0, whole.size() - 3), whole + "half a line",
        "another format\n" + whole}) {
    std::ofstream(only_file(folder), std::ios::binary) << damaged;
    TimedDevice device({{"fast", 1e-3}, {"slow", 2e-3}});
    EngineChoice engines(device, folder.text());
    EXPECT_EQ(chosen(engines), "fast") << damaged;
  }
}

TEST(EngineChoice, OfRankZeroHoldsForAll) {
  TimedDevice device({{"first", 2e-3}, {"second", 1e-3}}), other({{"first", 1e-3}, {"second", 2e-3}});
  EngineChoice engines(device, ""), follower(other, "");
  EXPECT_EQ(chosen(engines), "second");
  EXPECT_EQ(chosen(follower), "first");
  follower.take(engines.text());
  EXPECT_EQ(chosen(follower), "second");

  TimedDevice poor({{"first", 1e-3}});
  EngineChoice without(poor, "");
  without.take(engines.text());
  try {
    without.choose(kSpec);
    FAIL() << "an engine was chosen that is not there";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("'second'"));
  }
}

TEST(Products, NameASpecCompletely) {
  cuda::ConvolutionSpec conv{.direction = cuda::Direction::backward_weights,
                             .type = DType::f16,
                             .gradient = DType::f16,
                             .batch = 2,
                             .channels = 8,
                             .height = 5,
                             .width = 6,
                             .out_channels = 4,
                             .out_height = 5,
                             .out_width = 6,
                             .kernel = {3, 1},
                             .pad_begin = {1, 0},
                             .pad_end = {1, 0},
                             .groups = 2};
  EXPECT_EQ(cuda::text_of(conv),
            "conv backward-weights fp16>fp16 2x8x5x6 -> 2x4x5x6 k3x1 s1x1 p1:1x0:0 d1x1 g2 deterministic");
  EXPECT_EQ(cuda::flops_of(conv), 2.0 * 2 * 4 * 5 * 6 * 3 * 4);
  EXPECT_EQ(cuda::tensor_bytes(conv), (std::vector<std::size_t>{960, 480, 96}));
  conv.direction = cuda::Direction::forward;
  conv.bias = true;
  conv.statistics = true;
  EXPECT_EQ(cuda::tensor_bytes(conv), (std::vector<std::size_t>{960, 96, 480, 16, 16, 16}));
  EXPECT_EQ(cuda::text_of(kSpec), "matmul fp32>fp32 m4 n3 k2 NN");
  EXPECT_EQ(cuda::tensor_bytes(kSpec), (std::vector<std::size_t>{32, 24, 48}));
}

}  // namespace
}  // namespace athanor::testing
