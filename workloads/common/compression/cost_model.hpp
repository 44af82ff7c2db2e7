#pragma once
/// What a step's exchange will take, from a short calibration of the connection and the loops.

#include <cstdint>
#include <string>
#include <vector>

#include "runner/communicator.hpp"
#include "workloads/common/compression/compressor.hpp"

namespace muster::workloads {

/// Seconds of a collective by the bytes that a rank sends: lines between what was measured, the last one goes
/// on. Hockney's line (1994) is the case of two points; links whose queues overflow are not straight.
struct LinkCost {
  struct Point {
    double bytes = 0;
    double seconds = 0;
  };
  std::vector<Point> points;  ///< by rising bytes; none: everything is free
  double seconds(double bytes) const;
};

/// The connection as gathers and as sums find it.
struct LinkCosts {
  LinkCost gather;
  LinkCost reduce;  ///< of fp32, the rank's share of a sum's bytes counted as 2(N-1)/N of the buffer
};

/// Seconds an element.
struct LoopCost {
  double compress = 0;
  double decompress = 0;
};

/// Collective: gathers and sums of 1 KiB and of four times as much each time, until one takes a quarter of a
/// second or `largest_bytes` are reached (some seconds at 100 Mbit/s); medians, of which the slowest rank's
/// count. The same on every rank.
LinkCosts measure_link(Communicator& communicator, ExchangeAlgorithm algorithm, std::size_t largest_bytes);

/// Compresses a made-up gradient on this rank alone.
LoopCost measure_loops(const CompressionOptions& options, std::uint64_t seed);

/// What a step costs by one method.
struct Prediction {
  double bytes_sent = 0;  ///< by a rank, a mean over ranks
  double exchange_seconds = 0;
  double compress_seconds = 0;
  double decompress_seconds = 0;
  double seconds() const { return exchange_seconds + compress_seconds + decompress_seconds; }
};

/// Of a step whose layers travel in `buckets` messages. A method whose packed form depends on the values
/// (thresholdv) is taken to keep `ratio` of them.
Prediction predict(const CompressionOptions& options, const LinkCosts& link, const LoopCost& loops,
                   const std::vector<Layer>& layers, int buckets, int ranks);

/// The largest ratio at which topk, or randomk, costs no more than `seconds`: 0 where none of at least 1e-6
/// does, 1 where all do.
double break_even_ratio(CompressionOptions options, const LinkCosts& link, const LoopCost& loops,
                        const std::vector<Layer>& layers, int buckets, int ranks, double seconds);

}  // namespace muster::workloads
