// A rank's call to the heartbeat service: tries where the invitation says that it is, until somebody there welcomes it
// or the time is up. At an address that other hosts have too, another program may answer.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>

#include "watch/frame_channel.h"
#include "watch/heartbeat_client.h"

namespace athanor::watch {

class ServiceCall : public FrameChannel::Owner {
 public:
  /// The channel is for another owner to take over.
  using Welcomed = std::function<void(std::shared_ptr<FrameChannel>, const Welcome&)>;
  using GivenUp = std::function<void()>;

  ServiceCall(boost::asio::io_context& context, const Invitation& invitation, const ClientOptions& options,
              Welcomed welcomed, GivenUp given_up);
  /// One of the two functions is called, once.
  void start();

  void on_message(FrameChannel& channel, Message& message) override;
  void on_end(FrameChannel& channel, ChannelEnd how) override;

 private:
  void try_address();
  void next();
  void say_hello(Tcp::socket socket);
  void at(double seconds, std::function<void()> act);

  boost::asio::io_context& context_;
  boost::asio::steady_timer timer_;
  const Invitation invitation_;
  const ClientOptions options_;
  const Welcomed welcomed_;
  const GivenUp given_up_;
  double until_s_ = 0;
  std::size_t next_ = 0;
  std::shared_ptr<Tcp::socket> connecting_;
  std::shared_ptr<FrameChannel> channel_;
};

}  // namespace athanor::watch
