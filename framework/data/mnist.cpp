// MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao et al. 2017): four IDX files each, 10 classes.
#include "base/error.h"
#include "data/byte_reader.h"
#include "data/data_path.h"
#include "data/dataset.h"
#include "data/fingerprint.h"
#include "data/idx.h"
#include "data/memory_dataset.h"

namespace athanor {
namespace {

constexpr int kClasses = 10;

struct Files {
  std::string images, labels;
};

Files files_of(Split split) {
  const char* prefix = split == Split::train ? "train" : "t10k";
  return {fmt::format("{}-images-idx3-ubyte", prefix), fmt::format("{}-labels-idx1-ubyte", prefix)};
}

std::unique_ptr<Dataset> open_idx(const char* name, const Attributes& settings, Split split) {
  const std::filesystem::path folder = resolve_data_path(settings.text("path"));
  const Files files = files_of(split);
  IdxLabels read = read_idx_labels(folder / files.labels, kClasses);
  const std::vector<std::uint8_t>& labels = read.labels;
  IdxImages images = read_idx_images(folder / files.images);
  if (images.count != static_cast<std::int64_t>(labels.size())) {
    throw DataError("cannot read {}: {}: offset 4: the count is {}, want {} as in {}", name,
                    raw_or_packed(folder / files.images).string(), images.count, labels.size(),
                    raw_or_packed(folder / files.labels).string());
  }
  if (images.count == 0)
    throw DataError("cannot read {}: {}: it holds no images", name, raw_or_packed(folder / files.images).string());
  const auto count_of = [&](Split other) {
    return other == split ? images.count : peek_idx_count(folder / files_of(other).labels);
  };
  DatasetInfo info{.name = name,
                   .train_size = count_of(Split::train),
                   .test_size = count_of(Split::test),
                   .channels = 1,
                   .height = images.height,
                   .width = images.width,
                   .classes = kClasses,
                   .in_memory = true,
                   .fingerprint = {}};
  info.fingerprint = Fingerprint()
                         .add(std::string_view(name))
                         .add(files.images)
                         .add(static_cast<std::uint64_t>(images.height))
                         .add(static_cast<std::uint64_t>(images.width))
                         .add(std::uint64_t{images.pixels.size()})
                         .add(files.labels)
                         .add(std::span(labels))
                         .hex();
  return std::make_unique<MemoryDataset>(std::move(info), std::move(images.pixels), std::move(read.labels),
                                         std::vector{std::move(images.source), std::move(read.source)});
}

DatasetInfo describe_idx(const char* name) {
  return {.name = name,
          .train_size = 60000,
          .test_size = 10000,
          .channels = 1,
          .height = 28,
          .width = 28,
          .classes = kClasses,
          .in_memory = true,
          .fingerprint = {}};
}

Field path_field(const char* folder) {
  return text("path", fmt::format("${{ATHANOR_DATA}}/{}", folder),
              "Folder of the four IDX files (train-images-idx3-ubyte, …), raw or .gz.");
}

const RegisterDataset kMnist{{.name = "mnist",
                              .doc = "Handwritten digits: 60,000 + 10,000 images, 1×28×28, 10 classes.",
                              .fields = {path_field("mnist")},
                              .shorthand = ""},
                             [](const Attributes& settings, Split split) { return open_idx("mnist", settings, split); },
                             [](const Attributes&) { return describe_idx("mnist"); }};

const RegisterDataset kFashionMnist{
    {.name = "fashion_mnist",
     .doc = "Articles of clothing: 60,000 + 10,000 images, 1×28×28, 10 classes.",
     .fields = {path_field("fashion-mnist")},
     .shorthand = ""},
    [](const Attributes& settings, Split split) { return open_idx("fashion_mnist", settings, split); },
    [](const Attributes&) { return describe_idx("fashion_mnist"); }};

}  // namespace
}  // namespace athanor
