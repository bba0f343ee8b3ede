// A save is cut off after each of its system calls, and whatever was not yet synced is lost in many ways. What a run
// then resumes from is the checkpoint before or the new one, to the bit; the new one, once the save has returned.
#include <gmock/gmock.h>
#include <xxhash.h>

#include <fstream>
#include <set>

#include "base/random.h"
#include "faults/contents.h"
#include "faults/disk_model.h"
#include "io/checkpoint_folder.h"
#include "tests/io/sample.h"

namespace athanor::faults {
namespace {

using test::same_contents;
using testing::TemporaryFolder;
using Files = std::map<std::string, std::string>;

std::string bytes_in(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct RecordedSave {
  std::string first;  ///< the file that was there before
  std::vector<Event> events;
};

const RecordedSave& recorded_save() {
  static const RecordedSave save = [] {
    const TemporaryFolder folder, traces;
    const CheckpointFolder checkpoints(folder.path());
    write_checkpoint(checkpoints.path_of(1), contents_at(1));
    RecordedSave result{bytes_in(checkpoints.path_of(1)), {}};
    if (run_saver(folder.path(), 2, {}, traces / "trace") != 0) throw std::runtime_error("the saver failed");
    result.events = read_trace(traces / "trace");
    return result;
  }();
  return save;
}

/// Calls `visit` for what many ways of losing power now would leave: all of the unsafe lost, none, each one alone, all
/// but each one, and random halves.
void for_each_loss(const DiskModel& disk, std::uint64_t seed, const std::function<void(const Files&)>& visit) {
  constexpr int kRandomSubsets = 20;
  const std::size_t unsafe = disk.unsafe_count();
  for (const bool grown : {false, true}) {
    visit(disk.after_power_loss([](std::size_t) { return false; }, grown));
    visit(disk.after_power_loss([](std::size_t) { return true; }, grown));
    for (std::size_t one = 0; one < unsafe; ++one) {
      visit(disk.after_power_loss([one](std::size_t i) { return i != one; }, grown));
      visit(disk.after_power_loss([one](std::size_t i) { return i == one; }, grown));
    }
    RandomStream random(seed, Purpose::test, 0, key_of("losses"));
    for (int i = 0; unsafe > 1 && i < kRandomSubsets; ++i) {
      visit(disk.after_power_loss([&](std::size_t) { return random.below(2) == 1; }, grown));
    }
  }
}

/// Whatever power losses leave, once each: many lose the same.
class Outcomes {
 public:
  /// Which checkpoint a run finds: 1 or 2, or 0 for neither and for one that is damaged beside it.
  int step_found(const Files& files) {
    std::string key;
    for (const auto& [name, bytes] : files) {
      key += name + '=' + std::to_string(XXH3_64bits(bytes.data(), bytes.size())) + ';';
    }
    const auto [known, is_new] = steps_.emplace(key, 0);
    if (is_new) known->second = look(files);
    return known->second;
  }
  std::size_t count() const { return steps_.size(); }

 private:
  int look(const Files& files) const {
    const TemporaryFolder folder;
    for (const auto& [name, bytes] : files) std::ofstream(folder / name, std::ios::binary) << bytes;
    const auto found = CheckpointFolder(folder.path()).newest_good();
    if (!found || !found->notes.empty()) return 0;
    if (same_contents(found->contents, first_)) return 1;
    return same_contents(found->contents, second_) ? 2 : 0;
  }

  CheckpointContents first_ = contents_at(1), second_ = contents_at(2);
  std::map<std::string, int> steps_;
};

/// Counts the losses after which a run would not find what it must. `ignored`: syncs that the disk did not honour.
int count_violations(const std::optional<EventKind>& ignored, Outcomes& outcomes) {
  const RecordedSave& save = recorded_save();
  DiskModel disk;
  disk.add("step-000000001.h5", save.first);
  int violations = 0;
  bool is_durable = false;
  for (std::size_t i = 0; i <= save.events.size(); ++i) {
    for_each_loss(disk, i, [&](const Files& files) {
      const int step = outcomes.step_found(files);
      violations += is_durable ? step != 2 : step == 0;
    });
    if (i == save.events.size()) break;
    const Event& event = save.events[i];
    is_durable = is_durable || event.kind == EventKind::mark;
    if (event.kind != ignored) disk.apply(event);
  }
  return violations;
}

TEST(PowerLoss, LandsOnTheOldOrTheNewCheckpoint) {
  Outcomes outcomes;
  EXPECT_EQ(count_violations(std::nullopt, outcomes), 0);
  EXPECT_GT(outcomes.count(), 30u);
}

TEST(PowerLoss, TheModelSeesAFileThatWasNotSynced) {
  Outcomes outcomes;
  EXPECT_GT(count_violations(EventKind::sync_file, outcomes), 0);
}

TEST(PowerLoss, TheModelSeesAFolderThatWasNotSynced) {
  Outcomes outcomes;
  EXPECT_GT(count_violations(EventKind::sync_folder, outcomes), 0);
}

}  // namespace
}  // namespace athanor::faults
