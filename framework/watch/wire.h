// Plain fields to bytes and back: little-endian, lengths before what has one, every read checked against what is left.
// A message lists its fields once, in a function `template <class Wire> void fields(Message&, Wire&)`.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace athanor::watch {

static_assert(std::endian::native == std::endian::little);

class WireWriter {
 public:
  explicit WireWriter(std::vector<std::uint8_t>& out) : out_(out) {}

  template <typename T>
  requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void value(const T& value) { bytes(&value, sizeof value); }
  template <typename E>
  void choice(E choice, E) {
    value(choice);
  }
  void flag(bool set) { value(static_cast<std::uint8_t>(set ? 1 : 0)); }
  void measure(double number) { value(number); }
  template <typename T, std::size_t N>
  void block(const std::array<T, N>& values) {
    bytes(values.data(), sizeof values);
  }
  /// Longer ones are cut.
  void text(const std::string& text, std::size_t most) {
    const auto length = static_cast<std::uint32_t>(text.size() < most ? text.size() : most);
    value(length);
    bytes(text.data(), length);
  }
  template <typename T, typename Each>
  void list(const std::vector<T>& items, std::size_t most, Each each) {
    const auto count = static_cast<std::uint32_t>(items.size() < most ? items.size() : most);
    value(count);
    for (std::uint32_t i = 0; i < count; ++i) each(const_cast<T&>(items[i]), *this);
  }

 private:
  void bytes(const void* data, std::size_t size) {
    const auto* begin = static_cast<const std::uint8_t*>(data);
    out_.insert(out_.end(), begin, begin + size);
  }
  std::vector<std::uint8_t>& out_;
};

/// After anything that does not fit, nothing more is read, and is_whole() is false.
class WireReader {
 public:
  explicit WireReader(std::span<const std::uint8_t> in) : in_(in) {}

  template <typename T>
  requires(std::is_arithmetic_v<T>) void value(T& value) { bytes(&value, sizeof value); }
  /// An enumerator up to `last`.
  template <typename E>
  void choice(E& choice, E last) {
    std::underlying_type_t<E> number{};
    bytes(&number, sizeof number);
    if (number > static_cast<std::underlying_type_t<E>>(last)) fits_ = false;
    if (fits_) choice = static_cast<E>(number);
  }
  void flag(bool& set) {
    std::uint8_t number = 0;
    value(number);
    if (number > 1) fits_ = false;
    set = number == 1;
  }
  /// A number that is compared with others: must be one.
  void measure(double& value) {
    bytes(&value, sizeof value);
    if (!std::isfinite(value)) fits_ = false;
  }
  template <typename T, std::size_t N>
  void block(std::array<T, N>& values) {
    bytes(values.data(), sizeof values);
  }
  void text(std::string& text, std::size_t most) {
    std::uint32_t length = 0;
    value(length);
    if (!fits_ || length > most || length > in_.size()) {
      fits_ = false;
      return;
    }
    text.assign(reinterpret_cast<const char*>(in_.data()), length);
    in_ = in_.subspan(length);
  }
  template <typename T, typename Each>
  void list(std::vector<T>& items, std::size_t most, Each each) {
    std::uint32_t count = 0;
    value(count);
    if (!fits_ || count > most) {
      fits_ = false;
      return;
    }
    items.clear();
    for (std::uint32_t i = 0; i < count && fits_; ++i) each(items.emplace_back(), *this);
  }

  /// Whether everything fitted and nothing is left over.
  bool is_whole() const { return fits_ && in_.empty(); }

 private:
  void bytes(void* data, std::size_t size) {
    if (!fits_ || in_.size() < size) {
      fits_ = false;
      return;
    }
    std::memcpy(data, in_.data(), size);
    in_ = in_.subspan(size);
  }
  std::span<const std::uint8_t> in_;
  bool fits_ = true;
};

}  // namespace athanor::watch
