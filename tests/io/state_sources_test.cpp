#include "io/state_sources.h"

#include "tests/io/sample.h"

namespace athanor::test {
namespace {

/// Says of each entry where in the list it stands.
class NumberedSnapshot final : public StateSnapshot {
 public:
  explicit NumberedSnapshot(std::vector<StateEntry> entries) : entries_(std::move(entries)) {}
  void read(const StateEntry& entry, std::span<float> values) const override {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      const bool same = entries_[i].kind == entry.kind && entries_[i].name == entry.name;
      if (same) std::fill(values.begin(), values.end(), static_cast<float>(i));
    }
  }
  std::size_t bytes() const override { return 0; }

 private:
  std::vector<StateEntry> entries_;
};

TEST(StateSources, EveryEntryHasAPlaceOfItsOwn) {
  const TemporaryFolder folder;
  const std::vector<StateEntry> entries = {{StateKind::parameter, "fc.weight", {2}},
                                           {StateKind::average, "fc.weight", {2}},
                                           {StateKind::statistic, "bn.mean", {1}},
                                           {StateKind::optimizer, "exp_avg/fc.weight", {2}},
                                           {StateKind::optimizer, "exp_avg_sq/fc.weight", {2}}};
  const NumberedSnapshot snapshot(entries);
  write_checkpoint(folder / "a.h5", {.meta = {}, .tensors = state_sources(entries, snapshot)});
  std::vector<std::string> found;
  for (const CheckpointTensor& tensor : read_checkpoint(folder / "a.h5").tensors) {
    found.push_back(tensor.group + ":" + tensor.name + ":" + std::to_string(static_cast<int>(tensor.values[0])));
  }
  EXPECT_EQ(found, (std::vector<std::string>{"parameters:fc.weight:0", "statistics:bn.mean:2", "average:fc.weight:1",
                                             "optimizer/exp_avg:fc.weight:3", "optimizer/exp_avg_sq:fc.weight:4"}));
}

}  // namespace
}  // namespace athanor::test
