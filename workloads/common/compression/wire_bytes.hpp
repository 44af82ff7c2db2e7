#pragma once
/// The closed forms of what collectives put on the wire, for one rank.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runner/communicator.hpp"

namespace muster::workloads {

struct WireBytes {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  WireBytes& operator+=(const WireBytes& more) {
    sent += more.sent;
    received += more.received;
    return *this;
  }
  bool operator==(const WireBytes&) const = default;
};

/// `bytes_of[r]` from rank r reach everyone around a ring: all but the next rank's leave, all but the own
/// arrive.
WireBytes all_gather_bytes(const std::vector<std::size_t>& bytes_of, int rank);

/// Of `count` elements of `width` bytes. `library` does not tell what it sends: 0.
WireBytes all_reduce_bytes(ExchangeAlgorithm algorithm, std::size_t count, std::size_t width, int rank,
                           int ranks);

}  // namespace muster::workloads
