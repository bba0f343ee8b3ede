// Files that change under a run: what is noticed, and what is not a change.
#include "data/source_file.h"

#include <gmock/gmock.h>

#include "data/byte_reader.h"
#include "data/dataset.h"
#include "data_files.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;
using test::Bytes, test::data_error_of, test::pattern, test::write_file;
using ::testing::AllOf, ::testing::HasSubstr;

/// A split of CIFAR-10 in one small file.
class SourceFileTest : public ::testing::Test {
 protected:
  SourceFileTest() {
    write_file(file_, records_);
    write_file(folder_ / "test_batch.bin", records_);
    dataset_ = open_dataset("cifar10", {{"path", folder_.text()}}, Split::train);
  }

  void look() const { dataset_->source_files()->want_unchanged(); }
  /// As if somebody had written it at another time.
  void touch() const { fs::last_write_time(file_, fs::last_write_time(file_) + std::chrono::seconds(1000)); }

  const test::TemporaryFolder folder_;
  const fs::path file_ = folder_ / "data_batch_1.bin";
  Bytes records_ = Bytes(4 * 3073, 7);
  std::unique_ptr<Dataset> dataset_;
};

TEST_F(SourceFileTest, UntouchedTouchedCopiedOrMovedAwayAndBackIsNoChange) {
  look();
  touch();
  look();
  fs::copy_file(file_, folder_ / "copy");
  fs::rename(folder_ / "copy", file_);
  look();
  write_file(file_, records_);
  look();
}

TEST_F(SourceFileTest, GoneForTwoLooksIsNamedUntilItIsBack) {
  fs::rename(file_, folder_ / "elsewhere");
  look();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(data_error_of([&] { look(); }),
                AllOf(HasSubstr(file_.string() + " is gone"), HasSubstr("start it again")));
  }
  fs::rename(folder_ / "elsewhere", file_);
  look();
}

TEST_F(SourceFileTest, MissedByOneLookAtATimeIsNotGone) {
  for (int i = 0; i < 3; ++i) {
    fs::rename(file_, folder_ / "elsewhere");
    look();
    fs::rename(folder_ / "elsewhere", file_);
    look();
  }
}

TEST_F(SourceFileTest, ShorterOrLongerIsNamedWithBothSizes) {
  fs::resize_file(file_, 3073);
  EXPECT_THAT(data_error_of([&] { look(); }),
              AllOf(HasSubstr(file_.string() + " was truncated"), HasSubstr("it had 12292 bytes, and has 3073")));
  fs::resize_file(file_, 12293);
  EXPECT_THAT(data_error_of([&] { look(); }), HasSubstr("grew"));
}

TEST_F(SourceFileTest, AnotherByteIsAnotherFile) {
  records_[5000] ^= 1;
  write_file(file_, records_);
  touch();
  EXPECT_THAT(data_error_of([&] { look(); }), HasSubstr(file_.string() + " was replaced"));
}

TEST_F(SourceFileTest, FilesOfOtherSplitsAreNotItsBusiness) {
  fs::remove(folder_ / "test_batch.bin");
  look();
}

TEST(SourceFile, PackedAnewWithTheSameContentIsNoChangeAndDamageIs) {
  const test::TemporaryFolder folder;
  const fs::path images = folder / "train-images-idx3-ubyte.gz", labels = folder / "train-labels-idx1-ubyte.gz";
  const Bytes pixels = pattern(20 * 28 * 28);
  const Bytes raw = test::idx_file(0x0803, {20, 28, 28}, pixels);
  write_file(images, test::gzipped(raw));
  write_file(labels, test::gzipped(test::idx_file(0x0801, {20}, Bytes(20, 3))));
  const auto dataset = open_dataset("mnist", {{"path", folder.text()}}, Split::train);
  // Two members in one file unpack to the same bytes.
  Bytes packed = test::gzipped(Bytes(raw.begin(), raw.begin() + 1000));
  for (const std::uint8_t byte : test::gzipped(Bytes(raw.begin() + 1000, raw.end()))) packed.push_back(byte);
  write_file(images, packed);
  dataset->source_files()->want_unchanged();
  fs::resize_file(images, packed.size() - 100);
  EXPECT_THAT(data_error_of([&] { dataset->source_files()->want_unchanged(); }),
              AllOf(HasSubstr(images.string()), HasSubstr("damaged"), HasSubstr("truncated")));
}

TEST(SourceFile, HasTheSameHashAndNamePackedOrNot) {
  const test::TemporaryFolder folder;
  const Bytes content = pattern(1'000'000);
  write_file(folder / "a.bin", content);
  write_file(folder / "a.bin.gz", test::gzipped(content));
  const SourceFile raw = read_source_file("data", folder / "a.bin");
  const SourceFile packed = read_source_file("data", folder / "a.bin.gz");
  EXPECT_EQ(raw.content_hash, packed.content_hash);
  EXPECT_EQ(raw.bytes, packed.bytes);
  EXPECT_EQ(raw.name(), packed.name());
  FileHash whole, pieces;
  whole.add(content);
  for (std::size_t at = 0; at < content.size(); at += 7001) {
    pieces.add(std::span(content).subspan(at, std::min<std::size_t>(7001, content.size() - at)));
  }
  EXPECT_EQ(whole.hex(), raw.content_hash);
  EXPECT_EQ(pieces.hex(), raw.content_hash);
}

}  // namespace
}  // namespace athanor
