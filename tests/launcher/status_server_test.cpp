#include "launcher/supervisor/status_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/error.h"
#include "launcher/http_caller.h"
#include "launcher/sample_status.h"
#include "launcher/supervisor/status_json.h"
#include "support/temporary_folder.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace launcher_test;

const std::string kToken = "0123456789abcdef0123456789abcdef";

StatusServerOptions options_for(const JobStatus& status) {
  StatusServerOptions options;
  options.status = [status] { return status; };
  return options;
}

TEST(StatusServer, HasFiveDocuments) {
  const StatusServer server(options_for(sample_status()));
  const HttpAnswer page = get(server.port(), "/");
  EXPECT_EQ(page.code, 200);
  EXPECT_THAT(page.head, HasSubstr("Content-Type: text/html; charset=utf-8"));
  EXPECT_THAT(page.body, HasSubstr("<!DOCTYPE html>"));
  const HttpAnswer status = get(server.port(), "/status");
  EXPECT_EQ(status.code, 200);
  EXPECT_THAT(status.head, HasSubstr("Content-Type: application/json"));
  EXPECT_EQ(nlohmann::ordered_json::parse(status.body), to_json(sample_status()));
  const HttpAnswer metrics = get(server.port(), "/metrics");
  EXPECT_THAT(metrics.head, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(metrics.body, HasSubstr("athanor_step 1234\n"));
  EXPECT_EQ(get(server.port(), "/healthz").body, "running\n");
  EXPECT_EQ(get(server.port(), "/curve").code, 200);
  EXPECT_EQ(get(server.port(), "/else").code, 404);
  EXPECT_EQ(get(server.port(), "/status/../../etc/passwd").code, 404);
}

TEST(StatusServer, ThePageRunsNothingButItself) {
  const StatusServer server(options_for(sample_status()));
  const HttpAnswer page = get(server.port(), "/");
  EXPECT_THAT(page.head, HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'sha256-"));
  EXPECT_THAT(page.head, Not(HasSubstr("unsafe-inline")));
  for (const char* foreign : {"http://", "https://", "src=", "@import", "url("}) {
    std::string body = page.body;
    const std::string drawings = "http://www.w3.org/2000/svg";  // a name, not an address that is asked
    for (std::size_t at; (at = body.find(drawings)) != std::string::npos;) body.erase(at, drawings.size());
    EXPECT_THAT(body, Not(HasSubstr(foreign)));
  }
}

TEST(StatusServer, HeadHasTheHeadersOnly) {
  const StatusServer server(options_for(sample_status()));
  const HttpAnswer head = call(server.port(), "HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(head.code, 200);
  EXPECT_EQ(head.body, "");
  EXPECT_THAT(head.head, HasSubstr("Content-Length: " + std::to_string(get(server.port(), "/status").body.size())));
}

TEST(StatusServer, ShowsWhatTheRunFolderHas) {
  const testing::TemporaryFolder folder;
  std::filesystem::create_directories(folder / "checkpoints");
  std::ofstream(folder / "checkpoints/step-000000936.h5") << "a checkpoint";
  std::ofstream(folder / "metrics.jsonl") << R"({"kind":"train","step":7,"loss":1.5})" << '\n';
  JobStatus status = sample_status();
  status.picture.about.run_folder = folder.text();
  const StatusServer server(options_for(status));
  EXPECT_THAT(get(server.port(), "/curve").body, HasSubstr(R"("train":{"step":[7],"loss":[1.5]})"));
  EXPECT_THAT(get(server.port(), "/curve").body, HasSubstr(R"("whole":true)"));
  EXPECT_THAT(get(server.port(), "/metrics").body, HasSubstr("\nathanor_checkpoint_timestamp_seconds 1"));
}

TEST(StatusServer, IsHealthyUntilTheJobHasEndedBadly) {
  struct Case {
    const char* state;
    std::optional<int> exit_code;
    int answer;
  };
  for (const Case& each : {Case{"running", {}, 200}, Case{"restarting", {}, 200}, Case{"ended", 0, 200},
                           Case{"ended", 75, 200}, Case{"ended", 6, 503}, Case{"ended", 130, 503}}) {
    JobStatus status = sample_status();
    status.state = each.state;
    status.exit_code = each.exit_code;
    const StatusServer server(options_for(status));
    EXPECT_EQ(get(server.port(), "/healthz").code, each.answer) << each.state;
  }
}

TEST(StatusServer, ChangesNothingForAnybody) {
  const StatusServer server(options_for(sample_status()));
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"}) {
    EXPECT_EQ(call(server.port(), std::string(method) + " /status HTTP/1.1\r\nHost: localhost\r\n\r\n").code, 405)
        << method;
  }
  EXPECT_EQ(get(server.port(), "/", "Content-Length: 3\r\n").code, 413);
  EXPECT_EQ(get(server.port(), "/", "Transfer-Encoding: chunked\r\n").code, 413);
}

TEST(StatusServer, AsksForATokenWhereOthersMayAsk) {
  StatusServerOptions options = options_for(sample_status());
  options.address = "0.0.0.0";
  try {
    const StatusServer server(options);
    ADD_FAILURE() << "listens for everybody";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--status-token-file FILE"));
  }
  options.token = kToken;
  const StatusServer server(options);
  for (const char* path : {"/", "/status", "/metrics", "/healthz", "/curve", "/else"}) {
    EXPECT_EQ(get(server.port(), path).code, 401) << path;
  }
  EXPECT_EQ(get(server.port(), "/status?token=").code, 401);
  EXPECT_EQ(get(server.port(), "/status?token=" + kToken + "0").code, 401);
  EXPECT_EQ(get(server.port(), "/status?atoken=" + kToken).code, 401);
  EXPECT_EQ(get(server.port(), "/status", "Authorization: Bearer " + kToken.substr(1) + "\r\n").code, 401);
  EXPECT_EQ(get(server.port(), "/status", "Authorization: " + kToken + "\r\n").code, 401);
  EXPECT_EQ(get(server.port(), "/status?a=b&token=" + kToken).code, 200);
  EXPECT_EQ(get(server.port(), "/status", "Authorization: Bearer " + kToken + "\r\n").code, 200);
}

TEST(StatusServer, DoesNotAnswerPagesThatMeanThisAddressByAName) {
  const StatusServer server(options_for(sample_status()));
  const auto code_for = [&](const std::string& host) {
    return call(server.port(), "GET /status HTTP/1.1\r\nHost: " + host + "\r\n\r\n").code;
  };
  EXPECT_EQ(code_for("evil.example:9464"), 403);
  EXPECT_EQ(code_for("127.0.0.1.evil.example"), 403);
  for (const char* host : {"localhost:9464", "127.0.0.1:9464", "[::1]:9464", "10.0.0.7"})
    EXPECT_EQ(code_for(host), 200);
}

TEST(StatusServer, TakesABurstAndThenASteadyRate) {
  StatusServerOptions options = options_for(sample_status());
  options.burst = 5;
  options.requests_per_s = 1e-3;
  const StatusServer server(options);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(get(server.port(), "/healthz").code, 200);
  const HttpAnswer refused = get(server.port(), "/healthz");
  EXPECT_EQ(refused.code, 429);
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: 1"));
}

TEST(StatusServer, SaysThatTheStatusCannotBeTold) {
  StatusServerOptions options;
  options.status = []() -> JobStatus { throw std::runtime_error("no memory"); };
  const StatusServer server(options);
  EXPECT_EQ(get(server.port(), "/status").code, 500);
  EXPECT_EQ(get(server.port(), "/").code, 200);
}

TEST(StatusServer, APortThatIsTakenIsSaidSo) {
  const StatusServer first(options_for(sample_status()));
  StatusServerOptions options = options_for(sample_status());
  options.port = first.port();
  try {
    const StatusServer second(options);
    ADD_FAILURE() << "two listen at one port";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot listen at 127.0.0.1:" + std::to_string(first.port())));
  }
  EXPECT_EQ(first.url(), "http://127.0.0.1:" + std::to_string(first.port()) + "/");
}

TEST(StatusAddress, IsAPortOrAnAddressWithAPort) {
  const auto parsed = [](const std::string& text) {
    StatusServerOptions options;
    parse_status_address(text, options);
    return options.address + ' ' + std::to_string(options.port);
  };
  EXPECT_EQ(parsed("9464"), "127.0.0.1 9464");
  EXPECT_EQ(parsed("0"), "127.0.0.1 0");
  EXPECT_EQ(parsed("0.0.0.0:9464"), "0.0.0.0 9464");
  EXPECT_EQ(parsed("localhost:1"), "127.0.0.1 1");
  EXPECT_EQ(parsed("[::1]:9464"), "::1 9464");
  for (const char* wrong : {"", "x", "65536", "-1", "99999999999", "node1:9464", "1.2.3:4", "0.0.0.0:", "1.2.3.4"}) {
    EXPECT_THROW(parsed(wrong), UsageError) << wrong;
  }
}

TEST(StatusToken, IsOneLineThatIsLongEnough) {
  const testing::TemporaryFolder folder;
  const auto token_of = [&](const std::string& text) {
    std::ofstream(folder / "token") << text;
    fs::permissions(folder / "token", fs::perms::owner_read | fs::perms::owner_write);
    return read_status_token(folder / "token");
  };
  EXPECT_EQ(token_of(kToken + "\n"), kToken);
  EXPECT_EQ(token_of(kToken), kToken);
  for (const std::string& wrong :
       {std::string(), std::string("\n"), std::string("short"), kToken + " x", kToken + "\r", std::string(257, 'a')}) {
    EXPECT_THROW(token_of(wrong), UsageError) << wrong;
  }
  EXPECT_THROW(read_status_token(folder / "none"), UsageError);
}

TEST(StatusToken, IsRefusedWhereOthersMayReadIt) {
  const testing::TemporaryFolder folder;
  const fs::path file = folder / "token";
  std::ofstream(file) << kToken << std::flush;
  for (const unsigned mode : {0640U, 0604U, 0620U, 0666U}) {
    fs::permissions(file, static_cast<fs::perms>(mode));
    try {
      read_status_token(file);
      ADD_FAILURE() << mode;
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), HasSubstr("chmod 600 " + file.string()));
    }
  }
  for (const unsigned mode : {0400U, 0600U, 0700U}) {
    fs::permissions(file, static_cast<fs::perms>(mode));
    EXPECT_EQ(read_status_token(file), kToken);
  }
}

}  // namespace
}  // namespace athanor
