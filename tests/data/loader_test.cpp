#include "data/loader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <numeric>
#include <set>

#include "base/error.h"
#include "data/byte_reader.h"
#include "data/loader_benchmark.h"
#include "data/memory_dataset.h"
#include "data/sampler.h"
#include "data/split.h"
#include "data_files.h"

namespace athanor {
namespace {

/// `count` images [1, 2, 3]; every pixel of image i is i mod 251, its label i mod 10.
MemoryDataset numbered(std::int64_t count) {
  DatasetInfo info{.name = "numbered",
                   .train_size = count,
                   .test_size = 0,
                   .channels = 1,
                   .height = 2,
                   .width = 3,
                   .classes = 10,
                   .fingerprint = {}};
  std::vector<std::uint8_t> images, labels;
  for (std::int64_t i = 0; i < count; ++i) {
    images.insert(images.end(), 6, static_cast<std::uint8_t>(i % 251));
    labels.push_back(static_cast<std::uint8_t>(i % 10));
  }
  return {info, images, labels};
}

/// A data set that cannot read one of its samples, as a bad sector would have it.
class Damaged final : public Dataset {
 public:
  explicit Damaged(std::int64_t bad) : Dataset(numbered(1).info()), bad_(bad) {}
  std::int64_t size() const override { return 100; }
  std::int32_t label(std::int64_t) const override { return 0; }
  void read(std::int64_t index, std::span<std::uint8_t>) const override {
    if (index == bad_) throw DataError("cannot read sample {}", index);
  }

 private:
  std::int64_t bad_;
};

LoaderOptions training(std::int64_t batch, int workers = 2) {
  return {.mode = LoaderMode::train,
          .batch = batch,
          .seed = 11,
          .augmentations = {.crop_padding = 2, .flip_probability = 0.5, .cutout_size = 1},
          .workers = workers};
}

LoaderOptions evaluation(std::int64_t batch, int workers = 2) {
  return {.mode = LoaderMode::evaluate, .batch = batch, .workers = workers};
}

/// Everything about a batch, to compare.
struct Copy {
  std::vector<std::uint8_t> images;
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> indices;
  std::vector<kernels::SampleTransform> transforms;
  std::int64_t epoch, step, valid;

  explicit Copy(const Batch& b)
      : images(b.images.begin(), b.images.end()),
        labels(b.labels.begin(), b.labels.end()),
        indices(b.sample_indices.begin(), b.sample_indices.end()),
        transforms(b.transforms.begin(), b.transforms.end()),
        epoch(b.epoch),
        step(b.step),
        valid(b.valid) {}
  bool operator==(const Copy&) const = default;
};

std::vector<Copy> take(Loader& loader, int count) {
  std::vector<Copy> batches;
  for (int i = 0; i < count; ++i) batches.emplace_back(loader.next());
  return batches;
}

std::vector<Copy> take(const Dataset& dataset, const LoaderOptions& options, int count) {
  Loader loader(dataset, options);
  return take(loader, count);
}

TEST(Loader, DeliversTheSamplersOrderAndDropsTheTail) {
  const MemoryDataset dataset = numbered(103);
  Loader loader(dataset, training(10));
  EXPECT_EQ(loader.source().batches_per_epoch(), 10);
  for (int k = 0; k < 25; ++k) {
    const Batch& batch = loader.next();
    EXPECT_EQ(batch.epoch, k / 10);
    EXPECT_EQ(batch.step, k % 10);
    EXPECT_EQ(batch.valid, 10);
    for (std::size_t row = 0; row < 10; ++row) {
      const std::int64_t index = batch.sample_indices[row];
      const auto position = static_cast<std::uint64_t>(k % 10 * 10) + row;
      EXPECT_EQ(index, static_cast<std::int64_t>(sample_at(11, static_cast<std::uint64_t>(k / 10), position, 103)));
      EXPECT_EQ(batch.labels[row], index % 10);
      EXPECT_EQ(batch.images[row * 6 + 5], index % 251);
      EXPECT_EQ(batch.transforms[row],
                transform_for(training(10).augmentations, 11, static_cast<std::uint64_t>(k / 10), index, 2, 3));
    }
  }
}

TEST(Loader, WorkersAndDepthDoNotChangeABatch) {
  const MemoryDataset dataset = numbered(1000);
  LoaderOptions one = training(32, 1);
  one.depth = 2;
  LoaderOptions many = training(32, 4);
  many.depth = 9;
  EXPECT_EQ(take(dataset, one, 70), take(dataset, many, 70));
}

TEST(Loader, ResumesAnywhere) {
  const MemoryDataset dataset = numbered(103);
  const std::vector<Copy> all = take(dataset, training(10), 30);
  for (const auto& [epoch, step, number] :
       {std::array{0, 7, 7}, std::array{1, 0, 10}, std::array{1, 4, 14}, std::array{0, 14, 14}}) {
    LoaderOptions options = training(10);
    options.start_epoch = epoch;
    options.start_step = step;
    EXPECT_EQ(take(dataset, options, 10), (std::vector<Copy>(all.begin() + number, all.begin() + number + 10)));
  }
}

TEST(Loader, RanksTogetherLoadTheWholeBatch) {
  const MemoryDataset dataset = numbered(100);
  const std::vector<Copy> whole = take(dataset, training(10), 12);
  std::vector<std::vector<std::int64_t>> joined(12);
  std::vector<std::vector<kernels::SampleTransform>> transforms(12);
  for (const auto& [first, last] : {std::pair{0, 3}, std::pair{3, 4}, std::pair{4, 10}}) {
    LoaderOptions options = training(10);
    options.first_row = first;
    options.last_row = last;
    const std::vector<Copy> part = take(dataset, options, 12);
    for (std::size_t k = 0; k < 12; ++k) {
      joined[k].insert(joined[k].end(), part[k].indices.begin(), part[k].indices.end());
      transforms[k].insert(transforms[k].end(), part[k].transforms.begin(), part[k].transforms.end());
    }
  }
  for (std::size_t k = 0; k < 12; ++k) {
    EXPECT_EQ(joined[k], whole[k].indices);
    EXPECT_EQ(transforms[k], whole[k].transforms);
  }
}

TEST(Loader, TrainsOnTheSubsetAlone) {
  const MemoryDataset dataset = numbered(100);
  LoaderOptions options = training(16);
  options.subset = split_indices(dataset.labels(), 20, 1).train;
  std::set<std::int64_t> seen;
  for (const Copy& batch : take(dataset, options, 5)) seen.insert(batch.indices.begin(), batch.indices.end());
  EXPECT_EQ(std::vector<std::int64_t>(seen.begin(), seen.end()), options.subset);
}

TEST(Loader, EvaluationCountsEverySampleOnce) {
  for (const std::int64_t size : {1, 99, 100, 101}) {
    const MemoryDataset dataset = numbered(size);
    Loader loader(dataset, evaluation(25));
    for (int round = 0; round < 3; ++round) {
      std::vector<std::int64_t> seen;
      std::int64_t valid = 0;
      while (loader.remaining() > 0) {
        const Batch& batch = loader.next();
        valid += batch.valid;
        for (std::size_t row = 0; row < 25; ++row) {
          EXPECT_EQ(batch.labels[row] >= 0, static_cast<std::int64_t>(row) < batch.valid);
          EXPECT_EQ(batch.transforms[row], kernels::SampleTransform{});
          if (batch.labels[row] < 0) continue;
          EXPECT_EQ(batch.labels[row], batch.sample_indices[row] % 10);
          seen.push_back(batch.sample_indices[row]);
        }
      }
      std::vector<std::int64_t> expected(static_cast<std::size_t>(dataset.size()));
      std::iota(expected.begin(), expected.end(), 0);
      EXPECT_EQ(seen, expected);
      EXPECT_EQ(valid, size);
      loader.restart();
    }
  }
}

TEST(Loader, EvaluationOfRealTestSetsMatchesTheirSize) {
  const auto dataset = open_dataset("glyphs", {{"test_size", std::int64_t{1234}}}, Split::test);
  // By batches for two ranks, and by rows for two ranks.
  std::set<std::int64_t> by_batches, by_rows;
  std::int64_t valid = 0;
  for (int rank = 0; rank < 2; ++rank) {
    LoaderOptions batches = evaluation(100), rows = evaluation(100);
    batches.first_batch = rank == 0 ? 0 : 7;
    batches.last_batch = rank == 0 ? 7 : 13;
    rows.first_row = rank == 0 ? 0 : 50;
    rows.last_row = rank == 0 ? 50 : 100;
    Loader of_batches(*dataset, batches), of_rows(*dataset, rows);
    while (of_batches.remaining() > 0) {
      const Batch& batch = of_batches.next();
      valid += batch.valid;
      by_batches.insert(batch.sample_indices.begin(), batch.sample_indices.begin() + batch.valid);
    }
    while (of_rows.remaining() > 0) {
      const Batch& batch = of_rows.next();
      valid += batch.valid;
      by_rows.insert(batch.sample_indices.begin(), batch.sample_indices.begin() + batch.valid);
    }
  }
  EXPECT_EQ(by_batches.size(), 1234u);
  EXPECT_EQ(by_rows.size(), 1234u);
  EXPECT_EQ(valid, 2 * 1234);
}

TEST(Loader, BatchesAreAligned) {
  const MemoryDataset dataset = numbered(100);
  Loader loader(dataset, training(7));
  for (int k = 0; k < 8; ++k) {
    const Batch& batch = loader.next();
    for (const void* array :
         {static_cast<const void*>(batch.images.data()), static_cast<const void*>(batch.labels.data()),
          static_cast<const void*>(batch.sample_indices.data()), static_cast<const void*>(batch.transforms.data())}) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array) % 64, 0u);
    }
  }
}

TEST(Loader, WorkersErrorReachesTheConsumerInItsTurn) {
  const Damaged dataset(25);
  Loader loader(dataset, evaluation(10));
  EXPECT_EQ(loader.next().step, 0);
  EXPECT_EQ(loader.next().step, 1);
  EXPECT_THROW(loader.next(), DataError);
  EXPECT_THROW(loader.next(), DataError);
}

TEST(Loader, ShutsDownAtAnyMoment) {
  const auto dataset = open_dataset("glyphs", {}, Split::train);
  for (int taken = 0; taken < 12; ++taken) {
    Loader loader(*dataset, training(8, 3));
    take(loader, taken);
    if (taken % 3 == 0) loader.restart();
  }
}

TEST(Loader, RestartBeginsAgainInTheMiddle) {
  const MemoryDataset dataset = numbered(300);
  Loader loader(dataset, training(8, 3));
  const std::vector<Copy> first = take(loader, 11);
  loader.restart();
  EXPECT_EQ(take(loader, 11), first);
}

TEST(Loader, RefusesWhatCannotWork) {
  const MemoryDataset dataset = numbered(100);
  EXPECT_THROW(Loader(dataset, training(101)), UsageError);
  EXPECT_THROW(Loader(dataset, training(0)), UsageError);
  LoaderOptions rows = training(10);
  rows.first_row = 10;
  EXPECT_THROW(Loader(dataset, rows), UsageError);
  LoaderOptions batches = evaluation(10);
  batches.first_batch = 10;
  EXPECT_THROW(Loader(dataset, batches), UsageError);
}

TEST(LoaderBenchmark, CountsImagesAndWait) {
  const MemoryDataset dataset = numbered(1000);
  const LoaderBenchmark training_run = run_loader_benchmark(dataset, training(50, 1), 0.05);
  EXPECT_EQ(training_run.images, 50 * training_run.batches);
  EXPECT_NEAR(training_run.images_per_s, static_cast<double>(training_run.images) / training_run.seconds, 1e-6);
  EXPECT_LE(training_run.wait_s, training_run.seconds);
  const LoaderBenchmark evaluation_run = run_loader_benchmark(dataset, evaluation(300, 1), 0.05);
  EXPECT_GT(evaluation_run.batches, 0);
}

/// A file, watched by a loader of another data set.
class WatchedFile : public ::testing::Test {
 protected:
  LoaderOptions watching() const {
    LoaderOptions options = training(10);
    options.watched = {nullptr, files_};
    return options;
  }
  std::shared_ptr<const SourceFiles> write() const {
    test::write_file(file_, test::pattern(1000));
    return std::make_shared<const SourceFiles>(std::vector{read_source_file("data", file_)});
  }
  /// Asks again and again, for at most 30 s.
  static bool wait_until(const std::function<bool()>& happened) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!happened()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
    }
    return true;
  }

  const test::TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_ / "a.bin";
  const std::shared_ptr<const SourceFiles> files_ = write();
  const MemoryDataset dataset_ = numbered(100);
};

TEST_F(WatchedFile, ThatIsLostIsReportedWhileBatchesAreMade) {
  Loader loader(dataset_, watching());
  take(loader, 100);
  std::filesystem::remove(file_);
  const auto next_for_ever = [&] {
    wait_until([&] {
      loader.next();
      return false;
    });
  };
  EXPECT_THROW(next_for_ever(), DataError);
  EXPECT_THROW(loader.next(), DataError);
}

TEST_F(WatchedFile, WhoseFileSystemHangsHoldsUpNeitherBatchesNorTheEnd) {
  // Whoever opens a file that another one has a lease of waits until that is given back.
  signal(SIGIO, SIG_IGN);
  const int holder = ::open(file_.c_str(), O_RDWR);
  ASSERT_EQ(fcntl(holder, F_SETLEASE, F_WRLCK), 0) << std::strerror(errno);
  const auto later = std::filesystem::last_write_time(file_) + std::chrono::seconds(1000);
  std::filesystem::last_write_time(file_, later);
  auto loader = std::make_unique<Loader>(dataset_, watching());
  ASSERT_TRUE(wait_until([&] {
    loader->next();
    return fcntl(holder, F_GETLEASE) != F_WRLCK;
  })) << "nobody reads it again";
  take(*loader, 1000);
  loader.reset();
  // The look still waits, and ends without the loader.
  EXPECT_GT(files_.use_count(), 1);
  ::close(holder);
  EXPECT_TRUE(wait_until([&] { return files_.use_count() == 1; }));
}

}  // namespace
}  // namespace athanor
