// A rank's call to the heartbeat service: tries where the invitation says that it is, until somebody there welcomes it.
// At an address that other hosts have too, another program may answer. When nobody has for connect_time_s it goes on
// after pauses, each longer than the one before: a service may have been short of descriptors, a network down.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>

#include "watch/frame_channel.h"
#include "watch/heartbeat_client.h"

namespace athanor::watch {

class ServiceCall : public FrameChannel::Owner {
 public:
  /// The channel is for another owner to take over.
  using Welcomed = std::function<void(std::shared_ptr<FrameChannel>, const Welcome&)>;
  /// Nobody has answered: after connect_time_s, and again after each round since; `is_last`: it calls no more.
  using Unanswered = std::function<void(bool is_last)>;

  ServiceCall(boost::asio::io_context& context, const Invitation& invitation, const ClientOptions& options,
              Welcomed welcomed, Unanswered unanswered);
  void start();
  /// Ends a pause, for a rank that has no time left.
  void hurry();

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
  const Unanswered unanswered_;
  double until_s_ = 0;
  double pause_s_;
  bool is_late_ = false;
  bool is_pausing_ = false;
  int late_rounds_ = 0;
  std::uint64_t timers_ = 0;  ///< set so far: one that has run out may still be heard of when another one is set
  std::size_t next_ = 0;
  std::shared_ptr<Tcp::socket> connecting_;
  std::shared_ptr<FrameChannel> channel_;
};

}  // namespace athanor::watch
