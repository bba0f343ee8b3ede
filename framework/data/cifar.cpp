// CIFAR-10 and CIFAR-100 (Krizhevsky 2009), "binary version": records of one label byte (CIFAR-100: a coarse and a fine
// one) and 3,072 bytes, the red, green and blue planes of 32×32.
#include <algorithm>

#include "base/error.h"
#include "data/byte_reader.h"
#include "data/data_path.h"
#include "data/dataset.h"
#include "data/fingerprint.h"
#include "data/memory_dataset.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kImageBytes = 3 * 32 * 32;

/// How a family of files is laid out.
struct Layout {
  const char* name;
  std::uint64_t label_bytes;  ///< label bytes of a record
  std::uint64_t label_at;     ///< which of them is the label
  int classes;

  std::uint64_t record_bytes() const { return label_bytes + kImageBytes; }
};

struct Records {
  std::vector<std::uint8_t> images, labels;
  std::vector<SourceFile> files;
};

/// Records in a file. Throws DataError unless its size is a multiple of the record.
std::uint64_t count_records(const Layout& layout, const fs::path& path) {
  std::error_code error;
  const std::uint64_t bytes = fs::file_size(path, error);
  if (error) throw DataError("cannot read {}: {}: {}", layout.name, path.string(), error.message());
  const std::uint64_t record = layout.record_bytes();
  if (bytes == 0 || bytes % record != 0) {
    throw DataError(
        "cannot read {}: {}: offset {}: the file has {} bytes, want a multiple of the record of {}; the last record "
        "has {}; is it the binary version, fetched whole?",
        layout.name, path.string(), bytes / record * record, bytes, record, bytes % record);
  }
  return bytes / record;
}

void append_file(const Layout& layout, const fs::path& path, Records& records) {
  const std::uint64_t count = count_records(layout, path);
  ByteReader reader(layout.name, path);
  const std::size_t first = records.labels.size();
  records.labels.resize(first + count);
  records.images.resize((first + count) * kImageBytes);
  std::vector<std::uint8_t> label(layout.label_bytes);
  for (std::size_t i = first; i < first + count; ++i) {
    const std::uint64_t at = reader.offset() + layout.label_at;
    reader.read(label);
    records.labels[i] = label[layout.label_at];
    if (records.labels[i] >= layout.classes) {
      reader.fail(at, fmt::format("label {} of record {} is out of range, want 0 to {}", records.labels[i], i - first,
                                  layout.classes - 1));
    }
    reader.read(std::span(records.images).subspan(i * kImageBytes, kImageBytes));
  }
  reader.expect_end();
  records.files.push_back(reader.source());
}

/// Which files hold a split, in order. Throws DataError where there are none for training.
std::vector<fs::path> files_of(const Layout& layout, const fs::path& folder, Split split) {
  std::vector<fs::path> files;
  const bool is_ten = layout.label_bytes == 1;
  if (split == Split::test) {
    files.push_back(folder / (is_ten ? "test_batch.bin" : "test.bin"));
  } else if (!is_ten) {
    files.push_back(folder / "train.bin");
  } else {
    for (int i = 1; i <= 5; ++i) files.push_back(folder / fmt::format("data_batch_{}.bin", i));
  }
  std::erase_if(files, [](const fs::path& file) { return !fs::exists(file); });
  if (files.empty() && split == Split::train) {
    throw DataError("cannot read {}: {}: there is no {}{}", layout.name, folder.string(),
                    is_ten ? "data_batch_1.bin to data_batch_5.bin" : "train.bin", where_to_look(folder.string()));
  }
  return files;
}

std::uint64_t count_all(const Layout& layout, const std::vector<fs::path>& files) {
  std::uint64_t total = 0;
  for (const fs::path& file : files) total += count_records(layout, file);
  return total;
}

/// Keeps records [first, last) of `records`.
void keep(Records& records, std::uint64_t first, std::uint64_t last) {
  const auto cut = [](std::vector<std::uint8_t>& bytes, std::uint64_t begin, std::uint64_t end) {
    bytes.resize(end);
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(begin));
  };
  cut(records.labels, first, last);
  cut(records.images, first * kImageBytes, last * kImageBytes);
}

std::unique_ptr<Dataset> open_cifar(const Layout& layout, const Attributes& settings, Split split) {
  const fs::path folder = resolve_data_path(settings.text("path"));
  const auto held_out = static_cast<std::uint64_t>(settings.integer("test_from_train"));
  const std::vector<fs::path> train_files = files_of(layout, folder, Split::train);
  const std::vector<fs::path> test_files = files_of(layout, folder, Split::test);
  const std::uint64_t in_train_files = count_all(layout, train_files);
  if (held_out >= in_train_files) {
    throw UsageError("data.test_from_train is {}, want less than the {} records of {}", held_out, in_train_files,
                     folder.string());
  }
  if (split == Split::test && held_out == 0 && test_files.empty()) {
    throw DataError(
        "cannot read {}: {}: there is no test file; fetch it, or set data.test_from_train: N to test on the "
        "last N of the {} training records",
        layout.name, folder.string(), in_train_files);
  }
  const bool from_test_file = split == Split::test && held_out == 0;
  Records records;
  Fingerprint fingerprint;
  fingerprint.add(std::string_view(layout.name)).add(name_of(split)).add(held_out);
  for (const fs::path& file : from_test_file ? test_files : train_files) {
    append_file(layout, file, records);
    fingerprint.add(file.filename().string()).add(fs::file_size(file));
  }
  const std::uint64_t kept = in_train_files - held_out;
  if (!from_test_file && held_out > 0) {
    keep(records, split == Split::train ? 0 : kept, split == Split::train ? kept : in_train_files);
  }
  const std::uint64_t test_size = held_out > 0 ? held_out : count_all(layout, test_files);
  DatasetInfo info{.name = layout.name,
                   .train_size = static_cast<std::int64_t>(kept),
                   .test_size = static_cast<std::int64_t>(test_size),
                   .channels = 3,
                   .height = 32,
                   .width = 32,
                   .classes = layout.classes,
                   .in_memory = true,
                   .fingerprint = fingerprint.add(std::span<const std::uint8_t>(records.labels)).hex()};
  return std::make_unique<MemoryDataset>(std::move(info), std::move(records.images), std::move(records.labels),
                                         std::move(records.files));
}

DatasetInfo describe_cifar(const char* name, std::int64_t classes, const Attributes& settings) {
  constexpr std::int64_t kTrain = 50000, kTest = 10000;
  const std::int64_t held_out = settings.integer("test_from_train");
  if (held_out >= kTrain) throw UsageError("data.test_from_train is {}, want less than {}", held_out, kTrain);
  return {.name = name,
          .train_size = kTrain - held_out,
          .test_size = held_out > 0 ? held_out : kTest,
          .channels = 3,
          .height = 32,
          .width = 32,
          .classes = classes,
          .in_memory = true,
          .fingerprint = {}};
}

Field test_from_train_field() {
  return integer("test_from_train", 0,
                 "Take the last N records of the training files as the test split, and only the others for training; "
                 "a test file, if there is one, is then not read. 0: the test file is the test split.")
      .at_least(0);
}

const RegisterDataset kCifar10{
    {.name = "cifar10",
     .doc = "Photographs: 50,000 + 10,000 images, 3×32×32, 10 classes (binary version).",
     .fields = {text("path", "${ATHANOR_DATA}/cifar10",
                     "Folder of data_batch_1.bin to data_batch_5.bin (those that exist are used) and test_batch.bin."),
                test_from_train_field()},
     .shorthand = ""},
    [](const Attributes& settings, Split split) {
      return open_cifar({.name = "cifar10", .label_bytes = 1, .label_at = 0, .classes = 10}, settings, split);
    },
    [](const Attributes& settings) { return describe_cifar("cifar10", 10, settings); }};

const RegisterDataset kCifar100{
    {.name = "cifar100",
     .doc = "Photographs: 50,000 + 10,000 images, 3×32×32, 100 classes (binary version).",
     .fields = {text("path", "${ATHANOR_DATA}/cifar100", "Folder of train.bin and test.bin."), test_from_train_field(),
                text("labels", "fine", "Which labels: fine (100 classes) or coarse (20).").one_of({"fine", "coarse"})},
     .shorthand = ""},
    [](const Attributes& settings, Split split) {
      const bool fine = settings.text("labels") == "fine";
      return open_cifar({.name = "cifar100", .label_bytes = 2, .label_at = fine ? 1u : 0u, .classes = fine ? 100 : 20},
                        settings, split);
    },
    [](const Attributes& settings) {
      return describe_cifar("cifar100", settings.text("labels") == "fine" ? 100 : 20, settings);
    }};

}  // namespace
}  // namespace athanor
