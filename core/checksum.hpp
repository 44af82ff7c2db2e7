#pragma once
/// XXH3 checksums: of journal lines, checkpoints, data sets and task ids. Not cryptographic.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace muster {

/// XXH3-64 as 16 hex digits.
std::string checksum64(std::string_view text);

/// XXH3-128 as 32 hex digits.
std::string checksum128(std::span<const std::byte> bytes);
std::string checksum128(std::string_view text);

/// XXH3-128 of bytes that come in pieces.
class StreamingChecksum {
 public:
  StreamingChecksum();
  ~StreamingChecksum();
  StreamingChecksum(StreamingChecksum&&) noexcept;
  StreamingChecksum& operator=(StreamingChecksum&&) noexcept;

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);
  std::string hex() const;  ///< of all so far; more may be added

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace muster
