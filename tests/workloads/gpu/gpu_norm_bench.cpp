/// Batch normalisation's kernels beside LibTorch's operators: forward and backward at the shapes of
/// ResNet-9's and airbench94's layers, in bfloat16. Prints a line of JSON for each. `--small` is for a run
/// without a GPU's speed.

#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "tests/workloads/gpu/gpu_of_test.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/layers/fused_norm.hpp"
#include "workloads/common/layers/gpu_layers.hpp"
#include "workloads/common/time_mark.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

struct Shape {
  const char* layer;
  std::int64_t channels, side;
  AfterNorm after;
  bool with_skip = false;
};

struct Repeats {
  std::int64_t images;
  int rounds, passes;
};

/// s of one pass, the median of some rounds.
double median_seconds(torch::Device gpu, const Repeats& repeats, const std::function<void()>& pass) {
  pass();
  std::vector<double> seconds;
  for (int round = 0; round < repeats.rounds; ++round) {
    const TimeMark begin(gpu);
    for (int i = 0; i < repeats.passes; ++i) pass();
    seconds.push_back(TimeMark(gpu).seconds_since(begin) / repeats.passes);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

void measure(const Shape& shape, torch::Device gpu, const Repeats& repeats) {
  const auto bf16 = torch::TensorOptions(torch::kBFloat16).device(gpu);
  const auto make = [&](std::int64_t side) {
    return torch::randn({repeats.images, shape.channels, side, side}, bf16)
        .contiguous(torch::MemoryFormat::ChannelsLast);
  };
  const bool pool = shape.after == AfterNorm::relu_pool;
  const Tensor x = make(shape.side).requires_grad_(), dy = make(pool ? shape.side / 2 : shape.side);
  const Tensor skip = shape.with_skip ? make(shape.side).requires_grad_() : Tensor();
  const auto real = torch::TensorOptions(torch::kFloat32).device(gpu);
  const Tensor weight = torch::ones({shape.channels}, real).requires_grad_();
  const Tensor bias = torch::zeros({shape.channels}, real).requires_grad_();
  const Tensor mean = torch::zeros({shape.channels}, real), var = torch::ones({shape.channels}, real);
  std::vector<Tensor> inputs{x, weight, bias};
  if (skip.defined()) inputs.push_back(skip);
  const auto both_ways = [&](const std::function<Tensor()>& forward) {
    return median_seconds(gpu, repeats, [&] { torch::autograd::grad({forward()}, inputs, {dy}); });
  };

  const double ours = both_ways([&] { return fused_norm(x, weight, bias, mean, var, shape.after, skip); });
  const double operators = both_ways([&] {
    Tensor y = torch::batch_norm(x, weight, bias, mean, var, true, kNormMomentum, kNormEpsilon, true);
    if (skip.defined()) y = y + skip;
    if (shape.after == AfterNorm::gelu) return torch::gelu(y);
    y = torch::relu(y);
    return pool ? torch::max_pool2d(y, 2) : y;
  });
  const Tensor copied = torch::empty_like(x);
  const torch::NoGradGuard no_grad;
  const double copy = median_seconds(gpu, repeats, [&] { copied.copy_(x); });

  // In units of x: read twice and written once each way, dy read twice; y and a skip's own.
  const double of_y = pool ? 0.25 : 1;
  const double moved = 2 + of_y + 2 + 2 * of_y + 1 + (shape.with_skip ? 1 + 2 + 1 : 0);
  std::printf(
      "{\"layer\": \"%s\", \"channels\": %lld, \"side\": %lld, \"ms\": %.4f, \"operators_ms\": %.4f, "
      "\"times_the_operators\": %.2f, \"of_copy_bandwidth\": %.3f}\n",
      shape.layer, static_cast<long long>(shape.channels), static_cast<long long>(shape.side), 1e3 * ours,
      1e3 * operators, operators / ours, (moved / ours) / (2 / copy));
  std::fflush(stdout);
}

}  // namespace
}  // namespace muster::workloads

int main(int count, char** arguments) {
  using namespace muster::workloads;
  if (const std::string missing = testing::missing_gpus(1); !missing.empty()) {
    std::fprintf(stderr, "%s\n", missing.c_str());
    return 5;
  }
  try {
    const torch::Device gpu = compute_device({.kind = muster::Device::Kind::cuda, .index = 0});
    if (const std::string problem = problem_of_gpu_layers(); !problem.empty()) {
      std::fprintf(stderr, "%s\n", problem.c_str());
      return 1;
    }
    const bool small = count > 1 && std::strcmp(arguments[1], "--small") == 0;
    const Repeats repeats = small ? Repeats{2, 1, 1} : Repeats{512, 7, 20};
    for (const Shape& shape : {Shape{"ReLU", 64, 32, AfterNorm::relu},
                               {"ReLU, pool", 128, 32, AfterNorm::relu_pool},
                               {"ReLU", 128, 16, AfterNorm::relu},
                               {"skip, ReLU", 128, 16, AfterNorm::relu, true},
                               {"ReLU, pool", 256, 16, AfterNorm::relu_pool},
                               {"ReLU, pool", 512, 8, AfterNorm::relu_pool},
                               {"ReLU", 512, 4, AfterNorm::relu},
                               {"GELU", 64, 15, AfterNorm::gelu},
                               {"GELU", 256, 7, AfterNorm::gelu}})
      measure(shape, gpu, repeats);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
