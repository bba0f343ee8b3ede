#include "train/screen.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "train/units_text.h"

namespace athanor {
namespace {

FirstScreen resnet20() {
  FirstScreen screen;
  screen.recipe = "name: fashion-resnet20\ntrain: {epochs: 10}";
  screen.hardware = {.cpu_model = "Intel(R) Xeon(R) CPU @ 2.20GHz",
                     .isa = "avx512",
                     .allowed_cpus = 2,
                     .memory_available_bytes = 7'600'000'000,
                     .host = "node1"};
  screen.binding = "cpus 0-1, not bound";
  screen.data = "fashion_mnist: 60,000 train, 10,000 test";
  screen.batch = 128;
  screen.shards = 8;
  screen.lanes = 2;
  screen.parameters = 269722;
  screen.forward_flops_per_image = 62'700'000;
  screen.train_flops_per_image = 188'000'000;
  screen.steps_per_epoch = 468;
  screen.epochs = 10;
  screen.dropped_samples = 96;
  screen.memory = {.state = 1'100'000, .optimizer = 1'080'000, .gradients = 4'300'000, .activations = 21'000'000};
  screen.run_folder = "runs/fashion-resnet20";
  return screen;
}

TEST(FirstScreen, SaysEverythingThatWasResolved) {
  const std::string text = first_screen(resnet20());
  for (const char* part :
       {"name: fashion-resnet20\n", "node1", "Xeon", "avx512", "2 cores, 7.60 GB", "cpus 0-1, not bound",
        "60,000 train", "8 of 16 images", "1 a shard, 2 shards side by side", "468 an epoch, 10 epochs", "96 images",
        "269,722", "62.7 M forward, 188 M with backward", "21.0 MB", "27.5 MB", "runs/fashion-resnet20"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

TEST(FirstScreen, SaysWhereMaxStepsEndsTheRun) {
  FirstScreen screen = resnet20();
  screen.total_steps = 4680;
  EXPECT_NE(first_screen(screen).find("468 an epoch, 10 epochs\n"), std::string::npos);
  screen.total_steps = 500;
  EXPECT_NE(first_screen(screen).find("500 in all (train.max_steps), 468 an epoch\n"), std::string::npos);
}

TEST(FirstScreen, DetailsAreNarrow) {
  std::istringstream lines(first_screen(resnet20()));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 60u) << line;
}

TEST(FirstScreen, WarningsStandLast) {
  FirstScreen screen = resnet20();
  screen.warnings = {"no validation split"};
  EXPECT_TRUE(first_screen(screen).ends_with("warning: no validation split\n"));
}

TEST(UnitsText, NumbersAsPeopleReadThem) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(269722), "269,722");
  EXPECT_EQ(count_text(-1234567), "-1,234,567");
  EXPECT_EQ(plural(1, "step"), "1 step");
  EXPECT_EQ(plural(4680, "step"), "4,680 steps");
  EXPECT_EQ(number_text(2.30259), "2.3026");
  EXPECT_EQ(number_text(-std::nan("")), "not finite");
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1000), "1.00 kB");
  EXPECT_EQ(bytes_text(999'600), "1.00 MB");
  EXPECT_EQ(bytes_text(123'456'789), "123 MB");
  EXPECT_EQ(flops_text(12), "12");
  EXPECT_EQ(duration_text(0.04), "0.0 s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(59.6), "1 min 00 s");
  EXPECT_EQ(duration_text(7500), "2 h 05 min");
  EXPECT_EQ(duration_text(200000), "2 days 7 h");
  EXPECT_EQ(duration_text(-1), "?");
}

}  // namespace
}  // namespace athanor
