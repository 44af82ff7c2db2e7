// SGD, evaluation and the state of a training, on a slim network.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/workloads/data_files.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/adamw.hpp"
#include "workloads/common/data/synthetic.hpp"
#include "workloads/common/evaluation.hpp"
#include "workloads/common/precision.hpp"
#include "workloads/common/sampling.hpp"
#include "workloads/common/sgd.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

class SgdAgainstTorch : public ::testing::TestWithParam<std::tuple<double, bool, torch::Dtype>> {};

TEST_P(SgdAgainstTorch, TakesTheSameSteps) {
  const auto [momentum, nesterov, type] = GetParam();
  torch::manual_seed(1);
  const Tensor start = torch::randn({33, 7}, type);
  Tensor ours = start.clone().requires_grad_(), theirs = start.clone().requires_grad_();
  Sgd sgd({{"w", ours}}, {.momentum = momentum, .weight_decay = 0.01, .nesterov = nesterov});
  torch::optim::SGD reference(
      {theirs}, torch::optim::SGDOptions(0.1).momentum(momentum).weight_decay(0.01).nesterov(nesterov));
  for (int step = 0; step < 6; ++step) {
    sgd.clear_gradients();
    reference.zero_grad();
    (ours.pow(4).sum() / 28).backward();
    (theirs.pow(4).sum() / 28).backward();
    sgd.step(0.1);
    reference.step();
  }
  EXPECT_LT((ours - theirs).abs().max().item<double>(), type == torch::kFloat64 ? 1e-14 : 2e-6);
}

std::string case_name(const ::testing::TestParamInfo<SgdAgainstTorch::ParamType>& info) {
  const auto [momentum, nesterov, type] = info.param;
  return std::string(nesterov       ? "nesterov_"
                     : momentum > 0 ? "momentum_"
                                    : "plain_") +
         (type == torch::kFloat64 ? "fp64" : "fp32");
}

INSTANTIATE_TEST_SUITE_P(Options, SgdAgainstTorch,
                         ::testing::Values(std::tuple{0.0, false, torch::kFloat32},
                                           std::tuple{0.9, false, torch::kFloat32},
                                           std::tuple{0.9, true, torch::kFloat32},
                                           std::tuple{0.9, true, torch::kFloat64}),
                         case_name);

TEST(Sgd, RefusesNesterovWithoutMomentum) {
  EXPECT_THROW(Sgd({}, {.momentum = 0, .weight_decay = 0, .nesterov = true}), Error);
  EXPECT_THROW(Sgd({}, {.momentum = -1, .weight_decay = 0, .nesterov = false}), Error);
}

class AdamWAgainstTorch : public ::testing::TestWithParam<torch::Dtype> {};

TEST_P(AdamWAgainstTorch, TakesTheSameSteps) {
  torch::manual_seed(1);
  const Tensor start = torch::randn({33, 7}, GetParam());
  Tensor ours = start.clone().requires_grad_(), theirs = start.clone().requires_grad_();
  AdamW adamw({{"w", ours}}, {.weight_decay = 0.05});
  torch::optim::AdamW reference({theirs}, torch::optim::AdamWOptions(0.1).weight_decay(0.05));
  for (int step = 0; step < 6; ++step) {
    adamw.clear_gradients();
    reference.zero_grad();
    (ours.pow(4).sum() / 28).backward();
    (theirs.pow(4).sum() / 28).backward();
    adamw.step(0.1);
    reference.step();
  }
  EXPECT_LT((ours - theirs).abs().max().item<double>(), GetParam() == torch::kFloat64 ? 1e-14 : 2e-6);
}

INSTANTIATE_TEST_SUITE_P(Types, AdamWAgainstTorch, ::testing::Values(torch::kFloat32, torch::kFloat64));

/// Figures of torch.optim.AdamW, PyTorch 2.11.0: rates 0.1 to 0.5, the loss a quarter of the fourth powers.
TEST(AdamW, GivesPythonsFigures) {
  const Tensor w = torch::tensor({1.0, -2.0, 0.5}, torch::dtype(torch::kFloat64).requires_grad(true));
  AdamW adamw({{"w", w}}, {.weight_decay = 0.05});
  for (int step = 1; step <= 5; ++step) {
    adamw.clear_gradients();
    (w.pow(4).sum() / 4).backward();
    adamw.step(0.1 * step);
  }
  const Tensor python =
      torch::tensor({-0.22820902795243275, -0.5526152773770807, -0.48716706168007917}, torch::kFloat64);
  EXPECT_LT((w - python).abs().max().item<double>(), 1e-14);
}

TEST(AdamW, GoesOnBitForBitFromItsState) {
  const auto step = [](AdamW& adamw, const Tensor& w) {
    adamw.clear_gradients();
    w.pow(4).sum().backward();
    adamw.step(0.01);
  };
  torch::manual_seed(1);
  Tensor whole = torch::randn({50}).requires_grad_();
  AdamW first({{"w", whole}}, {});
  for (int i = 0; i < 3; ++i) step(first, whole);
  const Tensor resumed = whole.detach().clone().requires_grad_();
  AdamW second({{"w", resumed}}, {});
  for (std::size_t i = 0; i < first.state().size(); ++i) {
    EXPECT_EQ(second.state()[i].first, first.state()[i].first);
    Tensor(second.state()[i].second).copy_(first.state()[i].second);
  }
  second.set_steps(3);
  for (int i = 0; i < 3; ++i) {
    step(first, whole);
    step(second, resumed);
  }
  EXPECT_TRUE(torch::equal(whole, resumed));
}

TEST(AdamW, RefusesNumbersThatMakeNoSense) {
  EXPECT_THROW(AdamW({}, {.beta1 = 1}), Error);
  EXPECT_THROW(AdamW({}, {.beta2 = -0.1}), Error);
  EXPECT_THROW(AdamW({}, {.weight_decay = -1}), Error);
}

// A training small enough for a test: its parts, and a step.
struct Training {
  explicit Training(std::uint64_t seed, const std::string& precision = "fp32")
      : kinds(precision_from(precision)), network(make_network({.name = "resnet9", .width = 0.125}, seed)) {
    network->to(kinds.parameters);
    batches = std::make_unique<BatchMaker>(channel_statistics(set.train), kinds.images, seed);
    sgd = std::make_unique<Sgd>(named_parameters(*network), SgdOptions{});
  }

  double step(std::int64_t number) {
    ShardedSampler sampler(set.train.size(), 64, 0, 0, 1);
    const auto epoch = number / sampler.steps_per_epoch();
    const auto samples = sampler.batch(epoch, number % sampler.steps_per_epoch());
    const auto logits = network->forward(batches->training_batch(set.train, samples, epoch));
    const auto loss = torch::nn::functional::cross_entropy(logits, BatchMaker::labels(set.train, samples));
    sgd->clear_gradients();
    loss.backward();
    sgd->step(0.1);
    return loss.item<double>();
  }

  Dataset set = make_synthetic({.classes = 10, .train_images = 1024, .test_images = 301, .seed = 1});
  Precision kinds;
  std::shared_ptr<Network> network;
  std::unique_ptr<BatchMaker> batches;
  std::unique_ptr<Sgd> sgd;
};

TEST(Training, GoesOnBitForBitFromItsState) {
  const auto folder = testing::fresh_folder();
  Training whole(3, "bf16");
  for (int i = 0; i < 4; ++i) whole.step(i);
  write_safetensors(folder / "state.safetensors",
                    TensorViews(training_tensors(*whole.network, *whole.sgd)).views());
  for (int i = 4; i < 8; ++i) whole.step(i);

  Training resumed(3, "bf16");
  restore(training_tensors(*resumed.network, *resumed.sgd), SafetensorsFile(folder / "state.safetensors"));
  resumed.sgd->set_steps(1);
  for (int i = 4; i < 8; ++i) resumed.step(i);
  const auto expected = training_tensors(*whole.network, *whole.sgd),
             got = training_tensors(*resumed.network, *resumed.sgd);
  ASSERT_EQ(expected.size(), got.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_TRUE(torch::equal(expected[i].second, got[i].second)) << expected[i].first;
}

TEST(TrainingState, RefusesAnotherNetworksState) {
  const auto folder = testing::fresh_folder();
  const auto small = make_network({.name = "resnet9", .width = 0.125}, 0);
  write_safetensors(folder / "state.safetensors", TensorViews(named_tensors(*small)).views());
  const SafetensorsFile file(folder / "state.safetensors");
  const auto wide = make_network({.name = "resnet9", .width = 0.25}, 0);
  EXPECT_EQ(testing::error_thrown_by([&] { restore(named_tensors(*wide), file); }).code(),
            ExitCode::checkpoint);
  const auto other = make_network({.name = "resnet18", .width = 0.125}, 0);
  EXPECT_THAT(testing::error_thrown_by([&] { restore(named_tensors(*other), file); }).problem(),
              ::testing::HasSubstr("is missing"));
  EXPECT_THROW(restore({{"prep.bn.weight", torch::ones({8}, torch::kFloat64)}}, file), Error);
}

TEST(Training, LearnsTheSyntheticImagesButNotAtOnce) {
  Training training(5);
  double first = 0, last = 0;
  for (int i = 0; i < 8 * 16; ++i) (i < 16 ? first : last) = training.step(i);
  const auto result = evaluate(*training.network, training.set.test, *training.batches, 10, 128, nullptr);
  EXPECT_LT(last, 0.8 * first);
  EXPECT_GT(result.accuracy(), 0.35);
  EXPECT_LT(result.accuracy(), 0.999);
}

TEST(Evaluation, IsTheSameOverAnyRanks) {
  Training training(5);
  for (int i = 0; i < 8; ++i) training.step(i);
  const auto alone = evaluate(*training.network, training.set.test, *training.batches, 10, 64, nullptr);
  EXPECT_EQ(alone.samples, 301);
  EXPECT_EQ(std::accumulate(alone.confusion.begin(), alone.confusion.end(), std::int64_t{0}), 301);
  EXPECT_TRUE(training.network->is_training());
  std::vector<Evaluation> results(3);
  on_ranks(3, [&](Communicator& communicator) {
    auto network = make_network({.name = "resnet9", .width = 0.125}, 5);
    const torch::NoGradGuard no_grad;
    const auto source = named_tensors(*training.network), target = named_tensors(*network);
    for (std::size_t i = 0; i < source.size(); ++i) Tensor(target[i].second).copy_(source[i].second);
    results[static_cast<std::size_t>(communicator.rank())] =
        evaluate(*network, training.set.test, *training.batches, 10, 64, &communicator);
  });
  for (const auto& result : results) {
    EXPECT_EQ(result.confusion, alone.confusion);
    EXPECT_NEAR(result.loss, alone.loss, 1e-6);
  }
}

TEST(Evaluation, SharesComeFromTheConfusionCounts) {
  const Evaluation result{.samples = 10, .loss = 1, .confusion = {3, 1, 0, 2, 4, 0, 0, 0, 0}};
  EXPECT_DOUBLE_EQ(result.accuracy(), 0.7);
  EXPECT_THAT(result.class_accuracy(), ::testing::ElementsAre(0.75, ::testing::DoubleEq(4.0 / 6), 0.0));
}

TEST(Precision, RefusesUnknownNames) { EXPECT_THROW(precision_from("fp16"), Error); }

}  // namespace
}  // namespace muster::workloads
