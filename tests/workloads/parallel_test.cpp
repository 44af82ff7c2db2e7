// Networks in parts, on ranks that are threads, beside the same network whole on one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>

#include "core/error.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/parallel/slicing.hpp"
#include "workloads/common/parallel/split_layers.hpp"
#include "workloads/common/parallel/split_resnet.hpp"
#include "workloads/common/sgd.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;
using ByName = std::map<std::string, Tensor>;

constexpr SgdOptions kSgd{.momentum = 0.9, .weight_decay = 5e-4, .nesterov = true};

/// What a few steps of a network leave behind, whole.
struct Trained {
  Tensor first_output;    ///< in training mode, before any step
  ByName first_gradient;  ///< likewise
  ByName weights;         ///< parameters and statistics after the last step
  Tensor last_output;     ///< in evaluation mode
};

struct Case {
  NetworkOptions options;
  torch::Dtype type = torch::kFloat64;
  int steps = 1;
  std::int64_t images = 4;
};

Tensor images_of(const Case& c, int step) {
  torch::manual_seed(100 + static_cast<std::uint64_t>(step));
  return torch::randn({c.images, 3, 32, 32}, torch::kFloat64)
      .to(c.type)
      .contiguous(torch::MemoryFormat::ChannelsLast);
}

Tensor labels_of(const Case& c, int step) {
  return torch::arange(c.images, torch::kInt64).add(step).remainder(c.options.classes);
}

/// `whole` turns a tensor of this rank into the network's, by name.
Trained train(Network& network, const Case& c,
              const std::function<Tensor(const std::string&, const Tensor&)>& whole,
              const std::vector<Tensor>& images) {
  Trained result;
  Sgd optimiser(named_parameters(network), kSgd);
  network.train();
  for (int step = 0; step < c.steps; ++step) {
    optimiser.clear_gradients();
    const Tensor output = network.forward(images[static_cast<std::size_t>(step)]);
    torch::cross_entropy_loss(output, labels_of(c, step)).backward();
    if (step == 0) {
      result.first_output = output.detach().clone();
      for (const auto& [name, tensor] : named_parameters(network))
        result.first_gradient[name] = whole(name, tensor.grad()).clone();
    }
    optimiser.step(0.02);
  }
  for (const auto& [name, tensor] : named_tensors(network))
    result.weights[name] = whole(name, tensor).clone();
  network.eval();
  const torch::NoGradGuard no_grad;
  result.last_output = network.forward(images[0]);
  return result;
}

std::shared_ptr<Network> whole_network(const Case& c) {
  auto network = make_network(c.options, 3);
  network->to(c.type);
  return network;
}

std::vector<Tensor> all_images(const Case& c) {
  std::vector<Tensor> images;
  for (int step = 0; step < c.steps; ++step) images.push_back(images_of(c, step));
  return images;
}

Trained train_whole(const Case& c) {
  torch::set_num_threads(1);
  return train(
      *whole_network(c), c, [](const std::string&, const Tensor& tensor) { return tensor.detach(); },
      all_images(c));
}

/// Every rank's result: all see the same.
std::vector<Trained> train_split(const Case& c, int ranks) {
  std::vector<Trained> results(static_cast<std::size_t>(ranks));
  const auto images = all_images(c);
  on_ranks(ranks, [&](Communicator& communicator) {
    const RankGroup group(communicator);
    const auto source = whole_network(c);
    const WholeShapes shapes = shapes_of(named_tensors(*source));
    const auto network = make_split_resnet(c.options, group);
    network->to(c.type);
    const NamedTensors from = named_tensors(*source);
    const NamedTensors to = named_tensors(*network);
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (from[i].first != to[i].first) throw std::logic_error("names differ: " + to[i].first);
      copy_part(from[i].second, to[i].second, group);
    }
    results[static_cast<std::size_t>(communicator.rank())] = train(
        *network, c,
        [&](const std::string& name, const Tensor& tensor) {
          return gather_whole(tensor, shapes.at(name), group);
        },
        images);
  });
  return results;
}

/// Largest difference, beside the largest element.
double distance(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(torch::kFloat64);
  const Tensor y = b.to(torch::kFloat64);
  return ((x - y).abs().max() / y.abs().max().clamp_min(1e-300)).item<double>();
}

double distance(const ByName& a, const ByName& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (const auto& [name, tensor] : b) largest = std::max(largest, distance(a.at(name), tensor));
  return largest;
}

NetworkOptions slim(const char* name, double width = 0.25) {
  return {.name = name, .classes = 10, .width = width};
}

class SplitResNetTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, SplitResNetTest, ::testing::Values(1, 2, 3, 4));

/// 16, 32, 64 and 128 channels: 3 ranks have uneven parts.
TEST_P(SplitResNetTest, EqualsTheWholeNetworkToRounding) {
  const Case c{slim("resnet18")};
  const Trained whole = train_whole(c);
  for (const Trained& part : train_split(c, GetParam())) {
    EXPECT_LE(distance(part.first_output, whole.first_output), 1e-12);
    EXPECT_LE(distance(part.first_gradient, whole.first_gradient), 1e-12);
    EXPECT_LE(distance(part.weights, whole.weights), 1e-12) << "with the running statistics";
    EXPECT_LE(distance(part.last_output, whole.last_output), 1e-12);
  }
}

TEST_P(SplitResNetTest, StaysEqualOverTwentySteps) {
  const Case c{slim("resnet18", 0.125), torch::kFloat64, 20};
  const Trained whole = train_whole(c);
  const auto parts = train_split(c, GetParam());
  EXPECT_LE(distance(parts[0].weights, whole.weights), 1e-9);
  for (const Trained& part : parts) {
    for (const auto& [name, tensor] : parts[0].weights)
      EXPECT_TRUE(part.weights.at(name).equal(tensor)) << name << " differs between ranks";
  }
}

TEST_P(SplitResNetTest, HasTorchvisionsStemToo) {
  NetworkOptions options = slim("imagenet_resnet34", 0.125);
  options.image_side = 64;
  const Case c{options, torch::kFloat64, 1, 3};
  const Trained whole = train_whole(c);
  const auto parts = train_split(c, GetParam());
  EXPECT_LE(distance(parts[0].first_output, whole.first_output), 1e-12);
  EXPECT_LE(distance(parts[0].first_gradient, whole.first_gradient), 1e-12);
}

/// A ReLU that flips moves a gradient by more than rounding, so fp32 is judged by fp64.
TEST_P(SplitResNetTest, IsAsNearToFp64AsTheWholeNetworkInFp32) {
  Case c{slim("resnet18", 0.5), torch::kFloat32, 1, 8};
  const Trained whole = train_whole(c);
  const auto parts = train_split(c, GetParam());
  c.type = torch::kFloat64;
  const Trained exact = train_whole(c);
  EXPECT_LE(distance(parts[0].first_output, whole.first_output), 1e-5);
  const auto error = [&](const Trained& one) {
    double squares = 0;
    for (const auto& [name, tensor] : exact.first_gradient) {
      const Tensor difference = one.first_gradient.at(name).to(torch::kFloat64) - tensor;
      squares += (difference.norm() / tensor.norm()).square().item<double>();
    }
    return std::sqrt(squares / static_cast<double>(exact.first_gradient.size()));
  };
  EXPECT_LE(error(parts[0]), 1.5 * error(whole));
}

TEST(SplitResNet, HoldsItsShareOfTheParameters) {
  on_ranks(2, [](Communicator& communicator) {
    const RankGroup group(communicator);
    const auto whole = make_network({.name = "imagenet_resnet34", .classes = 100}, 0);
    const auto part = make_split_resnet({.name = "imagenet_resnet34", .classes = 100}, group);
    std::int64_t all = 0, own = 0;
    for (const auto& tensor : whole->parameters()) all += tensor.numel();
    for (const auto& tensor : part->parameters()) own += tensor.numel();
    EXPECT_EQ(all, 21'335'972);
    EXPECT_EQ(own, 21'335'972 - 21'093'760 / 2) << "98.9 % are split";
  });
}

TEST(SplitResNet, RefusesMoreRanksThanChannelsAndBottlenecks) {
  on_ranks(4, [](Communicator& communicator) {
    const RankGroup group(communicator);
    EXPECT_THROW(group.part_of(3), Error);
    EXPECT_THROW(make_split_resnet({.name = "resnet50"}, group), Error);
  });
}

TEST(SplitLinear, OneAfterTheOtherEqualsTheWhole) {
  torch::manual_seed(1);
  const auto options = torch::TensorOptions(torch::kFloat64);
  const Tensor w1 = torch::randn({10, 6}, options), b1 = torch::randn({10}, options),
               w2 = torch::randn({5, 10}, options), b2 = torch::randn({5}, options);
  const Tensor input = torch::randn({7, 6}, options);
  Tensor x = input.clone().requires_grad_(true);
  Tensor v1 = w1.clone().requires_grad_(true), v2 = w2.clone().requires_grad_(true);
  const Tensor whole = torch::linear(torch::relu(torch::linear(x, v1, b1)), v2, b2);
  whole.square().sum().backward();
  for (const int ranks : {1, 2, 3, 4}) {
    on_ranks(ranks, [&](Communicator& communicator) {
      const RankGroup group(communicator);
      ColumnSplitLinear first(6, 10, group);
      RowSplitLinear second(10, 5, group);
      first->to(torch::kFloat64);
      second->to(torch::kFloat64);
      for (const auto& [from, to] :
           {std::pair{w1, first->weight}, {b1, first->bias}, {w2, second->weight}, {b2, second->bias}})
        copy_part(from, to, group);
      Tensor own = input.clone().requires_grad_(true);
      const Tensor output = second(torch::relu(first(own)));
      output.square().sum().backward();
      EXPECT_LE(distance(output, whole), 1e-13);
      EXPECT_LE(distance(own.grad(), x.grad()), 1e-13);
      EXPECT_LE(distance(gather_whole(first->weight.grad(), {10, 6}, group), v1.grad()), 1e-13);
      EXPECT_LE(distance(gather_whole(second->weight.grad(), {5, 10}, group), v2.grad()), 1e-13);
    });
  }
}

TEST(Slicing, GatheredPartsAreTheWhole) {
  for (const int ranks : {1, 2, 3, 4}) {
    on_ranks(ranks, [&](Communicator& communicator) {
      const RankGroup group(communicator);
      const Tensor whole = torch::arange(7 * 5 * 9, torch::kFloat32).view({7, 5, 9});
      for (const std::int64_t dimension : {0, 1, 2}) {
        auto shape = whole.sizes().vec();
        shape[static_cast<std::size_t>(dimension)] = group.part_of(whole.size(dimension)).length;
        const Tensor part = torch::empty(shape);
        copy_part(whole, part, group);
        EXPECT_TRUE(gather_whole(part, whole.sizes().vec(), group).equal(whole));
      }
    });
  }
}

}  // namespace
}  // namespace muster::workloads
