#include "watch/frame_channel.h"

#include <fcntl.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <cstring>

namespace athanor::watch {
namespace {

constexpr std::size_t kSmallBytes = 512;
constexpr std::size_t kMostQueuedBytes = 512 * 1024;

}  // namespace

FrameChannel::FrameChannel(Tcp::socket socket, Owner& owner, int tag)
    : socket_(std::move(socket)), owner_(&owner), tag_(tag), in_(kSmallBytes) {
  boost::system::error_code ignored;
  // A program that this process starts must not keep the connection open when this process is gone.
  fcntl(socket_.native_handle(), F_SETFD, FD_CLOEXEC);
  socket_.set_option(Tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
}

void FrameChannel::start() {
  read();
}

void FrameChannel::hand_over(Owner& owner, int tag, std::size_t most_body_bytes) {
  owner_ = &owner;
  tag_ = tag;
  most_body_bytes_ = most_body_bytes;
}

void FrameChannel::read() {
  socket_.async_read_some(boost::asio::buffer(in_.data() + filled_, in_.size() - filled_),
                          [self = shared_from_this()](const boost::system::error_code& error, std::size_t bytes) {
                            if (!self->is_open()) return;
                            if (error) {
                              self->end(error == boost::asio::error::eof ? ChannelEnd::closed : ChannelEnd::broken);
                            } else {
                              self->take(bytes);
                            }
                          });
}

void FrameChannel::take(std::size_t bytes) {
  filled_ += bytes;
  std::size_t at = 0;
  std::size_t wanted = kSmallBytes;
  while (filled_ - at >= kHeaderBytes) {
    const Header header = read_header(std::span(in_).subspan(at, kHeaderBytes));
    if (header.fault == HeaderFault::malformed) return end(ChannelEnd::malformed);
    if (header.fault == HeaderFault::oversized || header.length > most_body_bytes_) return end(ChannelEnd::oversized);
    const std::size_t whole = kHeaderBytes + header.length;
    if (filled_ - at < whole) {
      wanted = std::max(whole, kSmallBytes);
      break;
    }
    std::optional<Message> message =
        read_message(header, std::span<const std::uint8_t>(in_).subspan(at + kHeaderBytes, header.length));
    if (!message) return end(ChannelEnd::malformed);
    at += whole;
    owner_->on_message(*this, *message);
    if (!is_open()) return;
  }
  std::memmove(in_.data(), in_.data() + at, filled_ - at);
  filled_ -= at;
  if (in_.size() != wanted && filled_ <= wanted) {
    in_.resize(wanted);
    if (wanted == kSmallBytes) in_.shrink_to_fit();
  }
  read();
}

void FrameChannel::end(ChannelEnd how) {
  close();
  owner_->on_end(*this, how);
}

void FrameChannel::send(const Message& message) {
  if (!is_open() || out_.size() > kMostQueuedBytes) return;
  append_frame(message, out_);
  write();
}

void FrameChannel::send_if_idle(const Pulse& pulse) {
  if (!is_open() || !out_.empty()) return;
  append_frame(pulse, out_);
  write();
}

void FrameChannel::write() {
  if (is_writing_) return;
  boost::system::error_code error;
  const std::size_t sent = socket_.write_some(boost::asio::buffer(out_), error);
  if (error && error != boost::asio::error::would_block) {
    // The reading side notices.
    out_.clear();
    return;
  }
  out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(error ? 0 : sent));
  if (out_.empty()) return;
  is_writing_ = true;
  socket_.async_wait(Tcp::socket::wait_write, [self = shared_from_this()](const boost::system::error_code& failed) {
    self->is_writing_ = false;
    if (!failed && self->is_open()) self->write();
  });
}

void FrameChannel::close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  out_.clear();
}

}  // namespace athanor::watch
