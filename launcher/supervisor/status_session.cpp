#include "launcher/supervisor/status_session.h"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "launcher/supervisor/status_page.h"

namespace athanor {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr std::size_t kMostHeaderBytes = 8 << 10;
/// After the answer, what the caller still sends is read away: closing over it would take the answer back.
constexpr std::size_t kMostRestBytes = 64 << 10;
constexpr std::chrono::seconds kRestTime{1};

/// How a request that is none is answered; nullopt: not at all, the caller is gone or too slow.
std::optional<StatusAnswer> answer_to(const beast::error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return StatusAnswer{431, {}, "the request's header is too large\n"};
  }
  if (error == http::error::body_limit) return StatusAnswer{413, {}, "requests have no body\n"};
  if (error == http::error::end_of_stream || error == http::error::partial_message) return std::nullopt;
  if (error.category() == make_error_code(http::error::bad_method).category()) {
    return StatusAnswer{400, {}, "this is no HTTP request\n"};
  }
  return std::nullopt;
}

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(boost::asio::ip::tcp::socket socket, std::shared_ptr<StatusSessions> sessions)
      : stream_(std::move(socket)), sessions_(std::move(sessions)) {
    ++sessions_->count;
  }
  ~Session() { --sessions_->count; }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void read() {
    parser_.header_limit(kMostHeaderBytes);
    parser_.body_limit(0);
    set_deadline();
    http::async_read_header(stream_, buffer_, parser_,
                            [self = shared_from_this()](beast::error_code error, std::size_t) { self->heard(error); });
  }

 private:
  void set_deadline() {
    stream_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        std::chrono::duration<double>(sessions_->request_time_s)));
  }

  void heard(const beast::error_code& error) {
    if (error) {
      if (std::optional<StatusAnswer> answer = answer_to(error)) write(std::move(*answer), false);
      return;
    }
    const auto& request = parser_.get();
    if (parser_.chunked() || parser_.content_length().value_or(0) > 0) {
      write(*answer_to(http::error::body_limit), false);
      return;
    }
    const auto text = [](beast::string_view view) { return std::string_view(view.data(), view.size()); };
    write(sessions_->answers.answer({text(request.method_string()), text(request.target()),
                                     text(request[http::field::host]), text(request[http::field::authorization])},
                                    std::chrono::steady_clock::now()),
          request.method() == http::verb::head);
  }

  void write(StatusAnswer answer, bool head_only) {
    response_.version(11);
    response_.result(static_cast<unsigned>(answer.code));
    response_.keep_alive(false);
    response_.set(http::field::content_type, answer.type.empty() ? "text/plain; charset=utf-8" : answer.type);
    response_.set(http::field::cache_control, "no-store");
    response_.set("Content-Security-Policy", status_page_policy());
    response_.set("Referrer-Policy", "no-referrer");
    response_.set("X-Content-Type-Options", "nosniff");
    if (answer.code == 401) response_.set(http::field::www_authenticate, "Bearer");
    if (answer.code == 405) response_.set(http::field::allow, "GET, HEAD");
    if (answer.code == 429) response_.set(http::field::retry_after, "1");
    response_.content_length(answer.body.size());
    if (!head_only) response_.body() = std::move(answer.body);
    set_deadline();
    http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code error, std::size_t) {
      if (!error) self->finish();
    });
  }

  void finish() {
    beast::error_code ignored;
    stream_.socket().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
    stream_.expires_after(kRestTime);
    read_rest();
  }

  void read_rest() {
    stream_.async_read_some(boost::asio::buffer(rest_),
                            [self = shared_from_this()](beast::error_code error, std::size_t bytes) {
                              self->rest_bytes_ += bytes;
                              if (!error && self->rest_bytes_ < kMostRestBytes) self->read_rest();
                            });
  }

  beast::tcp_stream stream_;
  std::shared_ptr<StatusSessions> sessions_;
  beast::flat_buffer buffer_{kMostHeaderBytes};
  http::request_parser<http::empty_body> parser_;
  http::response<http::string_body> response_;
  std::array<char, 1024> rest_;
  std::size_t rest_bytes_ = 0;
};

}  // namespace

void start_status_session(boost::asio::ip::tcp::socket socket, const std::shared_ptr<StatusSessions>& sessions) {
  std::make_shared<Session>(std::move(socket), sessions)->read();
}

}  // namespace athanor
