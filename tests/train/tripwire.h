// A data set that does something when a certain image is read: how tests interrupt or break a run in its middle without
// watching the clock. Otherwise it is `glyphs`.
#pragma once

#include <functional>

#include "data/dataset.h"

namespace athanor::testing {

/// Called by loader threads before image `index` of `split` is read.
using Tripwire = std::function<void(Split split, std::int64_t index)>;

/// The wire of data set "tripwire", for the whole process.
inline Tripwire& tripwire() {
  static Tripwire wire;
  return wire;
}

class TripwireDataset final : public Dataset {
 public:
  TripwireDataset(std::unique_ptr<Dataset> glyphs, Split split)
      : Dataset(glyphs->info()), glyphs_(std::move(glyphs)), split_(split) {}

  std::int64_t size() const override { return glyphs_->size(); }
  std::int32_t label(std::int64_t index) const override { return glyphs_->label(index); }
  void read(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    if (tripwire()) tripwire()(split_, index);
    glyphs_->read(index, pixels);
  }

 private:
  std::unique_ptr<Dataset> glyphs_;
  Split split_;
};

inline const RegisterDataset kTripwire{
    {.name = "tripwire",
     .doc = "For tests.",
     .fields = {integer("train_size", 200, ""), integer("test_size", 130, ""), integer("side", 16, "")},
     .shorthand = ""},
    [](const Attributes& settings, Split split) -> std::unique_ptr<Dataset> {
      return std::make_unique<TripwireDataset>(open_dataset("glyphs", settings, split), split);
    }};

}  // namespace athanor::testing
