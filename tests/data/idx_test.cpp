#include "data/idx.h"

#include <gmock/gmock.h>

#include <cstring>

#include "data/dataset.h"
#include "data_files.h"

namespace athanor {
namespace {

using test::append_u32, test::Bytes, test::data_error_of, test::gzipped, test::idx_file, test::pattern,
    test::write_file;
using ::testing::AllOf, ::testing::HasSubstr;

constexpr std::uint32_t kLabels = 0x0801, kImages = 0x0803;

Bytes some_images(std::uint32_t count) {
  return idx_file(kImages, {count, 4, 5}, pattern(count * 20));
}

TEST(Idx, ReadsRawAndGzipByEitherName) {
  const test::TemporaryFolder folder;
  const Bytes images = some_images(3);
  write_file(folder / "raw", images);
  write_file(folder / "packed.gz", gzipped(images));
  for (const char* name : {"raw", "packed", "packed.gz"}) {
    const IdxImages read = read_idx_images(folder / name);
    EXPECT_EQ(read.count, 3);
    EXPECT_EQ(read.height, 4);
    EXPECT_EQ(read.width, 5);
    EXPECT_EQ(read.pixels, pattern(60)) << name;
  }
}

TEST(Idx, WrongMagicNamesBothKinds) {
  const test::TemporaryFolder folder;
  write_file(folder / "labels", some_images(3));
  EXPECT_THAT(data_error_of([&] { read_idx_labels(folder / "labels", 10); }),
              AllOf(HasSubstr((folder / "labels").string()), HasSubstr("offset 0"),
                    HasSubstr("magic is 0x0803 (images), want 0x0801 (labels); is it the images file?")));
  write_file(folder / "noise", pattern(100));
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "noise"); }), HasSubstr("want 0x0803 (images)"));
}

TEST(Idx, TruncatedFilesSayWhatIsThere) {
  const test::TemporaryFolder folder;
  Bytes images = some_images(3);
  images.resize(images.size() - 7);
  write_file(folder / "raw", images);
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "raw"); }), HasSubstr("found 69 bytes, want 76"));
  write_file(folder / "packed.gz", gzipped(images));
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "packed"); }), HasSubstr("found 69 bytes, want 76"));
  Bytes cut = gzipped(some_images(3));
  cut.resize(cut.size() / 2);
  write_file(folder / "cut.gz", cut);
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "cut"); }), HasSubstr("gzip data are truncated"));
  write_file(folder / "header", {0, 0, 8});
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "header"); }), HasSubstr("found 3 bytes, want 4"));
}

TEST(Idx, DamagedGzipIsFound) {
  const test::TemporaryFolder folder;
  Bytes packed = gzipped(some_images(30));
  packed[packed.size() - 6] ^= 0x40;  // in the checksum
  write_file(folder / "checksum.gz", packed);
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "checksum"); }),
              AllOf(HasSubstr("damaged at packed offset"), HasSubstr("incorrect data check")));
  packed = gzipped(some_images(30));
  for (std::size_t i = 20; i < 60; ++i) packed[i] ^= 0xff;
  write_file(folder / "middle.gz", packed);
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "middle"); }), HasSubstr("offset"));
  write_file(folder / "not.gz", some_images(3));
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "not.gz"); }), HasSubstr("not gzip data"));
}

TEST(Idx, TrailingBytesAreFound) {
  const test::TemporaryFolder folder;
  Bytes images = some_images(3);
  images.push_back(1);
  write_file(folder / "raw", images);
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "raw"); }),
              AllOf(HasSubstr("offset 76"), HasSubstr("trailing bytes"), HasSubstr("found 1 bytes more")));
  write_file(folder / "inside.gz", gzipped(images));
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "inside"); }), HasSubstr("trailing bytes"));
  Bytes packed = gzipped(some_images(3));
  packed.insert(packed.end(), {1, 2, 3});
  write_file(folder / "behind.gz", packed);
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "behind"); }), HasSubstr("found 3 bytes more"));
}

TEST(Idx, HugeCountsAreRefusedBeforeAllocation) {
  const test::TemporaryFolder folder;
  write_file(folder / "raw", idx_file(kImages, {0xffffffffu, 4096, 4096}, pattern(100)));
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "raw"); }), HasSubstr("truncated"));
  write_file(folder / "packed.gz", gzipped(idx_file(kImages, {0xffffffffu, 4096, 4096}, pattern(100))));
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "packed"); }), HasSubstr("truncated"));
  write_file(folder / "sides", idx_file(kImages, {1, 0, 70000}, {}));
  EXPECT_THAT(data_error_of([&] { read_idx_images(folder / "sides"); }),
              AllOf(HasSubstr("offset 8"), HasSubstr("height is 0, want 1 to 4096")));
}

TEST(Idx, LabelsOutOfRangeNameTheSample) {
  const test::TemporaryFolder folder;
  write_file(folder / "labels", idx_file(kLabels, {4}, {3, 9, 10, 0}));
  EXPECT_THAT(data_error_of([&] { read_idx_labels(folder / "labels", 10); }),
              AllOf(HasSubstr("offset 10"), HasSubstr("label 10 of sample 2"), HasSubstr("want 0 to 9")));
}

void write_mnist(const test::TemporaryFolder& folder, std::uint32_t images, std::uint32_t labels) {
  for (const char* prefix : {"train", "t10k"}) {
    write_file(folder / (std::string(prefix) + "-images-idx3-ubyte"), some_images(images));
    write_file(folder / (std::string(prefix) + "-labels-idx1-ubyte.gz"),
               gzipped(idx_file(kLabels, {labels}, Bytes(labels, 7))));
  }
}

TEST(Mnist, CountsMustAgree) {
  const test::TemporaryFolder folder;
  write_mnist(folder, 3, 5);
  EXPECT_THAT(data_error_of([&] {
                open_dataset("mnist", {{"path", folder.text()}}, Split::train);
              }),
              AllOf(HasSubstr("train-images-idx3-ubyte"), HasSubstr("the count is 3, want 5")));
}

TEST(Mnist, FingerprintIgnoresPackingAndSeesLabels) {
  const test::TemporaryFolder folder, other;
  write_mnist(folder, 5, 5);
  const auto fingerprint = [](const test::TemporaryFolder& of, Split split) {
    return open_dataset("mnist", {{"path", of.text()}}, split)->info().fingerprint;
  };
  const std::string before = fingerprint(folder, Split::train);
  EXPECT_EQ(before.size(), 32u);
  EXPECT_NE(before, fingerprint(folder, Split::test));
  write_mnist(other, 5, 5);
  std::filesystem::remove(other / "train-labels-idx1-ubyte.gz");
  write_file(other / "train-labels-idx1-ubyte", idx_file(kLabels, {5}, Bytes(5, 7)));
  EXPECT_EQ(before, fingerprint(other, Split::train));
  write_file(other / "train-labels-idx1-ubyte", idx_file(kLabels, {5}, {7, 7, 7, 7, 8}));
  EXPECT_NE(before, fingerprint(other, Split::train));
}

TEST(Mnist, MissingFilesSayWhatToSet) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(data_error_of([&] {
                open_dataset("mnist", {{"path", folder.text()}}, Split::train);
              }),
              AllOf(HasSubstr("no such file"), HasSubstr("ATHANOR_DATA")));
}

TEST(Mnist, RealFilesOpen) {
  for (const auto& [name, where] : {std::pair{"mnist", "mnist"}, std::pair{"fashion_mnist", "fashion-mnist"}}) {
    const auto path = test::real_data(where);
    if (!path) GTEST_SKIP() << "no real " << where << " here; set ATHANOR_DATA to the folder that holds it";
    const auto train = open_dataset(name, {{"path", path->string()}}, Split::train);
    const auto test = open_dataset(name, {{"path", path->string()}}, Split::test);
    EXPECT_EQ(train->size(), 60000);
    EXPECT_EQ(test->size(), 10000);
    EXPECT_EQ(train->info().test_size, 10000);
    EXPECT_EQ(test->info().train_size, 60000);
    EXPECT_EQ(train->info().image_bytes(), 784);
    // Published pixel means of the training images: 0.1307 (MNIST), 0.2860 (Fashion-MNIST).
    std::vector<std::uint8_t> pixels(784);
    double sum = 0;
    for (std::int64_t i = 0; i < train->size(); ++i) {
      train->read(i, pixels);
      for (const std::uint8_t pixel : pixels) sum += pixel;
    }
    EXPECT_NEAR(sum / (255.0 * 784 * 60000), std::strcmp(name, "mnist") == 0 ? 0.1307 : 0.2860, 5e-5);
  }
}

}  // namespace
}  // namespace athanor
