// Every system call of a save, each failed once in every way: what is found afterwards is the checkpoint before or the
// new one, to the bit, and the next save works.
#include <gmock/gmock.h>
#include <signal.h>

#include "faults/contents.h"
#include "faults/saver.h"
#include "io/checkpoint_folder.h"
#include "tests/io/sample.h"

namespace athanor::faults {
namespace {

using test::same_contents;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::TemporaryFolder;

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

/// A folder that holds the checkpoint of step 1.
class Saved {
 public:
  Saved() { write_checkpoint(checkpoints_.path_of(1), contents_at(1)); }
  const std::filesystem::path& path() const { return temporary_.path(); }
  CheckpointFolder& checkpoints() { return checkpoints_; }

 private:
  TemporaryFolder temporary_;
  CheckpointFolder checkpoints_{temporary_.path()};
};

std::vector<Event> trace_of_a_save() {
  const TemporaryFolder traces;
  const Saved saved;
  EXPECT_EQ(run_saver(saved.path(), 2, {}, traces / "trace"), 0);
  return read_trace(traces / "trace");
}

TEST(Shim, SeesEveryKindOfCall) {
  std::set<EventKind> kinds;
  for (const Event& event : trace_of_a_save()) kinds.insert(event.kind);
  EXPECT_THAT(kinds, ElementsAre(EventKind::open, EventKind::write, EventKind::sync_file, EventKind::sync_folder,
                                 EventKind::hint, EventKind::rename, EventKind::unlink, EventKind::mark));
}

class EveryCall : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryCall, LandsOnTheOldOrTheNewCheckpoint) {
  const std::string kind = GetParam();
  const bool is_fatal = kind == "kill" || kind == "torn";
  const CheckpointContents first = contents_at(1), second = contents_at(2);
  const int calls = count_calls(trace_of_a_save());
  int failed = 0;
  for (int k = 1; k <= calls; ++k) {
    SCOPED_TRACE(kind + " at call " + std::to_string(k) + " of " + std::to_string(calls));
    Saved saved;
    const int code = run_saver(saved.path(), 2, {kind, k}, {});
    ASSERT_TRUE(is_fatal ? code == -SIGKILL : code == 0 || (code == 4 && kind != "short")) << code;
    failed += code != 0;
    const auto found = saved.checkpoints().newest_good();
    ASSERT_TRUE(found);
    EXPECT_THAT(found->notes, IsEmpty());
    const bool is_second = same_contents(found->contents, second);
    ASSERT_TRUE(is_second || same_contents(found->contents, first));
    ASSERT_TRUE(is_second || code != 0);
    ASSERT_EQ(run_saver(saved.path(), 3, {}, {}), 0);
    ASSERT_THAT(names_in(saved.path()), ElementsAre("step-000000003.h5"));
    ASSERT_NO_THROW(verify_checkpoint(saved.checkpoints().path_of(3)));
  }
  if (kind != "short") {
    EXPECT_GT(failed, calls / 2);
  }
}

INSTANTIATE_TEST_SUITE_P(, EveryCall, ::testing::Values("kill", "torn", "enospc", "eio", "short"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace athanor::faults
