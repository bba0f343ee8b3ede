// The fingerprint of a data set: one XXH3-128 over what identifies it. A checkpoint keeps it, so that a resume on other
// data is noticed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace athanor {

class Fingerprint {
 public:
  Fingerprint();
  ~Fingerprint();

  /// Adds a text, with its length, so that ("ab", "c") and ("a", "bc") differ.
  Fingerprint& add(std::string_view text);
  Fingerprint& add(std::uint64_t number);
  Fingerprint& add(std::span<const std::uint8_t> bytes);
  /// 32 hexadecimal digits.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor
