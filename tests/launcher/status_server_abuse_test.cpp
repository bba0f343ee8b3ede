// What callers can do to the status server: nothing that lasts.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <list>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "launcher/http_caller.h"
#include "launcher/sample_status.h"
#include "launcher/supervisor/status_json.h"
#include "launcher/supervisor/status_server.h"

namespace athanor {
namespace {

using namespace launcher_test;

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

std::size_t resident_bytes() {
  std::size_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Looks until it holds or ten seconds are over.
bool comes_true(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

StatusServerOptions generous_options() {
  StatusServerOptions options;
  options.status = [] { return sample_status(); };
  options.burst = 1e6;
  return options;
}

/// Requests that are wrong in all ways; where bytes are random, by `number`.
std::string malformed(std::uint64_t number) {
  RandomStream random(1, Purpose::test, 0, number);
  const std::string host = "Host: localhost\r\n";
  switch (number % 14) {
    case 0:
      return "";
    case 1:
      return "GET";
    case 2:
      return "GET / HTTP/1.1\r\nHost: loc";
    case 3:
      return std::string("GET /\0 HTTP/1.1\r\n\r\n", 19);
    case 4:
      return std::string(64, '\0');
    case 5:
      return "GET / HTTP/1.1\r\n" + host + "X: " + std::string(20'000, 'x') + "\r\n\r\n";
    case 6:
      return "GET /" + std::string(9'000, 'a') + " HTTP/1.1\r\n" + host + "\r\n";
    case 7:
      return "POST /status HTTP/1.1\r\n" + host + "Content-Length: 100000\r\n\r\n" + std::string(1000, 'x');
    case 8:
      return "GET / HTTP/1.1\r\n" + host + "Content-Length: -5\r\n\r\n";
    case 9:
      return "GET / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999999\r\n\r\n";
    case 10:
      return "GET / HTTP/9.9\r\n\r\n";
    case 11:
      return "\r\n\r\n\r\n\r\n: :\r\n\r\n";
    case 12:
      return "GET /else?token=%00%ff HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\n";
    default:
      break;
  }
  std::string bytes(random.below(600), '\0');
  for (char& each : bytes) each = static_cast<char>(random.below(256));
  return bytes;
}

void send_malformed(std::uint16_t port, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t number = first; number < last; ++number) {
    HttpCaller caller(port);
    caller.send(malformed(number));
    // Some callers wait for an answer, some leave at once.
    if (number % 3 == 0) continue;
    caller.say_no_more();
    const HttpAnswer answer = answer_in(caller.hear());
    EXPECT_NE(answer.code, 200) << number % 14;
    EXPECT_NE(answer.code, 500) << number % 14;
  }
}

TEST(StatusServerAbuse, TenThousandMalformedRequestsChangeNothing) {
  const std::string status = to_json(sample_status()).dump() + '\n';
  const StatusServer server(generous_options());
  // What is allocated once and kept is allocated before it counts.
  send_malformed(server.port(), 0, 2000);
  ASSERT_EQ(get(server.port(), "/status").body, status);
  const std::size_t descriptors = open_descriptors(), bytes = resident_bytes();
  send_malformed(server.port(), 2000, 12'000);
  EXPECT_EQ(get(server.port(), "/status").body, status);
  EXPECT_EQ(get(server.port(), "/").code, 200);
  EXPECT_TRUE(comes_true([&] { return open_descriptors() <= descriptors; }))
      << open_descriptors() << " of " << descriptors;
  const std::size_t grown = std::max(resident_bytes(), bytes) - bytes;
  std::printf("%zu kB more in use after 10,000 malformed requests\n", grown / 1024);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(grown, std::size_t{2} << 20);
#endif
}

TEST(StatusServerAbuse, SlowCallersAreHungUpOnAndOthersGetIn) {
  StatusServerOptions options = generous_options();
  options.most_connections = 8;
  options.request_time_s = 3;
  const StatusServer server(options);
  std::list<HttpCaller> slow;
  for (int i = 0; i < 8; ++i) {
    slow.emplace_back(server.port());
    slow.back().send("GET / HTTP/1.1\r\nX-A: b\r\n");
  }
  // All places are taken, so this one is hung up on at once; and heard once they are free.
  EXPECT_EQ(get(server.port(), "/healthz").code, 0);
  EXPECT_TRUE(comes_true([&] { return get(server.port(), "/healthz").code == 200; }));
  for (HttpCaller& caller : slow) {
    caller.send("X-B: c\r\n");
    EXPECT_EQ(caller.hear(), "");
  }
}

TEST(StatusServerAbuse, ACallerThatDoesNotReadIsHungUpOn) {
  StatusServerOptions options = generous_options();
  options.most_connections = 2;
  options.request_time_s = 0.5;
  // More than the kernel keeps for a caller that does not read.
  options.status = [] {
    JobStatus status = sample_status();
    status.interval_advice.assign(std::size_t{16} << 20, 'x');
    return status;
  };
  const StatusServer server(options);
  std::list<HttpCaller> deaf;
  for (int i = 0; i < 2; ++i) {
    deaf.emplace_back(server.port());
    deaf.back().send("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  EXPECT_TRUE(comes_true([&] { return get(server.port(), "/healthz").code == 200; }));
}

TEST(StatusServerAbuse, ManyCallersAtOnceGetAnAnswerOrAreHungUpOn) {
  const StatusServer server(generous_options());
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const int code = get(server.port(), i % 2 == 0 ? "/status" : "/metrics").code;
        EXPECT_TRUE(code == 200 || code == 0) << code;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(get(server.port(), "/status").code, 200);
}

TEST(StatusServerAbuse, ItsSocketsAreNotPassedOnToTheLauncher) {
  const auto inherited = [] {
    std::size_t count = 0;
    for (int descriptor = 0; descriptor < 1024; ++descriptor) {
      const int flags = ::fcntl(descriptor, F_GETFD);
      count += flags >= 0 && (flags & FD_CLOEXEC) == 0 ? 1 : 0;
    }
    return count;
  };
  const std::size_t before = inherited();
  const StatusServer server(generous_options());
  HttpCaller caller(server.port());
  caller.send("GET / HTTP/1.1\r\n");
  ASSERT_EQ(get(server.port(), "/healthz").code, 200);
  EXPECT_EQ(inherited(), before);
}

TEST(StatusServerAbuse, EndsWithCallersInHand) {
  auto server = std::make_unique<StatusServer>(generous_options());
  HttpCaller caller(server->port());
  caller.send("GET / HTTP/1.1\r\n");
  ASSERT_EQ(get(server->port(), "/healthz").code, 200);
  server.reset();
  EXPECT_EQ(caller.hear(), "");
}

}  // namespace
}  // namespace athanor
