#pragma once
/// What the fuzzers of readers ask of one: values within the input's bytes, or one Error(data).

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "core/error.hpp"
#include "core/weights/weights_file.hpp"

namespace muster::fuzz {

/// Aborts where `read` throws anything but Error(data).
template <class Read>
void expect_data_error(const Read& read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.code() != ExitCode::data) std::abort();
  }
}

/// Every byte of every tensor must be there.
inline void touch(const WeightsContent& content) {
  volatile unsigned sum = 0;
  for (const TensorView& tensor : content.torch.tensors) {
    std::uint64_t size = size_of(tensor.dtype);
    for (const std::int64_t extent : tensor.shape) size *= static_cast<std::uint64_t>(extent);
    if (size != tensor.bytes.size()) std::abort();
    for (const std::byte byte : tensor.bytes) sum = sum + static_cast<unsigned>(byte);
  }
}

inline std::span<const std::byte> bytes_of(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

}  // namespace muster::fuzz
