// A split whose images and labels are all in memory: what the readers of small files make.
#pragma once

#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/dataset.h"

namespace athanor {

class MemoryDataset final : public Dataset {
 public:
  /// `images` is uint8 [N, C, H, W], `labels` is [N] with every label in [0, classes). `files`: what they were read
  /// from.
  MemoryDataset(DatasetInfo info, std::vector<std::uint8_t> images, std::vector<std::uint8_t> labels,
                std::vector<SourceFile> files = {})
      : Dataset(std::move(info)),
        images_(std::move(images)),
        labels_(std::move(labels)),
        files_(std::make_shared<const SourceFiles>(std::move(files))) {
    ATHANOR_CHECK(images_.size() == labels_.size() * static_cast<std::size_t>(this->info().image_bytes()));
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int32_t label(std::int64_t index) const override { return labels_[static_cast<std::size_t>(index)]; }
  void read(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    std::memcpy(pixels.data(), images_.data() + static_cast<std::size_t>(index) * pixels.size(), pixels.size());
  }
  std::shared_ptr<const SourceFiles> source_files() const override { return files_; }

 private:
  std::vector<std::uint8_t> images_;
  std::vector<std::uint8_t> labels_;
  std::shared_ptr<const SourceFiles> files_;
};

}  // namespace athanor
