#pragma once
/// Which layers are better compressed together than each by itself.

#include <cstdint>
#include <vector>

#include "runner/communicator.hpp"
#include "workloads/common/compression/compressor.hpp"

namespace muster::workloads {

/// Of one layer. Squared errors and bytes are means over the ranks; bytes of the joined form are the layer's
/// part of it: by kept elements where some are left out, else by elements.
struct LayerChoice {
  double square_norm = 0;  ///< |x|^2
  double alone_bytes = 0;
  double alone_error = 0;  ///< |x - decompress(compress(x))|^2
  double joined_bytes = 0;
  double joined_error = 0;
  bool joined = false;
};

/// Collective, and the same on every rank. `gradients[i]` holds layers[i].elements floats. A layer joins the
/// others where that lessens error + price * bytes (Shoham and Gersho 1988, "Efficient bit allocation for an
/// arbitrary set of quantizers"); the price is the squared error that a byte takes away where every layer is
/// compressed by itself. It begins with all joined and ends when none leaves any more; one layer alone joins
/// nothing. Throws Error(diverged) naming a layer that is not finite.
std::vector<LayerChoice> choose_joined(Communicator& communicator, const CompressionOptions& options,
                                       std::uint64_t seed, const std::vector<Layer>& layers,
                                       const std::vector<const float*>& gradients);

}  // namespace muster::workloads
