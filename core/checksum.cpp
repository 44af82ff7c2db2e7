#include "core/checksum.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/error.hpp"

namespace muster {

namespace {

std::string hex_of(std::span<const unsigned char> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string hex_of(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  return hex_of(canonical.digest);
}

}  // namespace

std::string checksum64(std::string_view text) {
  XXH64_canonical_t canonical;
  XXH64_canonicalFromHash(&canonical, XXH3_64bits(text.data(), text.size()));
  return hex_of(canonical.digest);
}

std::string checksum128(std::span<const std::byte> bytes) {
  return hex_of(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string checksum128(std::string_view text) { return checksum128(std::as_bytes(std::span(text))); }

struct StreamingChecksum::State {
  XXH3_state_t xxh;
};

StreamingChecksum::StreamingChecksum() : state_(std::make_unique<State>()) {
  MUSTER_ASSERT(XXH3_128bits_reset(&state_->xxh) == XXH_OK);
}
StreamingChecksum::~StreamingChecksum() = default;
StreamingChecksum::StreamingChecksum(StreamingChecksum&&) noexcept = default;
StreamingChecksum& StreamingChecksum::operator=(StreamingChecksum&&) noexcept = default;

void StreamingChecksum::add(std::span<const std::byte> bytes) {
  MUSTER_ASSERT(XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size()) == XXH_OK);
}

void StreamingChecksum::add(std::string_view text) { add(std::as_bytes(std::span(text))); }

std::string StreamingChecksum::hex() const { return hex_of(XXH3_128bits_digest(&state_->xxh)); }

}  // namespace muster
