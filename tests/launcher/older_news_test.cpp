#include "launcher/supervisor/older_news.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "launcher/sample_status.h"
#include "launcher/supervisor/status_json.h"

namespace athanor {
namespace {

using launcher_test::sample_status;

nlohmann::ordered_json json_of(const watch::JobPicture& picture) {
  JobStatus status;
  status.picture = picture;
  return to_json(status);
}

TEST(OlderNews, FillInWhatANewAttemptHasNotSaidYet) {
  const watch::JobPicture older = sample_status().picture;
  const watch::JobPicture now = with_older_news({}, older);
  EXPECT_EQ(now.about.run_folder, older.about.run_folder);
  EXPECT_EQ(now.news.step, older.news.step);
  EXPECT_EQ(now.news.accuracy, older.news.accuracy);
  EXPECT_EQ(now.news.checkpoint_step, older.news.checkpoint_step);
  EXPECT_EQ(now.news.checkpoint_stall_s, older.news.checkpoint_stall_s);
  // What is only true of an attempt stays with it.
  EXPECT_TRUE(now.ranks.empty());
  EXPECT_EQ(now.news.images_per_s, 0);
  EXPECT_EQ(now.news.failed_saves, 0);
}

TEST(OlderNews, GiveWayToWhatTheAttemptSays) {
  watch::JobPicture older = sample_status().picture;
  older.about.name = "another";
  older.news = {5000, 640'000, 9, 0.1, 0.2, 1, 0.99, 4999, 9, 9, 9};
  const watch::JobPicture now = sample_status().picture;
  EXPECT_EQ(json_of(with_older_news(now, older)), json_of(now));
}

}  // namespace
}  // namespace athanor
