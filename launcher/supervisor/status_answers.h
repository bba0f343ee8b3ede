// What the status server says to a request, without the network: who may ask, how often, and the documents.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "launcher/supervisor/curve.h"
#include "launcher/supervisor/metrics_text.h"
#include "launcher/supervisor/status_server.h"

namespace athanor {

/// What counts of a request; views of what the caller keeps.
struct StatusRequest {
  std::string_view method, target, host, authorization;
};

struct StatusAnswer {
  int code = 200;    ///< of HTTP
  std::string type;  ///< of the body; empty: plain text
  std::string body;
};

/// Whether two secrets are equal, in a time that does not depend on where they differ.
bool are_equal_secrets(std::string_view left, std::string_view right);

class StatusAnswers {
 public:
  explicit StatusAnswers(const StatusServerOptions& options);

  /// Whatever was asked; what the status function throws becomes a 500.
  StatusAnswer answer(const StatusRequest& request, std::chrono::steady_clock::time_point now);

 private:
  bool may_ask(const StatusRequest& request) const;
  bool take_turn(std::chrono::steady_clock::time_point now);
  StatusAnswer document(std::string_view path);
  StatusAnswer health() const;
  StatusAnswer metrics();
  StatusAnswer curve();

  StatusServerOptions options_;
  CounterMemory memory_;
  Curve curve_;
  double turns_;  ///< requests that may still come at once
  std::optional<std::chrono::steady_clock::time_point> last_turn_;
};

}  // namespace athanor
