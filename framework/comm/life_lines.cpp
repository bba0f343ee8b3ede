#include "comm/life_lines.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstring>
#include <mutex>
#include <random>

#include "base/log.h"

namespace athanor {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Tcp = asio::ip::tcp;

constexpr std::chrono::seconds kMeetTime{5};
constexpr std::size_t kMostAddresses = 16;

/// A dead host sends nothing: after 5 s of silence the kernel asks, every 2 s, three times.
constexpr int kIdle_s = 5, kInterval_s = 2, kProbes = 3;

using Key = std::array<std::uint8_t, 16>;

/// What rank 0 tells the others: where to call, and the word that lets them in.
struct Invitation {
  Key key{};
  std::uint16_t port = 0;
  std::uint16_t addresses = 0;
  std::array<std::array<std::uint8_t, 4>, kMostAddresses> address{};
};

/// A caller's first and only words before its good-bye.
struct Hello {
  Key key{};
  std::int32_t rank = -1;
};

/// On a line: −1 is a good-bye, anything else the number of a rank that is gone.
constexpr std::int32_t kGoodBye = -1;

/// IPv4 addresses of this host that others may reach; the loopback where there is no other.
void list_addresses(Invitation& invitation) {
  invitation.address[0] = {127, 0, 0, 1};
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return;
  for (const ifaddrs* entry = all; entry != nullptr && invitation.addresses < kMostAddresses; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
    if ((entry->ifa_flags & IFF_LOOPBACK) != 0 || (entry->ifa_flags & IFF_UP) == 0) continue;
    sockaddr_in address{};
    std::memcpy(&address, entry->ifa_addr, sizeof address);
    std::memcpy(invitation.address[invitation.addresses++].data(), &address.sin_addr, 4);
  }
  freeifaddrs(all);
  invitation.addresses = std::max<std::uint16_t>(invitation.addresses, 1);
}

Key random_key() {
  std::random_device source;
  Key key;
  for (std::uint8_t& byte : key) byte = static_cast<std::uint8_t>(source());
  return key;
}

void set_alarm_clock(Tcp::socket& socket) {
  error_code ignored;
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  for (const auto& [option, value] :
       {std::pair{TCP_KEEPIDLE, kIdle_s}, std::pair{TCP_KEEPINTVL, kInterval_s}, std::pair{TCP_KEEPCNT, kProbes}}) {
    setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
  }
  socket.non_blocking(true, ignored);
}

/// A connection to one other rank.
struct Line {
  std::unique_ptr<Tcp::socket> socket;
  int rank = -1;
  bool is_over = false;  ///< good-bye was said
};

}  // namespace

struct LifeLines::State {
  std::mutex mutex;
  asio::io_context context;
  std::vector<Line> lines;
  int gone = -1;
  bool silent = false;

  void invite(Communicator& world);
  void call(Communicator& world);
  void look_at(Line& line);
  void tell(std::int32_t word);
};

/// Rank 0: takes calls until all have called or the time is up.
void LifeLines::State::invite(Communicator& world) {
  Invitation invitation;
  invitation.key = random_key();
  Tcp::acceptor acceptor(context);
  error_code error;
  acceptor.open(Tcp::v4(), error);
  if (!error) acceptor.bind(Tcp::endpoint(Tcp::v4(), 0), error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) {
    invitation.port = acceptor.local_endpoint(error).port();
    list_addresses(invitation);
  }
  world.broadcast(&invitation, sizeof invitation, 0, "meeting");
  if (invitation.port == 0) return;

  struct Caller {
    Tcp::socket socket;
    Hello hello;
  };
  const auto expected = static_cast<std::size_t>(world.size() - 1);
  std::function<void()> accept = [&] {
    auto caller = std::make_shared<Caller>(Caller{Tcp::socket(context), {}});
    acceptor.async_accept(caller->socket, [&, caller](error_code failed) {
      if (failed) return;
      accept();
      asio::async_read(caller->socket, asio::buffer(&caller->hello, sizeof(Hello)),
                       [&, caller](error_code broken, auto) {
                         const Hello& hello = caller->hello;
                         if (broken || hello.key != invitation.key || hello.rank <= 0 || hello.rank >= world.size())
                           return;
                         lines.push_back({std::make_unique<Tcp::socket>(std::move(caller->socket)), hello.rank, false});
                         if (lines.size() == expected) context.stop();
                       });
    });
  };
  accept();
  context.run_for(kMeetTime);
  acceptor.close(error);
  // Handlers that hold references to this frame must not be left behind.
  context.restart();
  context.run_for(std::chrono::milliseconds(10));
}

void LifeLines::State::call(Communicator& world) {
  Invitation invitation;
  world.broadcast(&invitation, sizeof invitation, 0, "meeting");
  std::vector<Tcp::endpoint> places;
  for (std::size_t i = 0; i < invitation.addresses; ++i) {
    asio::ip::address_v4::bytes_type bytes;
    std::memcpy(bytes.data(), invitation.address[i].data(), 4);
    places.emplace_back(asio::ip::address_v4(bytes), invitation.port);
  }
  auto socket = std::make_unique<Tcp::socket>(context);
  const Hello hello{invitation.key, world.rank()};
  bool is_connected = false;
  asio::async_connect(*socket, places, [&](error_code error, const Tcp::endpoint&) {
    if (error) return;
    asio::write(*socket, asio::buffer(&hello, sizeof hello), error);
    is_connected = !error;
  });
  context.run_for(kMeetTime);
  if (!is_connected) {
    error_code ignored;
    socket->close(ignored);
    context.restart();
    context.run_for(std::chrono::milliseconds(10));
    log_warning("{} does not reach {} over TCP: a rank that is lost is noticed at the deadline (comm.timeout_s) only",
                world.name_of(world.rank()), world.name_of(0));
    return;
  }
  lines.push_back({std::move(socket), 0, false});
}

LifeLines::LifeLines(Communicator& world) : state_(std::make_unique<State>()) {
  if (world.rank() == 0) {
    state_->invite(world);
  } else {
    state_->call(world);
  }
  for (Line& line : state_->lines) set_alarm_clock(*line.socket);
}

LifeLines::~LifeLines() {
  const std::lock_guard lock(state_->mutex);
  if (!state_->silent) state_->tell(kGoodBye);
}

/// To every line; one that is broken already does not matter.
void LifeLines::State::tell(std::int32_t word) {
  for (Line& line : lines) {
    error_code ignored;
    if (!line.is_over && line.rank != word) line.socket->send(asio::buffer(&word, sizeof word), 0, ignored);
  }
}

void LifeLines::State::look_at(Line& line) {
  if (line.is_over || gone >= 0) return;
  std::int32_t word = 0;
  error_code error;
  const std::size_t got = line.socket->receive(asio::buffer(&word, sizeof word), 0, error);
  if (error == asio::error::would_block || error == asio::error::try_again) return;
  if (!error && got == sizeof word && word == kGoodBye) {
    line.is_over = true;
    return;
  }
  gone = !error && got == sizeof word ? word : line.rank;
}

int LifeLines::find_gone() {
  const std::lock_guard lock(state_->mutex);
  const int before = state_->gone;
  for (Line& line : state_->lines) state_->look_at(line);
  // Whoever holds more than one line passes it on.
  if (before < 0 && state_->gone >= 0 && state_->lines.size() > 1) state_->tell(state_->gone);
  return state_->gone;
}

void LifeLines::keep_silent() {
  const std::lock_guard lock(state_->mutex);
  state_->silent = true;
}

}  // namespace athanor
