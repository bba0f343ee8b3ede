// Who is let in to the heartbeat service: listens, and hands on the callers that say the key in time, in a frame that
// is whole, for a rank that is awaited. All others are dropped and counted, and harm nobody.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <memory>

#include "watch/frame_channel.h"
#include "watch/heartbeat_service.h"

namespace athanor::watch {

class CallerGate : public FrameChannel::Owner {
 public:
  /// Takes the caller over, and answers it; false: there is no such rank to wait for.
  using Admit = std::function<bool(const std::shared_ptr<FrameChannel>&, const Hello&)>;
  using Count = std::function<void(std::uint64_t DroppedCallers::*)>;

  /// Listens at once, on all IPv4 addresses. Throws PeerError.
  CallerGate(boost::asio::io_context& context, const Key& key, const ServiceOptions& options, Admit admit, Count count);

  std::uint16_t port() const { return port_; }
  /// Begins to take calls.
  void open();
  void close();

  void on_message(FrameChannel& channel, Message& message) override;
  void on_end(FrameChannel& channel, ChannelEnd how) override;

 private:
  struct Caller {
    std::shared_ptr<FrameChannel> channel;
    double until_s;
  };
  void accept();
  void drop_slow();
  std::shared_ptr<FrameChannel> take_out(const FrameChannel& channel);

  const Key key_;
  const ServiceOptions options_;
  const Admit admit_;
  const Count count_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer timer_;
  std::uint16_t port_ = 0;
  std::list<Caller> waiting_;  ///< in the order of their calls
  std::size_t still_to_come_;
};

}  // namespace athanor::watch
