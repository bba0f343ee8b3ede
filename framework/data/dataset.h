// A data set as training sees it: raw uint8 images of one shape, and labels. What it is made of (files in memory, a
// procedure, later folders and archives) is behind this interface; a new one is one file that registers itself.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/attributes.h"
#include "config/schema.h"
#include "data/source_file.h"

namespace athanor {

enum class Split : std::uint8_t { train, test };

/// "train" or "test".
std::string_view name_of(Split split);
/// The split of that name. Throws UsageError for any other name.
Split split_named(std::string_view name);

struct DatasetInfo {
  std::string name;             ///< as the recipe says it: "fashion_mnist"
  std::int64_t train_size = 0;  ///< samples of the splits; 0 where the split is absent
  std::int64_t test_size = 0;
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t classes = 0;
  bool in_memory = false;  ///< both splits are held as bytes; otherwise images are made or read when they are wanted
  /// XXH3-128, 32 hexadecimal digits, over the names and unpacked sizes of the split's files and its labels in order
  /// (of a procedural set: over its settings). The same data packed another way has the same fingerprint.
  std::string fingerprint;

  std::int64_t image_bytes() const { return channels * height * width; }
};

/// One split. All functions are const and may be called from many threads at once.
class Dataset {
 public:
  virtual ~Dataset() = default;

  const DatasetInfo& info() const { return info_; }
  /// Samples of this split.
  virtual std::int64_t size() const = 0;
  /// The class of sample `index`, in [0, classes).
  virtual std::int32_t label(std::int64_t index) const = 0;
  /// Writes sample `index` to `pixels`, uint8 [C, H, W], exactly info().image_bytes() long. Allocates nothing where the
  /// set is in memory or procedural. Throws DataError where the sample cannot be read.
  virtual void read(std::int64_t index, std::span<std::uint8_t> pixels) const = 0;
  /// All labels in order.
  std::vector<std::int32_t> labels() const;
  /// The files that this split was read from; null for a set that is made by a procedure. Whoever looks whether they
  /// are what they were owns them with the set, and may be held up by their file system for longer than the set lives.
  virtual std::shared_ptr<const SourceFiles> source_files() const { return nullptr; }
  /// The same as a list; as they were when they were read.
  std::vector<SourceFile> files() const;

 protected:
  explicit Dataset(DatasetInfo info) : info_(std::move(info)) {}

 private:
  DatasetInfo info_;
};

/// Makes a split from settings whose defaults have been filled in. Throws DataError, UsageError.
using DatasetFactory = std::unique_ptr<Dataset> (*)(const Attributes& settings, Split split);

/// What the set is by definition, without opening a file: shape, classes, published sizes; no fingerprint. Throws
/// UsageError.
using DatasetDescription = DatasetInfo (*)(const Attributes& settings);

/// Registers a data set, from a namespace-scope object: its schema (kind "data"), how to open it and, where that is
/// known without its files, what it is.
struct RegisterDataset {
  RegisterDataset(Schema schema, DatasetFactory factory, DatasetDescription description = nullptr);
};

/// Opens a split of the data set `name`. `settings` are keys of its schema; missing ones take their defaults.
/// Throws UsageError for an unknown name or settings that contradict each other, DataError for missing or damaged
/// files.
std::unique_ptr<Dataset> open_dataset(std::string_view name, const Attributes& settings, Split split);

/// What `athanor plan` plans with where the files are missing; none where only the files tell. Opens nothing; the sizes
/// are those of the whole published set. Throws UsageError as open_dataset does.
std::optional<DatasetInfo> describe_dataset(std::string_view name, const Attributes& settings);

}  // namespace athanor
