// The networks: their sizes, their weights, and their numbers beside PyTorch's in Python.
#include "workloads/common/models/network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/workloads/data_files.hpp"
#include "workloads/common/data/synthetic.hpp"
#include "workloads/common/data/whitening.hpp"
#include "workloads/common/layers/dropout.hpp"
#include "workloads/common/precision.hpp"
#include "workloads/common/sgd.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

std::int64_t parameters_of(Network& network) {
  std::int64_t count = 0;
  for (const auto& parameter : network.parameters()) count += parameter.numel();
  return count;
}

/// Enough for five halvings.
std::int64_t side_for(const std::string& name) { return name.starts_with("imagenet") ? 64 : 0; }

TEST(Networks, HaveThePublishedNumbersOfParameters) {
  const auto count = [](const char* name, std::int64_t classes) {
    return parameters_of(*make_network({.name = name, .classes = classes}, 0));
  };
  EXPECT_EQ(count("resnet9", 10), 6'573'120);
  EXPECT_EQ(make_network({.name = "resnet9"}, 0)->parameters().size(), 25U);
  EXPECT_EQ(count("resnet18", 10), 11'173'962);
  EXPECT_EQ(count("resnet34", 100), 21'328'292);
  EXPECT_EQ(count("resnet50", 10), 23'520'842);
  EXPECT_EQ(count("cnn", 10), 1'250'858);
  EXPECT_EQ(count("airbench94", 10), 1'971'352);
  EXPECT_EQ(count("imagenet_resnet18", 1000), 11'689'512);
  EXPECT_EQ(count("imagenet_resnet34", 1000), 21'797'672);
}

TEST(Networks, BeginWithTheWeightsOfTheirSeed) {
  const auto a = make_network({.name = "resnet18", .width = 0.25}, 7),
             b = make_network({.name = "resnet18", .width = 0.25}, 7);
  const auto c = make_network({.name = "resnet18", .width = 0.25}, 8);
  EXPECT_TRUE(torch::equal(a->parameters()[0], b->parameters()[0]));
  EXPECT_FALSE(torch::equal(a->parameters()[0], c->parameters()[0]));
  // PyTorch's default: uniform within 1/sqrt(fan-in).
  const auto weight = make_network({.name = "resnet9"}, 1)->named_parameters()["layer1.conv.weight"];
  const double bound = 1 / std::sqrt(64.0 * 9);
  EXPECT_LE(weight.abs().max().item<double>(), bound);
  EXPECT_NEAR(weight.std().item<double>(), bound / std::sqrt(3.0), 0.01 * bound);
}

TEST(Networks, ComputeInTheTypeOfTheirImages) {
  const torch::NoGradGuard no_grad;
  for (const auto& name : network_names()) {
    const auto network = make_network({.name = name, .width = 0.25, .image_side = side_for(name)}, 2);
    const auto images = torch::randn({8, 3, 32, 32}).contiguous(torch::MemoryFormat::ChannelsLast);
    network->begin_batch(std::vector<std::int64_t>{3, 1, 4, 15, 92, 6, 5, 35}, 0);
    const auto exact = network->forward(images);
    const auto half = network->forward(images.to(torch::kBFloat16));
    EXPECT_EQ(half.scalar_type(), torch::kFloat32);
    EXPECT_LT(((half - exact).norm() / exact.norm()).item<double>(), 0.15) << name;
    network->to(torch::kFloat64);
    EXPECT_LT(((network->forward(images.to(torch::kFloat64)) - exact).norm() / exact.norm()).item<double>(),
              1e-5)
        << name;
  }
}

TEST(Cnn, BeginsAsInKeras) {
  const auto p = make_network({.name = "cnn"}, 3)->named_parameters();
  for (const auto& [name, bound] : {std::pair{"conv3.weight", std::sqrt(6.0 / (32 * 9 + 64 * 9))},
                                    {"dense1.weight", std::sqrt(6.0 / (2304 + 512))}}) {
    EXPECT_LE(p[name].abs().max().item<double>(), bound * (1 + 1e-6)) << name;
    EXPECT_NEAR(p[name].std().item<double>(), bound / std::sqrt(3.0), 0.02 * bound) << name;
  }
  EXPECT_EQ(p["dense1.bias"].abs().max().item<double>(), 0);
}

/// Keras' example, written down a second time, without and with dropout.
TEST(Cnn, IsItsLayersInOrder) {
  const auto network = make_network({.name = "cnn", .width = 0.25}, 2);
  network->to(torch::kFloat64);
  const torch::NoGradGuard no_grad;
  const auto p = network->named_parameters();
  for (const char* name : {"conv1_bias", "conv2_bias", "conv3_bias", "conv4_bias"}) {
    Tensor bias = p[name];
    bias.normal_(0, 0.1);
  }
  const auto images = torch::randn({4, 3, 32, 32}, torch::kFloat64);
  const auto layer = [&](const Tensor& x, const std::string& name, int padding) {
    return torch::relu(torch::conv2d(x, p[name + ".weight"], p[name + "_bias"], 1, padding));
  };
  Tensor x = torch::max_pool2d(layer(layer(images, "conv1", 1), "conv2", 0), 2);
  x = torch::max_pool2d(layer(layer(x, "conv3", 1), "conv4", 0), 2);
  x = torch::relu(torch::linear(x.flatten(1), p["dense1.weight"], p["dense1.bias"]));
  const auto after = [&](const Tensor& hidden) {
    return torch::linear(hidden, p["dense2.weight"], p["dense2.bias"]);
  };
  const std::vector<std::int64_t> samples{7, 0, 12, 3};
  network->begin_batch(samples, 5);
  const auto masked = x * dropout_mask(samples, 5, x.size(1), 0.5, 2, torch::kFloat64);
  EXPECT_LT((network->forward(images) - after(masked)).abs().max().item<double>(), 1e-12);
  network->eval();
  EXPECT_LT((network->forward(images) - after(x)).abs().max().item<double>(), 1e-12);
}

TEST(Airbench94, BeginsByPassingOnChannels) {
  const auto p = make_network({.name = "airbench94"}, 3)->named_parameters();
  const Tensor images = torch::randn({2, 24, 5, 5});
  const Tensor out = torch::conv2d(images, p["group1.conv1.weight"], {}, 1, 1);
  EXPECT_TRUE(torch::allclose(out.slice(1, 0, 24), images, 0, 1e-6));
  const double bound = 1 / std::sqrt(24.0 * 9);
  const Tensor rest = p["group1.conv1.weight"].slice(0, 24, 64);
  EXPECT_LE(rest.abs().max().item<double>(), bound);
  EXPECT_NEAR(rest.std().item<double>(), bound / std::sqrt(3.0), 0.05 * bound);
}

/// The published network, written down a second time.
TEST(Airbench94, IsItsLayersInOrder) {
  const auto network = make_network({.name = "airbench94", .width = 0.25}, 2);
  network->to(torch::kFloat64);
  torch::manual_seed(4);
  const Dataset set = make_synthetic({.classes = 10, .train_images = 60, .test_images = 10, .seed = 1});
  network->fit_to(set.train, channel_statistics(set.train));
  const torch::NoGradGuard no_grad;
  const auto p = network->named_parameters();
  const auto buffers = network->named_buffers();
  EXPECT_TRUE(torch::allclose(
      buffers["whiten_weight"],
      whitening_filters(patch_moments(set.train, 5000, channel_statistics(set.train)), 5e-4), 0, 1e-12));
  for (const auto& item : p) {
    if (item.key().ends_with("bias")) Tensor(item.value()).normal_(0, 0.3);
  }
  const auto images = torch::randn({4, 3, 32, 32}, torch::kFloat64);
  const auto expect_answers = [&](bool training) {
    const auto norm = [&](const Tensor& x, const std::string& name) {
      return torch::gelu(torch::batch_norm(x, {}, p[name + ".bias"], buffers[name + ".running_mean"].clone(),
                                           buffers[name + ".running_var"].clone(), training, 0.4, 1e-12,
                                           false));
    };
    Tensor x = torch::gelu(torch::conv2d(images, buffers["whiten_weight"], p["whiten_bias"]));
    EXPECT_EQ(x.size(2), 31);
    for (const std::string group : {"group1", "group2", "group3"}) {
      x = torch::max_pool2d(torch::conv2d(x, p[group + ".conv1.weight"], {}, 1, 1), 2);
      x = norm(x, group + ".norm1");
      x = norm(torch::conv2d(x, p[group + ".conv2.weight"], {}, 1, 1), group + ".norm2");
    }
    x = torch::linear(torch::max_pool2d(x, 3).flatten(1), p["linear.weight"]) / 9;
    EXPECT_LT((network->forward(images) - x).abs().max().item<double>(), 1e-10);
  };
  expect_answers(true);
  network->eval();
  expect_answers(false);
}

TEST(Airbench94, TrainsTheBiasOfItsWhiteningForThreeEpochs) {
  const auto network = make_network({.name = "airbench94", .width = 0.125}, 2);
  for (const std::int64_t epoch : {0, 2, 3, 9}) {
    network->zero_grad();
    network->forward(torch::randn({4, 3, 32, 32})).sum().backward();
    network->drop_gradients(epoch);
    EXPECT_EQ(network->named_parameters()["whiten_bias"].grad().defined(), epoch < 3) << epoch;
    EXPECT_TRUE(network->named_parameters()["group1.norm1.bias"].grad().defined());
  }
}

TEST(Dropout, DrawsByEpochAndSampleAlone) {
  const auto mask = [](std::vector<std::int64_t> samples, std::int64_t epoch, std::uint64_t seed = 1) {
    return dropout_mask(samples, epoch, 510, 0.25, seed, torch::kFloat32);
  };
  const auto both = mask({8, 9}, 3);
  EXPECT_TRUE(torch::equal(both[0], mask({8}, 3)[0]));
  EXPECT_TRUE(torch::equal(both, mask({9, 8}, 3).flip(0)));
  EXPECT_FALSE(torch::equal(both[0], both[1]));
  EXPECT_FALSE(torch::equal(both, mask({8, 9}, 4)));
  EXPECT_FALSE(torch::equal(both, mask({8, 9}, 3, 2)));
}

TEST(Dropout, KeepsTheMean) {
  std::vector<std::int64_t> samples(1000);
  std::iota(samples.begin(), samples.end(), 0);
  const auto mask = dropout_mask(samples, 0, 512, 0.25, 1, torch::kFloat64);
  // Standard error of the share kept: sqrt(0.25 * 0.75 / 512000) = 6e-4.
  EXPECT_NEAR((mask == 0).to(torch::kFloat64).mean().item<double>(), 0.25, 5 * 6e-4);
  EXPECT_NEAR(mask.max().item<double>(), 1 / 0.75, 1e-6);
}

TEST(Networks, RefuseWhatIsNotThere) {
  EXPECT_EQ(testing::error_thrown_by([] { make_network({.name = "resnet10"}, 0); }).code(), ExitCode::config);
  EXPECT_THROW(make_network({.name = "resnet9", .width = 0}, 0), Error);
}

struct Steps {
  std::int64_t images = 16;
  int count = 2;
};

// Steps of training, written down for tests/peers/check_networks.py to take with the same weights.
void write_case(const std::filesystem::path& file, const std::string& name, double width,
                const std::string& precision, const Steps& steps) {
  const Precision kinds = precision_from(precision);
  const auto network =
      make_network({.name = name, .classes = 10, .width = width, .image_side = side_for(name)}, 4);
  network->to(kinds.parameters);
  NamedTensors record;
  const auto note = [&](const std::string& prefix, const NamedTensors& tensors) {
    for (const auto& [key, tensor] : tensors) record.emplace_back(prefix + key, tensor.detach().clone());
  };
  note("start.", named_tensors(*network));
  torch::manual_seed(9);
  const auto images = torch::randn({steps.images, 3, 32, 32}, kinds.parameters);
  const auto labels = torch::randint(10, {steps.images});
  record.emplace_back("images", images);
  record.emplace_back("labels", labels);
  Sgd sgd(named_parameters(*network), {});
  for (int step = 0; step < steps.count; ++step) {
    const std::string prefix = "step" + std::to_string(step) + ".";
    const auto logits =
        network->forward(images.to(kinds.images).contiguous(torch::MemoryFormat::ChannelsLast));
    sgd.clear_gradients();
    torch::nn::functional::cross_entropy(logits, labels).backward();
    record.emplace_back(prefix + "logits", logits.detach());
    for (const auto& [key, parameter] : named_parameters(*network))
      record.emplace_back(prefix + "gradient." + key, parameter.grad().clone());
    sgd.step(0.02);
  }
  note("end.", named_tensors(*network));
  write_safetensors(file, TensorViews(record).views(),
                    {{"network", name},
                     {"width", std::to_string(width)},
                     {"precision", precision},
                     {"image_side", std::to_string(side_for(name))}});
}

bool python_agrees(const std::string& name, double width, const std::string& precision, const Steps& steps) {
  const auto file =
      std::filesystem::temp_directory_path() /
      ("muster-parity-" + name + "-" + std::to_string(width) + "-" + precision + ".safetensors");
  write_case(file, name, width, precision, steps);
  const std::string script = std::string(MUSTER_SOURCE_DIR) + "/tests/peers/check_networks.py";
  const int status = std::system(
      (std::string(std::getenv("MUSTER_PEER_PYTHON")) + " " + script + " " + file.string()).c_str());
  std::filesystem::remove(file);
  return status == 0;
}

class PeerPython : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  void SetUp() override {
    if (!std::getenv("MUSTER_PEER_PYTHON"))
      GTEST_SKIP() << "needs a Python with torch: set MUSTER_PEER_PYTHON";
  }
};

TEST_P(PeerPython, TakesTheSameTrainingSteps) {
  const auto [name, precision] = GetParam();
  // Two images, for a ReLU that flips within fp32's rounding shows in every gradient.
  if (name.ends_with("_slim")) {
    EXPECT_TRUE(python_agrees(name, 1, precision, {.images = 2}));
  } else {
    EXPECT_TRUE(python_agrees(name, name == "resnet20" ? 1 : 0.25, precision, {}));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Networks, PeerPython,
    ::testing::Combine(::testing::Values("resnet9", "resnet18", "resnet34", "resnet50", "plain9", "alexnet",
                                         "resnet20", "imagenet_resnet34", "densenet_slim", "resnet_slim",
                                         "improved_wide_resnet_slim", "resnext_slim"),
                       ::testing::Values("fp32", "fp64")),
    [](const auto& info) { return std::get<0>(info.param) + "_" + std::get<1>(info.param); });

// In fp64 alone: these are too deep for no ReLU to flip in fp32.
class PeerPythonAtFullSize : public PeerPython {};

TEST_P(PeerPythonAtFullSize, TakesTheSameTrainingStep) {
  const auto [name, precision] = GetParam();
  EXPECT_TRUE(python_agrees(name, 1, precision, {.images = 2, .count = 1}));
}

INSTANTIATE_TEST_SUITE_P(Experts, PeerPythonAtFullSize,
                         ::testing::Combine(::testing::Values("densenet", "resnet", "improved_wide_resnet",
                                                              "resnext"),
                                            ::testing::Values("fp64")),
                         [](const auto& info) { return std::get<0>(info.param); });

}  // namespace
}  // namespace muster::workloads
