// Asks hosts whether they answer, side by side, while other things go on.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "launcher/supervisor/child.h"
#include "launcher/supervisor/pump.h"

namespace athanor {

/// The command that ends with 0 where `host` can take ranks: it answers, and reaches this machine at one of `addresses`
/// and `port`, as its ranks will have to. Slurm's own way to a host tells enough.
LauncherCommand probe_command(const Place& place, const std::string& rsh_agent, const std::string& host,
                              const std::vector<std::string>& addresses, std::uint16_t port);

class HostProbe {
 public:
  HostProbe(boost::asio::io_context& io, const Place& place, std::string rsh_agent);

  /// Begins to ask; a host that was asked already is not asked again.
  void ask(const std::string& host);
  /// Waits for all answers, at most `kMost_s` from each question. What has not answered does not.
  std::map<std::string, bool> answers();

  static constexpr double kMost_s = 4;

 private:
  struct Question {
    std::unique_ptr<Child> child;  ///< nullptr: it could not even be asked
    SteadyTime until;
  };
  void take_callers();

  boost::asio::io_context& io_;
  boost::asio::ip::tcp::acceptor acceptor_;  ///< for hosts to show that they reach this machine
  const Place& place_;
  const std::string rsh_agent_;
  std::map<std::string, Question> questions_;
};

}  // namespace athanor
