#include "data/fingerprint.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace athanor {

struct Fingerprint::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Fingerprint::Fingerprint() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(state_->xxh);
}
Fingerprint::~Fingerprint() = default;

Fingerprint& Fingerprint::add(std::string_view text) {
  add(std::uint64_t{text.size()});
  XXH3_128bits_update(state_->xxh, text.data(), text.size());
  return *this;
}

Fingerprint& Fingerprint::add(std::uint64_t number) {
  XXH3_128bits_update(state_->xxh, &number, sizeof number);
  return *this;
}

Fingerprint& Fingerprint::add(std::span<const std::uint8_t> bytes) {
  add(std::uint64_t{bytes.size()});
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
  return *this;
}

std::string Fingerprint::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace athanor
