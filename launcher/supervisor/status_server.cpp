#include "launcher/supervisor/status_server.h"

#include <fcntl.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <fstream>
#include <thread>
#include <utility>

#include "base/error.h"
#include "launcher/supervisor/status_session.h"

namespace athanor {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::size_t kShortestToken = 16, kLongestToken = 256;
/// Where no connection can be taken (out of descriptors, say), until the next try.
constexpr std::chrono::milliseconds kAcceptPause{100};

asio::ip::address address_from(const std::string& text) {
  boost::system::error_code error;
  asio::ip::address address = asio::ip::make_address(text == "localhost" ? "127.0.0.1" : text, error);
  if (error) throw UsageError("--status {} is no address; an IPv4 or IPv6 address is wanted, 0.0.0.0 for all", text);
  return address;
}

/// The ranks' launcher is started from this process and must not inherit the server.
void close_on_exec(int descriptor) {
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

std::string endpoint_text(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", address, endpoint.port())
                                    : fmt::format("{}:{}", address, endpoint.port());
}

}  // namespace

void parse_status_address(const std::string& text, StatusServerOptions& options) {
  std::string address, port = text;
  if (const std::size_t colon = text.rfind(':'); colon != std::string::npos) {
    address = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  }
  const bool is_number = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || std::stoi(port) > 65535) {
    throw UsageError("--status {}: wanted PORT or ADDRESS:PORT with a port from 0 (any that is free) to 65535", text);
  }
  options.port = static_cast<std::uint16_t>(std::stoi(port));
  if (!address.empty()) options.address = address_from(address).to_string();
}

std::string read_status_token(const std::filesystem::path& file) {
  std::error_code error;
  const auto permissions = std::filesystem::status(file, error).permissions();
  constexpr auto kOthers = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
  if (!error && permissions != std::filesystem::perms::unknown &&
      (permissions & kOthers) != std::filesystem::perms::none) {
    throw UsageError("others may use {}, which holds the status server's token (mode {:04o}): chmod 600 {}",
                     file.string(), static_cast<unsigned>(permissions), file.string());
  }
  std::ifstream in(file);
  std::string token;
  std::getline(in, token);
  if (!in) throw UsageError("cannot read a token from {}: is it there, and may this user read it?", file.string());
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  if (token.size() < kShortestToken || token.size() > kLongestToken ||
      token.find_first_not_of(kAllowed) != std::string::npos) {
    throw UsageError(
        "{} holds no token: wanted one line of {} to {} letters, digits and -._~; openssl rand -hex 32 > {}",
        file.string(), kShortestToken, kLongestToken, file.string());
  }
  return token;
}

struct StatusServer::State {
  explicit State(const StatusServerOptions& options)
      : most_connections(options.most_connections),
        sessions(std::make_shared<StatusSessions>(StatusSessions{StatusAnswers(options), options.request_time_s})) {}

  void listen(const StatusServerOptions& options);
  void accept();
  void run();

  std::size_t most_connections;
  std::shared_ptr<StatusSessions> sessions;
  asio::io_context context{1};
  tcp::acceptor acceptor{context};
  asio::steady_timer pause{context};
  tcp::endpoint endpoint;
  std::thread thread;
};

void StatusServer::State::listen(const StatusServerOptions& options) {
  const tcp::endpoint wanted(address_from(options.address), options.port);
  if (!wanted.address().is_loopback() && options.token.empty()) {
    throw UsageError(
        "--status {}: others than this host may ask there, so a token is needed: openssl rand -hex 32 > FILE, chmod "
        "600 FILE and --status-token-file FILE; or leave the address out",
        endpoint_text(wanted));
  }
  boost::system::error_code error;
  acceptor.open(wanted.protocol(), error);
  if (!error) close_on_exec(acceptor.native_handle());
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(wanted, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    throw UsageError("cannot listen at {} for --status: {}; try another port", endpoint_text(wanted), error.message());
  }
  endpoint = acceptor.local_endpoint();
}

void StatusServer::State::accept() {
  acceptor.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (error) {
      pause.expires_after(kAcceptPause);
      pause.async_wait([this](const boost::system::error_code& stopped) {
        if (!stopped) accept();
      });
      return;
    }
    close_on_exec(socket.native_handle());
    accept();
    // The one too many is closed by its destructor.
    if (sessions->count < most_connections) start_status_session(std::move(socket), sessions);
  });
}

void StatusServer::State::run() {
  while (true) {
    try {
      context.run();
      return;
    } catch (const std::exception&) {
      // One request found no memory, say: it is dropped, the others go on.
    }
  }
}

StatusServer::StatusServer(const StatusServerOptions& options) : state_(std::make_unique<State>(options)) {
  state_->listen(options);
  state_->accept();
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

StatusServer::~StatusServer() {
  state_->context.stop();
  state_->thread.join();
}

std::uint16_t StatusServer::port() const {
  return state_->endpoint.port();
}

std::string StatusServer::url() const {
  return fmt::format("http://{}/", endpoint_text(state_->endpoint));
}

}  // namespace athanor
