#include "watch/caller_gate.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>

#include "base/host_name.h"
#include "watch/clock.h"

namespace athanor::watch {
namespace {

/// While the process has no descriptors left, calls wait in the kernel.
constexpr std::chrono::milliseconds kAcceptAgain{100};

}  // namespace

CallerGate::CallerGate(boost::asio::io_context& context, const Key& key, const ServiceOptions& options, Admit admit,
                       Count count)
    : key_(key),
      options_(options),
      admit_(std::move(admit)),
      count_(std::move(count)),
      acceptor_(context),
      timer_(context),
      still_to_come_(static_cast<std::size_t>(options.world_size)) {
  boost::system::error_code error;
  acceptor_.open(Tcp::v4(), error);
  if (!error) fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC);
  if (!error) acceptor_.bind(Tcp::endpoint(Tcp::v4(), 0), error);
  if (!error) acceptor_.listen(boost::asio::socket_base::max_listen_connections, error);
  if (!error) port_ = acceptor_.local_endpoint(error).port();
  if (error) {
    throw PeerError("{} cannot listen for the ranks' heartbeats on any TCP port: {}; are descriptors or ports used up?",
                    host_name(), error.message());
  }
}

void CallerGate::open() {
  accept();
  drop_slow();
}

void CallerGate::close() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  timer_.cancel();
  for (Caller& caller : waiting_) caller.channel->close();
  waiting_.clear();
}

void CallerGate::accept() {
  acceptor_.async_accept([this](const boost::system::error_code& error, Tcp::socket socket) {
    if (error == boost::asio::error::operation_aborted) return;
    if (error) {
      timer_.expires_after(kAcceptAgain);
      timer_.async_wait([this](const boost::system::error_code& ended) {
        if (ended || !acceptor_.is_open()) return;
        accept();
        drop_slow();
      });
      return;
    }
    auto channel = std::make_shared<FrameChannel>(std::move(socket), *this);
    channel->set_most_body_bytes(kMostHelloBytes);
    waiting_.push_back({channel, steady_s() + options_.hello_time_s});
    // Ranks that have yet to call may all do so at once. They say who they are at once too, so that the one to go is
    // the one that has said nothing for longest.
    if (waiting_.size() > options_.most_waiting + still_to_come_) {
      waiting_.front().channel->close();
      waiting_.pop_front();
      count_(&DroppedCallers::too_many);
    }
    channel->start();
    accept();
  });
}

void CallerGate::drop_slow() {
  const double now_s = steady_s();
  while (!waiting_.empty() && waiting_.front().until_s <= now_s) {
    waiting_.front().channel->close();
    waiting_.pop_front();
    count_(&DroppedCallers::too_slow);
  }
  timer_.expires_after(in_ns(std::clamp(options_.hello_time_s / 4, 0.01, 1.0)));
  timer_.async_wait([this](const boost::system::error_code& ended) {
    if (!ended && acceptor_.is_open()) drop_slow();
  });
}

std::shared_ptr<FrameChannel> CallerGate::take_out(const FrameChannel& channel) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const Caller& caller) { return caller.channel.get() == &channel; });
  if (found == waiting_.end()) return nullptr;
  std::shared_ptr<FrameChannel> taken = std::move(found->channel);
  waiting_.erase(found);
  return taken;
}

void CallerGate::on_message(FrameChannel& channel, Message& message) {
  const std::shared_ptr<FrameChannel> caller = take_out(channel);
  const auto refuse = [&](std::uint64_t DroppedCallers::*why) {
    channel.close();
    count_(why);
  };
  const Hello* const hello = std::get_if<Hello>(&message);
  if (hello == nullptr) return refuse(&DroppedCallers::malformed);
  if (!is_same(hello->key, key_)) return refuse(&DroppedCallers::wrong_key);
  const bool is_awaited = hello->world_size == options_.world_size && hello->rank >= 0 &&
                          hello->rank < options_.world_size && admit_(caller, *hello);
  if (!is_awaited) return refuse(&DroppedCallers::malformed);
  if (still_to_come_ > 0) --still_to_come_;
}

void CallerGate::on_end(FrameChannel& channel, ChannelEnd how) {
  take_out(channel);
  count_(how == ChannelEnd::oversized ? &DroppedCallers::oversized : &DroppedCallers::malformed);
}

}  // namespace athanor::watch
