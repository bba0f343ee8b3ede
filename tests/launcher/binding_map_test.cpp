// Where ranks compute, as people read it.
#include "launcher/supervisor/binding_map.h"

#include <gmock/gmock.h>

namespace athanor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

watch::JobPicture job(const std::vector<std::tuple<std::string, std::string, int>>& ranks) {
  watch::JobPicture picture;
  for (const auto& [host, cpus, threads] : ranks) {
    watch::RankPicture rank;
    rank.rank = static_cast<int>(picture.ranks.size());
    rank.host = host;
    rank.cpus = cpus;
    rank.threads = threads;
    picture.ranks.push_back(rank);
  }
  return picture;
}

TEST(BindingMap, HasALineForEachHost) {
  EXPECT_THAT(binding_map(job({{"n1", "0-3", 2}, {"n1", "0-3", 2}, {"n2", "0-1", 2}, {"n2", "2,3", 1}})),
              ElementsAre("n1: ranks 0-1 on cpus 0-3, 2 threads each",
                          "n2: rank 2 on cpus 0-1, 2 threads; rank 3 on cpus 2,3, 1 thread"));
}

TEST(BindingMap, WarnsWhereThreadsExceedCpus) {
  EXPECT_THAT(binding_warnings(job({{"n1", "0-3", 2}, {"n1", "0-3", 2}})), IsEmpty());
  EXPECT_THAT(binding_warnings(job({{"n1", "0", 1}, {"n1", "1", 1}, {"n2", "0", 2}})),
              ElementsAre(HasSubstr("n2: 2 threads compute on 1 cpu ")));
  EXPECT_THAT(binding_warnings(job({{"n1", "what", 9}})), IsEmpty()) << "nothing is known";
}

}  // namespace
}  // namespace athanor
