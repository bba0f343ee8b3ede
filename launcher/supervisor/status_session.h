// One caller of the status server: reads one request, answers it, closes. All on the server's thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <memory>

#include "launcher/supervisor/status_answers.h"

namespace athanor {

/// What the callers share; outlives them.
struct StatusSessions {
  StatusAnswers answers;
  double request_time_s;
  std::size_t count = 0;  ///< that are open
};

/// Takes the connection over.
void start_status_session(boost::asio::ip::tcp::socket socket, const std::shared_ptr<StatusSessions>& sessions);

}  // namespace athanor
