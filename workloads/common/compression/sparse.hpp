#pragma once
/// The packed form of elements that are named: their indices (uint32), then their values (float).

#include <cstddef>
#include <cstdint>
#include <span>

#include "workloads/common/compression/packed_buffer.hpp"

namespace muster::workloads {

inline std::size_t sparse_bytes(std::int64_t elements) { return static_cast<std::size_t>(elements) * 8; }
/// `bits` are those of floats.
void append_sparse(std::span<const std::uint32_t> index, std::span<const std::uint32_t> bits,
                   PackedBuffer& out);
/// out += factor * values
void add_sparse(std::span<const std::byte> packed, float factor, float* out);

}  // namespace muster::workloads
