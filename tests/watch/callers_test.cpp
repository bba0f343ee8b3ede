// Callers that have no business here are dropped and counted, and harm nobody.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <list>

#include "tests/watch/job.h"
#include "watch/frames.h"

namespace athanor::watch {
namespace {

using testing::comes_true;
using testing::Job;
using testing::quick_service;
using Tcp = boost::asio::ip::tcp;

/// Someone who calls the service and says anything.
class Caller {
 public:
  explicit Caller(const HeartbeatService& service) : socket_(context_) {
    socket_.connect(Tcp::endpoint(boost::asio::ip::address_v4::loopback(), service.invitation().port));
  }
  void say(const std::vector<std::uint8_t>& bytes) {
    boost::system::error_code ignored;
    boost::asio::write(socket_, boost::asio::buffer(bytes), ignored);
  }
  void say(const Message& message) {
    std::vector<std::uint8_t> bytes;
    append_frame(message, bytes);
    say(bytes);
  }
  /// Whether the service hangs up, without a word.
  bool is_dropped() {
    char byte = 0;
    boost::system::error_code error;
    return boost::asio::read(socket_, boost::asio::buffer(&byte, 1), error) == 0;
  }

 private:
  boost::asio::io_context context_;
  Tcp::socket socket_;
};

Hello good_hello(const HeartbeatService& service, int rank, int ranks) {
  Hello hello;
  hello.key = service.invitation().key;
  hello.rank = rank;
  hello.world_size = ranks;
  hello.pid = 4711;
  hello.host = "node9";
  return hello;
}

/// A job that must come through all of it.
class Callers : public ::testing::Test {
 protected:
  Callers() {
    ServiceOptions options = quick_service(2);
    options.hello_time_s = 0.2;
    options.most_waiting = 4;
    job_ = std::make_unique<Job>(options);
  }
  void TearDown() override {
    const std::int64_t step = job_->activity(1).snapshot().step + 1;
    job_->activity(1).begin_step(step);
    EXPECT_TRUE(comes_true([&] { return job_->picture(1).activity.step == step; })) << "beats still arrive";
    EXPECT_FALSE(job_->client(0).verdict());
    EXPECT_EQ(job_->events.count(EventKind::lost), 0);
  }
  HeartbeatService& service() { return *job_->service; }
  DroppedCallers dropped() const { return job_->service->picture().dropped; }

  std::unique_ptr<Job> job_;
};

TEST_F(Callers, WithAnotherKey) {
  Hello hello = good_hello(service(), 0, 2);
  hello.key[31] ^= 1;
  Caller caller(service());
  caller.say(hello);
  EXPECT_TRUE(caller.is_dropped());
  EXPECT_TRUE(comes_true([&] { return dropped().wrong_key == 1; }));
}

TEST_F(Callers, ForARankThatIsThereOrDoesNotExist) {
  for (const int rank : {0, 2, -1}) {
    Caller caller(service());
    caller.say(good_hello(service(), rank, 2));
    EXPECT_TRUE(caller.is_dropped());
  }
  Caller of_another_job(service());
  of_another_job.say(good_hello(service(), 1, 3));
  EXPECT_TRUE(of_another_job.is_dropped());
  EXPECT_TRUE(comes_true([&] { return dropped().malformed == 4; }));
}

TEST_F(Callers, ThatSpeakAnotherLanguage) {
  const std::string http = "GET /status HTTP/1.1\r\nHost: node0\r\n\r\n";
  Caller browser(service());
  browser.say(std::vector<std::uint8_t>(http.begin(), http.end()));
  EXPECT_TRUE(browser.is_dropped());
  Caller beat_first(service());
  beat_first.say(Beat{});
  EXPECT_TRUE(beat_first.is_dropped());
  std::vector<std::uint8_t> broken;
  append_frame(good_hello(service(), 1, 2), broken);
  broken.back() ^= 1;
  Caller damaged(service());
  damaged.say(broken);
  EXPECT_TRUE(damaged.is_dropped());
  EXPECT_TRUE(comes_true([&] { return dropped().malformed == 3; }));
}

TEST_F(Callers, ThatSayTooMuch) {
  std::vector<std::uint8_t> frame;
  append_frame(Note{std::string(4000, 'x')}, frame);
  Caller more_than_a_hello(service());
  more_than_a_hello.say(frame);
  EXPECT_TRUE(more_than_a_hello.is_dropped());
  const std::uint32_t length = 0x7fffffff;
  std::memcpy(&frame[8], &length, 4);
  Caller far_too_much(service());
  far_too_much.say(frame);
  EXPECT_TRUE(far_too_much.is_dropped());
  EXPECT_TRUE(comes_true([&] { return dropped().oversized == 2; }));
}

TEST_F(Callers, ThatSayNothingOrAreTooMany) {
  std::list<Caller> callers;
  for (int i = 0; i < 7; ++i) callers.emplace_back(service());
  EXPECT_TRUE(comes_true([&] { return dropped().too_many == 3; })) << "four may wait";
  for (Caller& caller : callers) EXPECT_TRUE(caller.is_dropped());
  EXPECT_TRUE(comes_true([&] { return dropped().too_slow == 4; }));
}

TEST_F(Callers, WithTenThousandBytesOfNoise) {
  std::uint64_t state = 1;
  for (int i = 0; i < 100; ++i) {
    std::vector<std::uint8_t> noise(100);
    for (std::uint8_t& byte : noise) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      byte = static_cast<std::uint8_t>(state >> 56);
    }
    Caller caller(service());
    caller.say(noise);
    EXPECT_TRUE(caller.is_dropped());
  }
  EXPECT_TRUE(comes_true([&] { return dropped().malformed == 100; }));
}

TEST(JoinedCallers, ThatSendWhatIsNoFrameAreLostRanks) {
  testing::Events events;
  HeartbeatService service(quick_service(2), [&](const Event& event) { events.add(event); });
  Caller rank(service);
  rank.say(good_hello(service, 1, 2));
  rank.say(Beat{});
  ASSERT_TRUE(comes_true([&] { return service.picture().ranks[1].presence == Presence::connected; }));
  rank.say(std::vector<std::uint8_t>(64, 0x55));
  EXPECT_EQ(events.wait_for(EventKind::lost).ranks, std::vector<int>{1});
  EXPECT_EQ(service.picture().dropped.malformed, 1U);
}

TEST(JoinedCallers, AreThereFromTheirFirstBeatOn) {
  testing::Events events;
  HeartbeatService service(quick_service(2), [&](const Event& event) { events.add(event); });
  {
    Caller impatient(service);
    impatient.say(good_hello(service, 1, 2));
    ASSERT_TRUE(comes_true([&] { return service.picture().ranks[1].pid == 4711; }));
  }
  // It may have to call more than once: the end of its first call has to be noticed.
  testing::Rank rank(testing::here(service.invitation()), testing::quick_client(1, 2));
  EXPECT_TRUE(comes_true([&] { return service.picture().ranks[1].presence == Presence::connected; }));
  EXPECT_EQ(service.picture().ranks[1].pid, getpid());
  EXPECT_EQ(events.count(EventKind::lost), 0);
}

}  // namespace
}  // namespace athanor::watch
