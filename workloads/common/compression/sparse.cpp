#include "workloads/common/compression/sparse.hpp"

#include <cstring>

namespace muster::workloads {

void append_sparse(std::span<const std::uint32_t> index, std::span<const std::uint32_t> bits,
                   PackedBuffer& out) {
  std::byte* to = out.extend(index.size_bytes() + bits.size_bytes());
  if (index.empty()) return;
  std::memcpy(to, index.data(), index.size_bytes());
  std::memcpy(to + index.size_bytes(), bits.data(), bits.size_bytes());
}

void add_sparse(std::span<const std::byte> packed, float factor, float* out) {
  const std::size_t count = packed.size() / 8;
  const std::byte* indices = packed.data();
  const std::byte* values = packed.data() + count * 4;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t index = 0;
    float value = 0;
    std::memcpy(&index, indices + i * 4, 4);
    std::memcpy(&value, values + i * 4, 4);
    out[index] += factor * value;
  }
}

}  // namespace muster::workloads
