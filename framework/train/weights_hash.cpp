#include "train/weights_hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"

namespace athanor {
namespace {

static_assert(std::endian::native == std::endian::little, "integers and values are hashed as they lie in memory");

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    ATHANOR_CHECK(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "no SHA-256");
  }
  void add(const void* bytes, std::size_t count) {
    ATHANOR_CHECK(EVP_DigestUpdate(context_.get(), bytes, count) == 1, "SHA-256 failed");
  }
  void add_text(std::string_view text) {
    add(text.data(), text.size());
    add("", 1);
  }
  template <typename Integer>
  void add_integer(Integer value) {
    add(&value, sizeof value);
  }
  std::string hex() {
    std::array<unsigned char, 32> digest{};
    ATHANOR_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1, "SHA-256 failed");
    std::string text;
    for (const unsigned char byte : digest) text += fmt::format("{:02x}", byte);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string weights_sha256(std::span<const NamedTensor> tensors) {
  std::vector<const NamedTensor*> ordered;
  for (const NamedTensor& tensor : tensors) ordered.push_back(&tensor);
  // std::string compares bytes as unsigned, whatever the locale.
  std::sort(ordered.begin(), ordered.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  Sha256 hash;
  std::vector<float> values;
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    const NamedTensor& tensor = *ordered[i];
    ATHANOR_CHECK(i == 0 || ordered[i - 1]->name != tensor.name, "two tensors are named {}", tensor.name);
    hash.add_text(tensor.name);
    hash.add_text(name_of(DType::f32));
    hash.add_integer(static_cast<std::uint32_t>(tensor.shape.rank()));
    for (const std::int64_t extent : tensor.shape.extents()) hash.add_integer(static_cast<std::uint64_t>(extent));
    values.resize(static_cast<std::size_t>(tensor.shape.elements()));
    tensor.read(values);
    hash.add(values.data(), values.size() * sizeof(float));
  }
  return hash.hex();
}

}  // namespace athanor
