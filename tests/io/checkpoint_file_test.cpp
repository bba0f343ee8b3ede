#include "io/checkpoint_file.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <stdexcept>

#include "tests/io/sample.h"

namespace athanor::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

/// Runs a command; its standard output, or nothing when it failed.
std::string output_of(const std::string& command) {
  FILE* pipe = popen((command + " 2>/dev/null").c_str(), "r");
  std::string text;
  char buffer[4096];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, got);
  return pclose(pipe) == 0 ? text : "";
}

TEST(CheckpointFile, RoundTripKeepsEveryBit) {
  const TemporaryFolder folder;
  CheckpointContents contents = sample_contents();
  const float odd[] = {-0.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::denorm_min(),
                       -std::numeric_limits<float>::infinity()};
  std::copy(std::begin(odd), std::end(odd), contents.tensors[0].values.begin());
  contents.reals = {{"zero", -0.0},
                    {"tiny", std::numeric_limits<double>::denorm_min()},
                    {"signalling", std::bit_cast<double>(std::uint64_t{0x7ff0000000000123})},
                    {"quiet", std::bit_cast<double>(std::uint64_t{0xfff8000000000456})}};
  write_checkpoint(folder / "a.h5", contents);
  EXPECT_TRUE(same_contents(read_checkpoint(folder / "a.h5"), contents));
  EXPECT_NO_THROW(verify_checkpoint(folder / "a.h5"));
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(CheckpointFile, TensorsLargerThanASlabKeepEveryBit) {
  const TemporaryFolder folder;
  CheckpointContents contents;
  contents.tensors = {sample_tensor("parameters", "long", {2500001}),
                      sample_tensor("parameters", "nested", {1, 3, 1200007}),
                      sample_tensor("parameters", "wide", {700, 3001})};
  write_checkpoint(folder / "a.h5", contents);
  EXPECT_TRUE(same_contents(read_checkpoint(folder / "a.h5"), contents));
}

TEST(CheckpointFile, EqualContentsAreEqualBytes) {
  const TemporaryFolder folder;
  write_checkpoint(folder / "a.h5", sample_contents());
  write_checkpoint(folder / "b.h5", sample_contents());
  EXPECT_EQ(file_bytes(folder / "a.h5"), file_bytes(folder / "b.h5"));
}

TEST(CheckpointFile, TheOrderOfTheListDoesNotShow) {
  const TemporaryFolder folder;
  CheckpointContents contents = sample_contents();
  write_checkpoint(folder / "a.h5", contents);
  std::reverse(contents.tensors.begin(), contents.tensors.end());
  write_checkpoint(folder / "b.h5", contents);
  EXPECT_EQ(file_bytes(folder / "a.h5"), file_bytes(folder / "b.h5"));
}

TEST(CheckpointFile, ManyEntriesOfEveryKindAreKept) {
  const TemporaryFolder folder;
  CheckpointContents contents;
  for (int i = 100; i < 900; ++i) {
    const std::string name = "entry" + std::to_string(i);
    contents.tensors.push_back(sample_tensor("parameters", name, {1 + i % 7}));
    contents.numbers[name] = i;
    contents.reals[name] = 1.0 / i;
    contents.attributes[name] = std::string(static_cast<std::size_t>(i), 'x');
  }
  write_checkpoint(folder / "a.h5", contents);
  EXPECT_TRUE(same_contents(read_checkpoint(folder / "a.h5"), contents));
}

TEST(CheckpointFile, AFailureWhileReadingATensorLeavesNothing) {
  const TemporaryFolder folder;
  CheckpointSources sources;
  sources.tensors = {{"parameters", "w", {4}, [](std::span<float>) { throw std::runtime_error("device lost"); }}};
  EXPECT_THROW(write_checkpoint(folder / "a.h5", sources), std::runtime_error);
  EXPECT_EQ(files_in(folder.path()), 0u);
}

TEST(CheckpointFile, SaysHowLargeTheFileIs) {
  const TemporaryFolder folder;
  const WrittenCheckpoint written = write_checkpoint(folder / "a.h5", sample_contents());
  EXPECT_EQ(written.bytes, std::filesystem::file_size(folder / "a.h5"));
  EXPECT_EQ(verify_checkpoint(folder / "a.h5"), written.bytes);
}

TEST(CheckpointFile, ReplacesTheFileThatStoodThere) {
  const TemporaryFolder folder;
  CheckpointContents contents = sample_contents();
  write_checkpoint(folder / "a.h5", contents);
  contents.step += 1;
  write_checkpoint(folder / "a.h5", contents);
  EXPECT_EQ(read_checkpoint(folder / "a.h5").step, contents.step);
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(CheckpointFile, OtherProgramsReadIt) {
  if (output_of("h5dump --version").empty()) GTEST_SKIP() << "h5dump (hdf5-tools) is not installed";
  const TemporaryFolder folder;
  write_checkpoint(folder / "a.h5", sample_contents());
  EXPECT_THAT(output_of("h5dump -A " + (folder / "a.h5").string()),
              AllOf(HasSubstr("\"stem.conv.weight\""), HasSubstr("468"), HasSubstr("best_accuracy")));
  EXPECT_THAT(output_of("h5dump -d /optimizer/exp_avg/fc.bias " + (folder / "a.h5").string()),
              HasSubstr("H5T_IEEE_F32LE"));
}

/// The Python program of docs/checkpoints.md.
std::string documented_program() {
  std::ifstream file(ATHANOR_SOURCE_DIR "/docs/checkpoints.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::string open = "```python\n";
  const std::size_t begin = text.find(open) + open.size();
  return text.substr(begin, text.find("```", begin) - begin);
}

TEST(CheckpointFile, TheLinesOfTheDocumentReadItWithH5py) {
  std::string python;
  // A python3 of another kind may stand before the system's, which has the system's packages.
  for (const char* candidate : {"python3", "/usr/bin/python3"}) {
    if (!output_of(std::string(candidate) + " -c 'import h5py; print(1)'").empty()) python = candidate;
  }
  if (python.empty()) GTEST_SKIP() << "h5py (python3-h5py) is not installed";
  const TemporaryFolder folder;
  const std::filesystem::path checkpoints = folder / "runs" / "quickstart" / "checkpoints";
  std::filesystem::create_directories(checkpoints);
  write_checkpoint(checkpoints / "step-000000800.h5", sample_contents());
  std::ofstream(folder / "read.py") << documented_program();
  EXPECT_THAT(output_of("cd " + folder.text() + " && " + python + " read.py"),
              AllOf(HasSubstr("468"), HasSubstr("name: sample"), HasSubstr("(16, 3, 3, 3)"), HasSubstr("fc.bias")));
}

TEST(CheckpointFile, MissingFolderIsNamed) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "missing" / "a.h5";
  EXPECT_THAT(storage_error_of([&] { write_checkpoint(path, sample_contents()); }),
              AllOf(HasSubstr(path.string()), HasSubstr("create the folder")));
  EXPECT_THAT(storage_error_of([&] { read_checkpoint(path); }), HasSubstr(path.string()));
}

TEST(CheckpointFile, AFailedWriteLeavesNothingBehind) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "a.h5" / "full");
  EXPECT_THAT(storage_error_of([&] { write_checkpoint(folder / "a.h5", sample_contents()); }), HasSubstr("rename"));
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(CheckpointFile, NamesThatHdf5CannotHoldAreRefused) {
  const TemporaryFolder folder;
  for (const std::string& name : {std::string("a/b"), std::string(), std::string("."), std::string("a\0b", 3)}) {
    CheckpointContents contents;
    contents.tensors = {sample_tensor("parameters", name, {1})};
    EXPECT_THAT(storage_error_of([&] { write_checkpoint(folder / "a.h5", contents); }), HasSubstr("rename it"));
  }
}

}  // namespace
}  // namespace athanor::test
