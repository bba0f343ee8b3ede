// Keys, and where a service is found.
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/random.h>

#include <algorithm>
#include <boost/asio/ip/address_v4.hpp>
#include <charconv>
#include <random>
#include <string_view>

#include "watch/heartbeat_service.h"

namespace athanor::watch {
namespace {

constexpr std::string_view kFormat = "athanor1";

/// Up to the next '/', which goes too.
std::string_view take_part(std::string_view& text) {
  const std::size_t end = std::min(text.find('/'), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

template <typename T>
bool parse(std::string_view text, T& number, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Key random_key() {
  Key key;
  if (getrandom(key.data(), key.size(), 0) == static_cast<ssize_t>(key.size())) return key;
  std::random_device device;
  for (std::uint8_t& byte : key) byte = static_cast<std::uint8_t>(device());
  return key;
}

bool is_same(const Key& a, const Key& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_text(const Invitation& invitation) {
  std::string text = fmt::format("{}/", kFormat);
  for (const std::uint8_t byte : invitation.key) text += fmt::format("{:02x}", byte);
  text += fmt::format("/{}/{}/", invitation.port, invitation.by_supervisor ? "supervisor" : "rank");
  return text + fmt::format("{}", fmt::join(invitation.addresses, "+"));
}

Invitation invitation_from(const std::string& text) {
  const auto refuse = [] {
    // What it says is a secret: not quoted.
    throw UsageError(
        "ATHANOR_HEARTBEAT is not what `athanor launch` sets; unset it to run without a supervisor, or start the job "
        "with `athanor launch`");
  };
  std::string_view rest = text;
  Invitation invitation;
  if (take_part(rest) != kFormat) refuse();
  const std::string_view key = take_part(rest);
  if (key.size() != 2 * invitation.key.size()) refuse();
  for (std::size_t i = 0; i < invitation.key.size(); ++i) {
    if (!parse(key.substr(2 * i, 2), invitation.key[i], 16)) refuse();
  }
  if (!parse(take_part(rest), invitation.port, 10) || invitation.port == 0) refuse();
  const std::string_view who = take_part(rest);
  if (who != "supervisor" && who != "rank") refuse();
  invitation.by_supervisor = who == "supervisor";
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('+'), rest.size());
    const std::string address(rest.substr(0, end));
    boost::system::error_code error;
    boost::asio::ip::make_address_v4(address, error);
    if (error) refuse();
    invitation.addresses.push_back(address);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (invitation.addresses.empty()) refuse();
  return invitation;
}

}  // namespace athanor::watch
