#pragma once
/// Labelled images in memory, and what a data set consists of.

#include <torch/torch.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace muster::workloads {

inline constexpr std::int64_t kImageSide = 32;  ///< pixels; images are square, as CIFAR's
inline constexpr std::int64_t kImageChannels = 3;
inline constexpr std::int64_t kImageBytes = kImageSide * kImageSide * kImageChannels;

/// Images and their labels. Tensors share their memory when copied.
struct ImageSet {
  torch::Tensor images;  ///< uint8 [n, 32, 32, 3]: height, width, RGB, contiguous
  torch::Tensor labels;  ///< int64 [n], in host memory

  /// The same with its images in the memory of `device`.
  ImageSet on(torch::Device device) const { return {images.to(device), labels}; }
  std::int64_t size() const { return images.defined() ? images.size(0) : 0; }
};

struct Dataset {
  std::string name;    ///< "cifar10", "cifar100", "synthetic"
  std::string source;  ///< where it came from, for the log
  std::int64_t classes = 0;
  std::vector<std::string> class_names;  ///< one a class
  ImageSet train;
  ImageSet test;
};

/// Mean and standard deviation of each channel, as shares of 255.
struct ChannelStatistics {
  std::array<double, 3> mean{};
  std::array<double, 3> deviation{};

  bool operator==(const ChannelStatistics&) const = default;
};

/// Of ImageNet's training images, as torchvision's and most published networks use them.
inline constexpr ChannelStatistics kImageNetStatistics{{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};

/// Over all pixels; integer sums, so the same bits everywhere.
ChannelStatistics channel_statistics(const ImageSet& set);

}  // namespace muster::workloads
