#include "launcher/supervisor/status_answers.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/checkpoint_folder.h"
#include "launcher/supervisor/status_json.h"
#include "launcher/supervisor/status_page.h"

namespace athanor {
namespace {

/// Of metrics.jsonl, that one request reads: about a tenth of a second. The page asks again until all is read.
constexpr std::size_t kCurveBytes = std::size_t{4} << 20;

std::string dumped(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

std::array<unsigned char, SHA256_DIGEST_LENGTH> digest_of(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

/// The value of `token` in a target's query; empty where there is none.
std::string_view token_in(std::string_view target) {
  const std::size_t question = target.find('?');
  std::string_view query = question == std::string_view::npos ? "" : target.substr(question + 1);
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    if (pair.starts_with("token=")) return pair.substr(6);
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
  }
  return "";
}

/// A web page elsewhere whose host name is made to mean this address would reach us with that name: only addresses and
/// "localhost" are answered where no token is asked for.
bool is_address_or_localhost(std::string_view host) {
  if (host.starts_with('[')) {
    host = host.substr(1, host.find(']') - 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  if (host.empty() || host == "localhost") return true;
  boost::system::error_code error;
  boost::asio::ip::make_address(std::string(host), error);
  return !error;
}

/// When the newest checkpoint was written, in seconds since 1970; nullopt where none is to be seen from here. Not by
/// the step that rank 0 told: by now that one may have been removed for newer ones.
std::optional<double> checkpoint_unix_s(const watch::JobPicture& picture) {
  if (picture.about.run_folder.empty()) return std::nullopt;
  const CheckpointFolder folder(std::filesystem::path(picture.about.run_folder) / "checkpoints");
  try {
    for (const std::filesystem::path& file : folder.list()) {
      std::error_code error;
      const auto time = std::filesystem::last_write_time(file, error);
      if (error) continue;
      return std::chrono::duration<double>(std::chrono::file_clock::to_sys(time).time_since_epoch()).count();
    }
  } catch (const StorageError&) {
    // A disk that is gone takes one number away, not the others.
  }
  return std::nullopt;
}

}  // namespace

bool are_equal_secrets(std::string_view left, std::string_view right) {
  // Of their digests, so that not even the length shows.
  const auto left_digest = digest_of(left), right_digest = digest_of(right);
  return ::CRYPTO_memcmp(left_digest.data(), right_digest.data(), left_digest.size()) == 0;
}

StatusAnswers::StatusAnswers(const StatusServerOptions& options) : options_(options), turns_(options.burst) {}

bool StatusAnswers::may_ask(const StatusRequest& request) const {
  if (options_.token.empty()) return is_address_or_localhost(request.host);
  std::string_view shown = token_in(request.target);
  constexpr std::string_view kBearer = "Bearer ";
  if (request.authorization.starts_with(kBearer)) shown = request.authorization.substr(kBearer.size());
  return are_equal_secrets(shown, options_.token);
}

bool StatusAnswers::take_turn(std::chrono::steady_clock::time_point now) {
  if (last_turn_) {
    const double passed_s = std::chrono::duration<double>(now - *last_turn_).count();
    turns_ = std::min(options_.burst, turns_ + passed_s * options_.requests_per_s);
  }
  last_turn_ = now;
  if (turns_ < 1) return false;
  turns_ -= 1;
  return true;
}

StatusAnswer StatusAnswers::answer(const StatusRequest& request, std::chrono::steady_clock::time_point now) {
  if (request.method != "GET" && request.method != "HEAD") return {405, {}, "only GET and HEAD are answered\n"};
  if (!may_ask(request)) {
    if (options_.token.empty()) return {403, {}, "ask by address or as localhost\n"};
    return {401, {}, "a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN\n"};
  }
  if (!take_turn(now)) return {429, {}, "too many requests; ask again in a second\n"};
  try {
    return document(request.target.substr(0, request.target.find('?')));
  } catch (const std::exception& error) {
    return {500, {}, std::string("the status cannot be told: ") + error.what() + '\n'};
  }
}

StatusAnswer StatusAnswers::document(std::string_view path) {
  if (path == "/") return {200, "text/html; charset=utf-8", status_page()};
  if (path == "/status") return {200, "application/json", dumped(to_json(options_.status()))};
  if (path == "/metrics") return metrics();
  if (path == "/healthz") return health();
  if (path == "/curve") return curve();
  return {404, {}, "there are /, /status, /metrics, /healthz and /curve\n"};
}

StatusAnswer StatusAnswers::health() const {
  const JobStatus status = options_.status();
  const bool ended_badly = status.state == "ended" && status.exit_code.value_or(0) != 0 && status.exit_code != 75;
  return {ended_badly ? 503 : 200, {}, status.state + '\n'};
}

StatusAnswer StatusAnswers::metrics() {
  const JobStatus status = options_.status();
  return {200, "text/plain; version=0.0.4; charset=utf-8",
          metrics_text(status, memory_, checkpoint_unix_s(status.picture))};
}

StatusAnswer StatusAnswers::curve() {
  const std::string folder = options_.status().picture.about.run_folder;
  const bool is_whole = folder.empty() || curve_.read_on(std::filesystem::path(folder) / "metrics.jsonl", kCurveBytes);
  nlohmann::ordered_json json = curve_.to_json();
  json["whole"] = is_whole;
  return {200, "application/json", dumped(json)};
}

}  // namespace athanor
