// A TCP connection that carries frames both ways: takes them apart as bytes come, sends without ever waiting. Used by
// one thread, its io_context's; handlers of a channel never run at once, and none is called after close().
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <memory>
#include <vector>

#include "watch/frames.h"

namespace athanor::watch {

using Tcp = boost::asio::ip::tcp;

enum class ChannelEnd : std::uint8_t { closed, broken, malformed, oversized };

class FrameChannel : public std::enable_shared_from_this<FrameChannel> {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_message(FrameChannel& channel, Message& message) = 0;
    /// The other end is gone, or sent what is no frame. The channel is closed then.
    virtual void on_end(FrameChannel& channel, ChannelEnd how) = 0;
  };

  /// `tag`: a number of the owner's.
  FrameChannel(Tcp::socket socket, Owner& owner, int tag = -1);

  /// Begins to read.
  void start();
  void hand_over(Owner& owner, int tag, std::size_t most_body_bytes);
  void set_most_body_bytes(std::size_t most) { most_body_bytes_ = most; }
  int tag() const { return tag_; }

  /// Queued where it cannot be sent at once; dropped where the other end has not read for so long that there is no
  /// room.
  void send(const Message& message);
  /// Nothing queued: only what is sent now is worth sending.
  void send_if_idle(const Pulse& pulse);
  bool is_sent() const { return out_.empty(); }
  bool is_open() const { return socket_.is_open(); }
  /// What was sent still arrives.
  void close();

 private:
  void read();
  void take(std::size_t bytes);
  void end(ChannelEnd how);
  void write();

  Tcp::socket socket_;
  Owner* owner_;
  int tag_;
  std::size_t most_body_bytes_ = kMostBodyBytes;
  /// As small as beats need, larger only while a larger frame comes in.
  std::vector<std::uint8_t> in_;
  std::size_t filled_ = 0;
  std::vector<std::uint8_t> out_;
  bool is_writing_ = false;
};

}  // namespace athanor::watch
