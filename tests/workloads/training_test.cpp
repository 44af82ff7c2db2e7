// SGD, evaluation and the state of a training, on a slim network.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/workloads/data_files.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/adamw.hpp"
#include "workloads/common/data/synthetic.hpp"
#include "workloads/common/evaluation.hpp"
#include "workloads/common/lookahead.hpp"
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

TEST(Sgd, AFactorOfTheRateLeavesTheDecayOfAStep) {
  torch::manual_seed(1);
  const Tensor start = torch::randn({9}, torch::kFloat64);
  const Tensor a = start.clone().requires_grad_(), b = start.clone().requires_grad_();
  Tensor x = start.clone().requires_grad_(), y = start.clone().requires_grad_();
  const SgdOptions options{.momentum = 0.85, .weight_decay = 0.02, .nesterov = true};
  Sgd sgd({{"a", a}, {"b", b}}, options, {1, 64});
  const auto reference = [](const Tensor& w, double rate, double decay) {
    return torch::optim::SGD(
        {w}, torch::optim::SGDOptions(rate).momentum(0.85).weight_decay(decay).nesterov(true));
  };
  auto of_x = reference(x, 0.001, 0.02), of_y = reference(y, 0.064, 0.02 / 64);
  for (int step = 0; step < 6; ++step) {
    for (const Tensor& w : {a, b, x, y}) {
      Tensor(w).mutable_grad().reset();
      (w.pow(4).sum() / 4).backward();
    }
    sgd.step(0.001);
    of_x.step();
    of_y.step();
  }
  EXPECT_LT((a - x).abs().max().item<double>(), 1e-14);
  EXPECT_LT((b - y).abs().max().item<double>(), 1e-14);
  EXPECT_THROW(Sgd({{"a", a}}, {}, {0}), Error);
}

/// By hand: the gradient is always 1, so a step of rate 1 takes 1 away.
TEST(Lookahead, StepsBackToItsMean) {
  const Tensor w = torch::full({1}, 10.0, torch::dtype(torch::kFloat64).requires_grad(true));
  const Tensor statistic = torch::full({1}, 4.0, torch::kFloat64);
  Lookahead lookahead(std::make_unique<Sgd>(NamedTensors{{"w", w}},
                                            SgdOptions{.momentum = 0, .weight_decay = 0, .nesterov = false}),
                      {{"w", w}}, {{"w", w}, {"s", statistic}}, {.every = 2, .decay = 0.5}, 5);
  const auto step = [&] {
    lookahead.clear_gradients();
    w.sum().backward();
    Tensor(statistic).add_(1);
    lookahead.step(1);
    return w.item<double>();
  };
  EXPECT_DOUBLE_EQ(step(), 9);
  double kept = 0.25 * std::pow(2.0 / 5, 3);  // of the mean, which is the first weight, after two steps
  const double second = kept * 10 + (1 - kept) * 8;
  EXPECT_DOUBLE_EQ(step(), second);
  EXPECT_DOUBLE_EQ(statistic.item<double>(), kept * 5 + (1 - kept) * 6);
  EXPECT_DOUBLE_EQ(step(), second - 1);
  kept = 0.25 * std::pow(4.0 / 5, 3);
  const double fourth = kept * second + (1 - kept) * (second - 2);
  EXPECT_DOUBLE_EQ(step(), fourth);
  EXPECT_DOUBLE_EQ(step(), fourth) << "the last step ends on the mean";
  EXPECT_EQ(lookahead.state().back().first, "lookahead.s");
  EXPECT_THROW(Lookahead(std::make_unique<Sgd>(NamedTensors{}, SgdOptions{}), {}, {}, {.every = 0}, 5),
               Error);
  EXPECT_THROW(
      Lookahead(std::make_unique<Sgd>(NamedTensors{}, SgdOptions{}), {}, {}, {.every = 1, .decay = 2}, 5),
      Error);
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

/// Says of an image what stands at three places, so that each view shows.
class PixelNetwork : public Network {
 public:
  Tensor forward(const Tensor& images) override {
    return torch::stack(
        {images.select(1, 0).select(1, 0).select(1, 0), images.select(1, 0).select(1, 5).select(1, 7),
         images.select(1, 0).select(1, 31).select(1, 31)},
        1);
  }
};

TEST(Evaluation, ViewsAreWeightedAsTheirNamesSay) {
  PixelNetwork network;
  const Tensor image = torch::arange(3 * 32 * 32, torch::kFloat64).pow(2).view({1, 3, 32, 32});
  const auto pixel = [](int y, int x) { return std::pow(32.0 * y + x, 2); };
  const auto both = [&](int y, int x, int mirrored_x) { return (pixel(y, x) + pixel(y, mirrored_x)) / 2; };
  const auto expect_answers = [&](EvaluationViews views, const std::vector<double>& expected) {
    const Tensor got = logits_over(network, image, views);
    EXPECT_TRUE(torch::allclose(got, torch::tensor(expected, torch::kFloat64).view({1, 3}), 0, 1e-6)) << got;
  };
  expect_answers(EvaluationViews::none, {pixel(0, 0), pixel(5, 7), pixel(31, 31)});
  const std::vector<double> straight{both(0, 0, 31), both(5, 7, 24), both(31, 31, 0)};
  expect_answers(EvaluationViews::mirror, straight);
  // Up and left: pixel (y, x) comes from (y - 1, x - 1). Row -1 is row 1 and column 32 is column 30.
  const std::vector<double> up{both(1, 1, 30), both(4, 6, 23), both(30, 30, 1)};
  const std::vector<double> down{both(1, 1, 30), both(6, 8, 25), both(30, 30, 1)};
  std::vector<double> all;
  for (std::size_t i = 0; i < 3; ++i) all.push_back(straight[i] / 2 + (up[i] + down[i]) / 4);
  expect_answers(EvaluationViews::mirror_and_translate, all);
  EXPECT_EQ(evaluation_views_from("mirror+translate"), EvaluationViews::mirror_and_translate);
  EXPECT_THROW(evaluation_views_from("upside-down"), Error);
}

TEST(Evaluation, SharesComeFromTheConfusionCounts) {
  const Evaluation result{.samples = 10, .loss = 1, .confusion = {3, 1, 0, 2, 4, 0, 0, 0, 0}};
  EXPECT_DOUBLE_EQ(result.accuracy(), 0.7);
  EXPECT_THAT(result.class_accuracy(), ::testing::ElementsAre(0.75, ::testing::DoubleEq(4.0 / 6), 0.0));
}

TEST(Precision, RefusesUnknownNames) { EXPECT_THROW(precision_from("fp16"), Error); }

}  // namespace
}  // namespace muster::workloads
