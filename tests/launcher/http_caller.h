// A caller of the status server that sends whatever bytes a test wants and reads until it is hung up on.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace athanor::launcher_test {

class HttpCaller {
 public:
  explicit HttpCaller(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    // Nothing here takes this long; a server that hangs fails the test instead of stopping it.
    const timeval deadline{20, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
    ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      ::close(descriptor_);
      throw std::runtime_error("cannot connect");
    }
  }
  HttpCaller(HttpCaller&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  ~HttpCaller() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  /// As much as is taken.
  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void say_no_more() { ::shutdown(descriptor_, SHUT_WR); }

  /// Everything until the server hangs up; throws where it does not.
  std::string hear() {
    std::string text;
    std::array<char, 65536> piece;
    while (true) {
      const ssize_t count = ::recv(descriptor_, piece.data(), piece.size(), 0);
      if (count < 0 && errno == EAGAIN) throw std::runtime_error("the server neither answers nor hangs up");
      if (count <= 0) return text;
      text.append(piece.data(), static_cast<std::size_t>(count));
    }
  }

 private:
  int descriptor_;
};

struct HttpAnswer {
  int code = 0;  ///< 0: none
  std::string head, body;
};

inline HttpAnswer answer_in(const std::string& text) {
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  if (!text.starts_with(kVersion)) return {};
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos) return {};
  return {std::stoi(text.substr(kVersion.size())), text.substr(0, end), text.substr(end + 4)};
}

/// Sends the bytes and hears the answer.
inline HttpAnswer call(std::uint16_t port, std::string_view bytes) {
  HttpCaller caller(port);
  caller.send(bytes);
  return answer_in(caller.hear());
}

inline HttpAnswer get(std::uint16_t port, const std::string& target, const std::string& more_headers = "") {
  return call(port, "GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + more_headers + "\r\n");
}

}  // namespace athanor::launcher_test
