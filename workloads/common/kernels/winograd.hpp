#pragma once
/// 3x3 convolutions with 2.25 times fewer multiplications: Winograd's F(2x2, 3x3) and, for weights'
/// gradients, F(3x3, 2x2) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016).
///
/// An output of 2x2 pixels, a tile, comes from 4x4 input pixels: both are transformed channel by channel, and
/// what is left is a matrix product at each of 16 positions. No torch here: see kernels.hpp. Sums are made in
/// fp32, in an order that depends on neither threads nor the split into blocks of tiles.

#include <cstdint>

#include "workloads/common/kernels/kernels.hpp"

namespace muster::workloads {

inline constexpr std::int64_t kWinogradPositions = 16;
inline constexpr std::int64_t kWinogradLanes = 32;      ///< output channels that are made together
inline constexpr std::int64_t kWinogradTiles = 64;      ///< tiles of a block, forward
inline constexpr std::int64_t kWinogradSumTiles = 256;  ///< tiles of a block, for weights' gradients

/// Images, channels-last; height and width even, channels a multiple of kWinogradLanes.
struct WinogradImages {
  std::int64_t images, height, width, channels;
  std::int64_t tiles() const { return images * (height / 2) * (width / 2); }
};

/// Elements from one position's part of a buffer to the next: a power of two would put all 16 on the same
/// cache lines' sets.
constexpr std::int64_t winograd_stride(std::int64_t elements) { return elements + 32; }
/// Sizes of the buffers below, in elements: a transformed weight or `sums`, and a block of transformed tiles.
constexpr std::int64_t winograd_weight_size(std::int64_t out, std::int64_t in) {
  return kWinogradPositions * winograd_stride(out * in);
}
constexpr std::int64_t winograd_block_size(std::int64_t channels) {
  return kWinogradPositions * winograd_stride(kWinogradSumTiles * channels);
}

/// Channels [begin, end), multiples of kWinogradLanes.
struct ChannelRange {
  std::int64_t begin, end;
};

/// A convolution 3x3, stride 1, padding 1. `Element` (float or Bf16) is the type of images and of transformed
/// weights; weights and their gradients are float [out, in, 3, 3].
template <class Element>
struct WinogradKernels {
  /// To `transformed`, of winograd_weight_size(out, in). `backward`: of the convolution that maps the
  /// output's gradient to the input's. `range`: of the channels that the convolution makes.
  void (*transform_weights)(const float* weights, std::int64_t out, std::int64_t in, bool backward,
                            ChannelRange range, Element* transformed);

  /// Output channels [0, out) of the tiles [first, last), at most kWinogradTiles. `scratch`:
  /// forward_scratch(in) bytes, aligned to 64.
  void (*forward)(const Element* x, WinogradImages input, const Element* transformed, std::int64_t out,
                  std::int64_t first, std::int64_t last, void* scratch, Element* y);

  /// Transforms a range of channels of the tiles [first, last) of input and output gradient, at most
  /// kWinogradSumTiles, to `x_tiles` and `dy_tiles`, of winograd_block_size(channels) each; what is missing
  /// to a whole block becomes zero.
  void (*transform_input)(const Element* x, WinogradImages input, ChannelRange range, std::int64_t first,
                          std::int64_t last, Element* x_tiles);
  void (*transform_gradient)(const Element* dy, WinogradImages output, ChannelRange range, std::int64_t first,
                             std::int64_t last, Element* dy_tiles);
  /// Adds the block's products at one position to `sums`, of winograd_weight_size(out, in),
  /// which begins as zeros.
  void (*add_products)(const Element* x_tiles, const Element* dy_tiles, std::int64_t in, std::int64_t out,
                       std::int64_t position, float* sums);
  /// From `sums` to the gradient [out, in, 3, 3], of a range of output channels.
  void (*finish_gradient)(const float* sums, std::int64_t in, std::int64_t out, ChannelRange range,
                          float* gradient);
};

/// Bytes that WinogradKernels::forward needs beside its arguments.
template <class Element>
constexpr std::int64_t forward_scratch(std::int64_t in) {
  return kWinogradPositions *
         (winograd_stride(kWinogradTiles * (in + 32)) * static_cast<std::int64_t>(sizeof(Element)) +
          winograd_stride(kWinogradTiles * kWinogradLanes) * 4);
}

/// Null where this CPU has no such kernels, or better ones elsewhere (oneDNN's, with AMX for bfloat16).
const WinogradKernels<float>* winograd_f32();
const WinogradKernels<Bf16>* winograd_bf16();

}  // namespace muster::workloads
