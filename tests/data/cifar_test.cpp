#include <gmock/gmock.h>

#include "data/dataset.h"
#include "data_files.h"

namespace athanor {
namespace {

using test::Bytes, test::data_error_of, test::pattern, test::write_file;
using ::testing::AllOf, ::testing::HasSubstr;

constexpr std::size_t kImageBytes = 3072;

/// `count` records; record i has the label bytes {…, (first + i) % 10} and an image that starts with first + i.
Bytes records(int first, int count, std::size_t label_bytes = 1) {
  Bytes bytes;
  for (int i = first; i < first + count; ++i) {
    if (label_bytes == 2) bytes.push_back(static_cast<std::uint8_t>(i % 20));
    bytes.push_back(static_cast<std::uint8_t>(label_bytes == 2 ? i % 100 : i % 10));
    Bytes image = pattern(kImageBytes);
    image[0] = static_cast<std::uint8_t>(i);
    bytes.insert(bytes.end(), image.begin(), image.end());
  }
  return bytes;
}

std::unique_ptr<Dataset> open(const test::TemporaryFolder& folder, Split split, std::int64_t test_from_train = 0) {
  return open_dataset("cifar10", {{"path", folder.text()}, {"test_from_train", test_from_train}}, split);
}

std::vector<int> first_bytes(const Dataset& dataset) {
  std::vector<int> firsts;
  Bytes pixels(kImageBytes);
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    dataset.read(i, pixels);
    firsts.push_back(pixels[0]);
  }
  return firsts;
}

TEST(Cifar, TakesTheBatchesThatExistInOrder) {
  const test::TemporaryFolder folder;
  write_file(folder / "data_batch_4.bin", records(20, 2));
  write_file(folder / "data_batch_1.bin", records(10, 3));
  write_file(folder / "test_batch.bin", records(30, 4));
  const auto train = open(folder, Split::train);
  EXPECT_EQ(first_bytes(*train), (std::vector<int>{10, 11, 12, 20, 21}));
  EXPECT_EQ(train->labels(), (std::vector<std::int32_t>{0, 1, 2, 0, 1}));
  EXPECT_EQ(train->info().test_size, 4);
  EXPECT_EQ(first_bytes(*open(folder, Split::test)), (std::vector<int>{30, 31, 32, 33}));
}

TEST(Cifar, HoldsOutTheLastTrainingRecordsWhenAsked) {
  const test::TemporaryFolder folder;
  write_file(folder / "data_batch_1.bin", records(10, 3));
  write_file(folder / "data_batch_2.bin", records(20, 2));
  EXPECT_THAT(data_error_of([&] { open(folder, Split::test); }),
              AllOf(HasSubstr("no test file"), HasSubstr("data.test_from_train")));
  const auto train = open(folder, Split::train, 3), test = open(folder, Split::test, 3);
  EXPECT_EQ(first_bytes(*train), (std::vector<int>{10, 11}));
  EXPECT_EQ(first_bytes(*test), (std::vector<int>{12, 20, 21}));
  EXPECT_EQ(train->info().train_size, 2);
  EXPECT_EQ(train->info().test_size, 3);
  EXPECT_THROW(open(folder, Split::train, 5), UsageError);
}

TEST(Cifar, SizeThatIsNoMultipleOfTheRecordIsRefused) {
  const test::TemporaryFolder folder;
  Bytes bytes = records(0, 3);
  bytes.resize(bytes.size() - 73);
  write_file(folder / "data_batch_1.bin", bytes);
  EXPECT_THAT(data_error_of([&] { open(folder, Split::train); }),
              AllOf(HasSubstr("data_batch_1.bin"), HasSubstr("offset 6146"), HasSubstr("9146 bytes"),
                    HasSubstr("record of 3073")));
  write_file(folder / "data_batch_1.bin", {});
  EXPECT_THAT(data_error_of([&] { open(folder, Split::train); }), HasSubstr("0 bytes"));
}

TEST(Cifar, LabelOutOfRangeNamesItsOffset) {
  const test::TemporaryFolder folder;
  Bytes bytes = records(0, 3);
  bytes[3073] = 10;
  write_file(folder / "data_batch_1.bin", bytes);
  EXPECT_THAT(data_error_of([&] { open(folder, Split::train); }),
              AllOf(HasSubstr("offset 3073"), HasSubstr("label 10 of record 1"), HasSubstr("want 0 to 9")));
}

TEST(Cifar, MissingFolderIsADataError) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(data_error_of([&] { open(folder, Split::train); }), HasSubstr("data_batch_1.bin"));
}

TEST(Cifar100, ReadsFineAndCoarseLabels) {
  const test::TemporaryFolder folder;
  write_file(folder / "train.bin", records(30, 5, 2));
  write_file(folder / "test.bin", records(0, 2, 2));
  const auto fine = open_dataset("cifar100", {{"path", folder.text()}}, Split::train);
  EXPECT_EQ(fine->info().classes, 100);
  EXPECT_EQ(fine->labels(), (std::vector<std::int32_t>{30, 31, 32, 33, 34}));
  const auto coarse = open_dataset("cifar100", {{"path", folder.text()}, {"labels", "coarse"}}, Split::train);
  EXPECT_EQ(coarse->info().classes, 20);
  EXPECT_EQ(coarse->labels(), (std::vector<std::int32_t>{10, 11, 12, 13, 14}));
}

TEST(Cifar, RealRecordsOpen) {
  const auto path = test::real_data("cifar10-binary-4k");
  if (!path)
    GTEST_SKIP() << "no real CIFAR-10 records here; set ATHANOR_DATA to the folder that holds cifar10-binary-4k";
  const Attributes settings{{"path", path->string()}, {"test_from_train", std::int64_t{500}}};
  EXPECT_EQ(open_dataset("cifar10", settings, Split::train)->size(), 3500);
  EXPECT_EQ(open_dataset("cifar10", settings, Split::test)->size(), 500);
}

TEST(Datasets, UnknownNamesListTheKnownOnes) {
  try {
    open_dataset("minst", {}, Split::train);
    FAIL() << "opened";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("cifar10, cifar100, fashion_mnist, glyphs, mnist"));
  }
}

}  // namespace
}  // namespace athanor
