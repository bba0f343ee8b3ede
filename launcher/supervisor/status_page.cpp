#include "launcher/supervisor/status_page.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <string_view>

#include "base/error.h"
#include "status_page_html.h"

namespace athanor {
namespace {

/// What stands between the page's only <tag> and </tag>.
std::string_view inside(std::string_view page, std::string_view tag) {
  const std::string open = fmt::format("<{}>", tag), close = fmt::format("</{}>", tag);
  const std::size_t begin = page.find(open), end = page.find(close);
  ATHANOR_CHECK(begin < end && end != std::string_view::npos, "the page has no <{}>", tag);
  return page.substr(begin + open.size(), end - begin - open.size());
}

/// 'sha256-…', as the policy names a script or a style.
std::string source_of(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::array<unsigned char, 4 * ((SHA256_DIGEST_LENGTH + 2) / 3) + 1> base64{};
  const int length = ::EVP_EncodeBlock(base64.data(), digest.data(), SHA256_DIGEST_LENGTH);
  return fmt::format("'sha256-{}'",
                     std::string_view(reinterpret_cast<const char*>(base64.data()), static_cast<std::size_t>(length)));
}

std::string make_policy() {
  return fmt::format(
      "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; base-uri 'none'; form-action 'none'; "
      "frame-ancestors 'none'",
      source_of(inside(status_page(), "script")), source_of(inside(status_page(), "style")));
}

}  // namespace

const std::string& status_page() {
  static const std::string page = kStatusPageHtml;
  return page;
}

const std::string& status_page_policy() {
  static const std::string policy = make_policy();
  return policy;
}

}  // namespace athanor
