// The read-only HTTP server of a supervisor, on a thread of its own: `/` a page, `/status` JSON, `/metrics` for
// Prometheus, `/healthz` 200 or 503, `/curve` the loss over the run. GET and HEAD only; a request changes nothing. What
// callers can take is bounded: connections, bytes, seconds, requests a second.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "launcher/supervisor/job_status.h"

namespace athanor {

struct StatusServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0: one that is free
  /// What callers show as `Authorization: Bearer TOKEN` or `?token=TOKEN`; empty: none is asked for, which only
  /// loopback addresses may do.
  std::string token;
  /// A copy of what is known now; called on the server's thread.
  std::function<JobStatus()> status;

  double request_time_s = 5;  ///< to read one, and again to answer it
  std::size_t most_connections = 32;
  double requests_per_s = 20;  ///< above which 429 is answered, after `burst`
  double burst = 100;
};

/// "PORT" or "ADDRESS:PORT" ("[::1]:9464" for IPv6) of `athanor launch --status`, into `options`. Throws UsageError.
void parse_status_address(const std::string& text, StatusServerOptions& options);

/// The token in a file: one line of 16 to 256 letters, digits and "-._~". Throws UsageError, also where
/// others than its owner may read or write the file.
std::string read_status_token(const std::filesystem::path& file);

class StatusServer {
 public:
  /// Listens at once. Throws UsageError for an address that is none, cannot be listened at, or needs a token.
  explicit StatusServer(const StatusServerOptions& options);
  ~StatusServer();
  StatusServer(const StatusServer&) = delete;
  StatusServer& operator=(const StatusServer&) = delete;

  std::uint16_t port() const;
  /// "http://127.0.0.1:9464/"
  std::string url() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor
