#include "launcher/supervisor/older_news.h"

namespace athanor {

watch::JobPicture with_older_news(watch::JobPicture picture, const watch::JobPicture& older) {
  if (picture.about.run_folder.empty()) picture.about = older.about;
  watch::RunNews& news = picture.news;
  const watch::RunNews& before = older.news;
  if (news.step == 0) {
    news.step = before.step;
    news.samples = before.samples;
    news.epoch = before.epoch;
    news.loss = before.loss;
    news.lr = before.lr;
  }
  if (news.accuracy < 0) news.accuracy = before.accuracy;
  if (news.checkpoint_step < 0) news.checkpoint_step = before.checkpoint_step;
  if (news.checkpoint_stall_s <= 0) news.checkpoint_stall_s = before.checkpoint_stall_s;
  if (news.checkpoint_write_s <= 0) news.checkpoint_write_s = before.checkpoint_write_s;
  return picture;
}

}  // namespace athanor
