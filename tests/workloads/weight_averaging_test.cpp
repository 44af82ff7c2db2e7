#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstring>
#include <filesystem>
#include <mutex>

#include "core/error.hpp"
#include "tests/workloads/memory_context.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/data/synthetic.hpp"
#include "workloads/common/training_state.hpp"
#include "workloads/weight_averaging/averaging_plan.hpp"
#include "workloads/weight_averaging/parameters.hpp"
#include "workloads/weight_averaging/training.hpp"

namespace muster::workloads {
namespace {

namespace fs = std::filesystem;
using torch::Tensor;

/// The small network, slim, in fp64, on 96 synthetic images: 4 steps an epoch of 24.
Task task(const Parameters& more = {}) {
  Parameters given{{"width", 0.25},       {"data.samples", 96},  {"data.test_samples", 30},
                   {"epochs", 2},         {"batch", 24},         {"lr", 0.05},
                   {"precision", "fp64"}, {"average.period", 3}, {"average.switch_epoch", 0.0}};
  for (const auto& [name, value] : more) given[name] = value;
  Task result;
  result.workload = "weight_averaging";
  result.parameters = resolve_parameters(weight_averaging_schema(), given, {});
  return result;
}

Parameters joined(Parameters a, const Parameters& b) {
  for (const auto& [name, value] : b) a[name] = value;
  return a;
}

Tensor tensor_of(const SafetensorsFile& file, const std::string& name) {
  const TensorView* view = file.find(name);
  if (!view) throw std::logic_error("no tensor " + name);
  auto tensor = torch::empty(view->shape, view->dtype == DType::f64 ? torch::kFloat64 : torch::kFloat32);
  std::memcpy(tensor.mutable_data_ptr(), view->bytes.data(), view->bytes.size());
  return tensor;
}

class WeightAveragingTest : public testing::Test {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    std::string name = info->name();
    std::replace(name.begin(), name.end(), '/', '-');
    folder_ = fs::temp_directory_path() / ("muster-averaging-" + name + "-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  struct Result {
    Outcome outcome = Outcome::finished;
    std::vector<MemoryMetrics> metrics;  ///< of each rank
  };

  Result train(int ranks, const Task& t, const std::string& place,
               const std::function<AfterStep(std::int64_t)>& after = {}) {
    Result result;
    result.metrics.resize(static_cast<std::size_t>(ranks));
    on_ranks(ranks, [&](Communicator& communicator) {
      MemoryContext context(t, communicator, folder_ / place, after);
      const Outcome outcome = train_by_averaging(context);
      if (communicator.rank() == 0) result.outcome = outcome;
      result.metrics[static_cast<std::size_t>(communicator.rank())] = context.recorded;
    });
    return result;
  }

  SafetensorsFile final_weights(const std::string& place) const {
    return SafetensorsFile(folder_ / place / "final.safetensors");
  }

  fs::path folder_;
};

/// What the ranks compute, one after the other on one thread, with PyTorch's optimiser.
struct Reference {
  Reference(const Task& t, int ranks)
      : p(read_training_parameters(t, ranks)),
        data(make_synthetic(
            {.train_images = p.data_samples, .test_images = p.data_test_samples, .seed = p.data_seed})),
        batches(channel_statistics(data.train), torch::kFloat64, p.seed, p.augmentation),
        schedule(p.schedule) {
    for (int r = 0; r < ranks; ++r) {
      samplers.emplace_back(data.train.size(), p.split, p.seed, r);
      networks.push_back(make_network({.name = p.network, .classes = 10, .width = p.width}, p.seed));
      networks.back()->to(torch::kFloat64);
    }
    steps_per_epoch = data.train.size() / p.batch;
  }

  Tensor loss_of(Network& network, std::span<const std::int64_t> samples, std::int64_t epoch) {
    network.begin_batch(samples, epoch);
    return torch::cross_entropy_loss(network.forward(batches.training_batch(data.train, samples, epoch)),
                                     BatchMaker::labels(data.train, samples));
  }

  ImageParameters p;
  Dataset data;
  BatchMaker batches;
  Schedule schedule;
  std::vector<ShardedSampler> samplers;
  std::vector<std::shared_ptr<Network>> networks;
  std::int64_t steps_per_epoch = 0;
};

void expect_weights(const SafetensorsFile& file, const Network& network, double tolerance) {
  for (const auto& item : network.named_parameters()) {
    const Tensor difference = tensor_of(file, item.key()) - item.value();
    EXPECT_LT(difference.abs().max().item<double>(), tolerance) << item.key();
  }
}

/// PyTorch's optimiser writes behind autograd's back, and our layers keep working copies by the version.
void take_step(torch::optim::SGD& sgd, double rate) {
  static_cast<torch::optim::SGDOptions&>(sgd.param_groups()[0].options()).lr(rate);
  sgd.step();
  for (const Tensor& w : sgd.param_groups()[0].params()) w.unsafeGetTensorImpl()->bump_version();
}

class AveragingEveryStep : public WeightAveragingTest,
                           public testing::WithParamInterface<std::pair<int, Value::List>> {};
INSTANTIATE_TEST_SUITE_P(RanksAndShares, AveragingEveryStep,
                         testing::Values(std::pair{2, Value::List{}}, std::pair{3, Value::List{}},
                                         std::pair{4, Value::List{}},
                                         std::pair{2, Value::List{Value(1.0), Value(3.0)}},
                                         std::pair{3, Value::List{Value(1.0), Value(2.0), Value(5.0)}}));

/// Without momentum it is a step with the mean gradient of the whole batch, dropout included.
TEST_P(AveragingEveryStep, IsAStepWithTheMeanGradient) {
  const auto& [ranks, shares] = GetParam();
  const Task t = task({{"average.period", 1}, {"momentum", 0.0}, {"split.shares", shares}});
  train(ranks, t, "run");
  Reference one(task({{"average.period", 1}, {"momentum", 0.0}}), 1);
  Network& network = *one.networks[0];
  for (std::int64_t step = 0; step < 8; ++step) {
    network.zero_grad();
    const std::int64_t epoch = step / 4;
    one.loss_of(network, one.samplers[0].batch(epoch, step % 4), epoch).backward();
    const torch::NoGradGuard no_grad;
    for (Tensor w : network.parameters())
      w.sub_((w.grad() + one.p.sgd.weight_decay * w) * one.schedule.rate_at(step, 4));
  }
  expect_weights(final_weights("run"), network, 1e-12);
}

struct Variant {
  const char* name;
  int ranks;
  Parameters more;
};

class AveragingNowAndThen : public WeightAveragingTest, public testing::WithParamInterface<Variant> {};
INSTANTIATE_TEST_SUITE_P(
    Variants, AveragingNowAndThen,
    testing::Values(
        Variant{"every_three_steps", 2, {}}, Variant{"once_an_epoch", 3, {{"average.period", 0}}},
        Variant{"momentum_averaged", 2, {{"average.momentum", true}, {"nesterov", true}}},
        Variant{"switched_after_half_an_epoch", 2, {{"average.switch_epoch", 0.5}}},
        Variant{"uneven", 2, {{"split.shares", Value::List{Value(1.0), Value(2.0)}}, {"split.fixed", true}}},
        Variant{"outer_momentum", 4, {{"outer.momentum", 0.5}, {"outer.lr", 0.7}, {"average.period", 2}}},
        Variant{"outer_nesterov_after_a_switch",
                2,
                {{"outer.momentum", 0.9},
                 {"outer.lr", 0.7},
                 {"outer.nesterov", true},
                 {"average.switch_epoch", 0.75},
                 {"average.period", 2}}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_P(AveragingNowAndThen, IsWhatTheRanksComputeOneAfterTheOther) {
  const auto& [name, ranks, more] = GetParam();
  const Task t = task(more);
  const AveragingOptions options = read_averaging_options(t);
  train(ranks, t, "run");
  Reference reference(t, ranks);

  std::vector<torch::optim::SGD> optimisers;
  for (const auto& network : reference.networks) {
    optimisers.emplace_back(network->parameters(), torch::optim::SGDOptions(0.1)
                                                       .momentum(reference.p.sgd.momentum)
                                                       .weight_decay(reference.p.sgd.weight_decay)
                                                       .nesterov(reference.p.sgd.nesterov));
  }
  std::vector<Tensor> outer_before, outer_momentum;
  for (const Tensor& w : reference.networks[0]->parameters()) {
    outer_before.push_back(w.detach().clone());
    outer_momentum.push_back(torch::zeros_like(w.detach()));
  }
  const auto mean_of = [&](const std::function<Tensor(std::size_t)>& of_rank) {
    Tensor sum;
    for (std::size_t r = 0; r < reference.networks.size(); ++r) {
      const Tensor one = of_rank(r) * static_cast<double>(reference.p.split.batches[r]);
      sum = sum.defined() ? sum + one : one;
    }
    return sum / static_cast<double>(reference.p.batch);
  };
  const auto momentum_buffer = [&](std::size_t r, std::size_t i) -> Tensor {
    auto& state = *optimisers[r].state().at(reference.networks[r]->parameters()[i].unsafeGetTensorImpl());
    return static_cast<torch::optim::SGDParamState&>(state).momentum_buffer();
  };

  // Written out, not computed: 8 steps, 4 an epoch.
  const std::map<std::string, std::vector<std::int64_t>> averages{
      {"every_three_steps", {3, 6, 8}},
      {"once_an_epoch", {4, 8}},
      {"momentum_averaged", {3, 6, 8}},
      {"switched_after_half_an_epoch", {1, 2, 5, 8}},
      {"uneven", {3, 6, 8}},
      {"outer_momentum", {2, 4, 6, 8}},
      {"outer_nesterov_after_a_switch", {1, 2, 3, 5, 7, 8}}};
  const auto& due = averages.at(name);
  const std::int64_t local_from = std::string(name) == "outer_nesterov_after_a_switch" ? 4 : 1;

  for (std::int64_t step = 1; step <= 8; ++step) {
    const std::int64_t epoch = (step - 1) / 4;
    for (std::size_t r = 0; r < reference.networks.size(); ++r) {
      optimisers[r].zero_grad();
      reference.loss_of(*reference.networks[r], reference.samplers[r].batch(epoch, (step - 1) % 4), epoch)
          .backward();
      take_step(optimisers[r], reference.schedule.rate_at(step - 1, 4));
    }
    if (std::find(due.begin(), due.end(), step) == due.end()) continue;
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < outer_before.size(); ++i) {
      Tensor next = mean_of([&](std::size_t r) { return reference.networks[r]->parameters()[i]; });
      if (step >= local_from) {
        const Tensor moved = outer_before[i] - next;
        outer_momentum[i] = options.outer_momentum * outer_momentum[i] + moved;
        const Tensor direction =
            options.outer_nesterov ? moved + options.outer_momentum * outer_momentum[i] : outer_momentum[i];
        next = outer_before[i] - options.outer_lr * direction;
      }
      outer_before[i] = next.clone();
      const Tensor momentum =
          options.average_momentum ? mean_of([&](std::size_t r) { return momentum_buffer(r, i); }) : Tensor();
      for (std::size_t r = 0; r < reference.networks.size(); ++r) {
        Tensor weight = reference.networks[r]->parameters()[i];
        weight.copy_(next);
        if (momentum.defined()) momentum_buffer(r, i).copy_(momentum);
      }
    }
  }
  expect_weights(final_weights("run"), *reference.networks[0], 1e-12);
}

/// One rank averages nothing: it is the serial baseline, whatever the options.
TEST_F(WeightAveragingTest, OnOneRankIsPlainTraining) {
  train(1, task({{"outer.momentum", 0.9}, {"average.period", 2}}), "run");
  Reference one(task(), 1);
  torch::optim::SGD sgd(one.networks[0]->parameters(),
                        torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(5e-4));
  for (std::int64_t step = 0; step < 8; ++step) {
    sgd.zero_grad();
    one.loss_of(*one.networks[0], one.samplers[0].batch(step / 4, step % 4), step / 4).backward();
    take_step(sgd, one.schedule.rate_at(step, 4));
  }
  expect_weights(final_weights("run"), *one.networks[0], 1e-12);
}

class AveragingTraffic : public WeightAveragingTest,
                         public testing::WithParamInterface<std::pair<const char*, int>> {};
INSTANTIATE_TEST_SUITE_P(AlgorithmsAndRanks, AveragingTraffic,
                         testing::Values(std::pair{"ring", 2}, std::pair{"ring", 3}, std::pair{"ring", 4},
                                         std::pair{"tree", 3}, std::pair{"tree", 4},
                                         std::pair{"parameter_server", 3}));

/// The transport's count beside the closed form, on every rank. The slim network has 79,442 weights.
TEST_P(AveragingTraffic, IsTheClosedFormsAndSoMuchTheLessTheRarerTheAverages) {
  const auto& [algorithm, ranks] = GetParam();
  const auto result = train(ranks, task({{"exchange.algorithm", algorithm}, {"precision", "fp32"}}), "run");
  const double weights = 79'442;
  const double bytes = 4 * std::ceil(weights / ranks) * ranks;
  double sent_by_all = 0;
  for (int r = 0; r < ranks; ++r) {
    const MemoryMetrics& metrics = result.metrics[static_cast<std::size_t>(r)];
    const auto sent = metrics.column("average", "bytes_sent");
    EXPECT_THAT(metrics.column("average", "step"), testing::ElementsAre(3, 6, 8));
    EXPECT_THAT(metrics.column("average", "local_steps"), testing::ElementsAre(3, 3, 2));
    EXPECT_EQ(sent, metrics.column("average", "expected_bytes_sent"));
    EXPECT_THAT(metrics.column("average", "payload_bytes"), testing::Each(bytes));
    if (std::string(algorithm) == "ring") {
      EXPECT_THAT(sent, testing::Each(2.0 * (ranks - 1) / ranks * bytes));
    }
    // Steps without an average send nothing at all.
    EXPECT_THAT(metrics.column("step", "bytes_sent"),
                testing::ElementsAre(0, 0, sent[0], 0, 0, sent[1], 0, sent[2]));
    sent_by_all += sent[0];
  }
  EXPECT_EQ(sent_by_all, 2 * (ranks - 1) * bytes) << "all three send so much in all";
}

TEST_F(WeightAveragingTest, SendsMomentumAtTwiceTheBytes) {
  const auto plain = train(2, task(), "plain").metrics[0].column("average", "bytes_sent");
  const auto both =
      train(2, task({{"average.momentum", true}}), "both").metrics[0].column("average", "bytes_sent");
  ASSERT_EQ(plain.size(), both.size());
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(both[i], 2 * plain[i]);
}

/// Running statistics of the mean, from its own passes over the first batches of each rank, layer on layer.
TEST_F(WeightAveragingTest, EstimatesNormStatisticsOfTheMeanAnew) {
  const Parameters more{{"network", "resnet9"},
                        {"width", 0.125},
                        {"bn.batches", 2},
                        {"split.shares", Value::List{Value(1.0), Value(2.0)}}};
  train(2, task(more), "run");
  const auto file = final_weights("run");
  Reference reference(task(more), 2);
  std::map<std::string, std::pair<Tensor, Tensor>> mean_and_var;
  const auto block = [&](const Tensor& x, const std::string& name, double share) {
    const Tensor y = torch::conv2d(x, tensor_of(file, name + ".conv.weight"), {}, 1, 1);
    const Tensor mean = y.mean({0, 2, 3});
    const Tensor var = y.var({0, 2, 3}, /*unbiased=*/false);
    const double n = static_cast<double>(y.numel()) / static_cast<double>(y.size(1));
    auto& [means, vars] = mean_and_var[name];
    means = means.defined() ? means + share * mean : share * mean;
    vars = vars.defined() ? vars + share * var * n / (n - 1) : share * var * n / (n - 1);
    const auto wide = [](const Tensor& v) { return v.view({1, -1, 1, 1}); };
    return torch::relu((y - wide(mean)) / wide((var + 1e-5).sqrt()) *
                           wide(tensor_of(file, name + ".bn.weight")) +
                       wide(tensor_of(file, name + ".bn.bias")));
  };
  for (std::size_t r = 0; r < 2; ++r) {
    for (std::int64_t b = 0; b < 2; ++b) {
      const auto samples = reference.samplers[r].batch(1, b);
      const double share = (r == 0 ? 1.0 : 2.0) / 3 / 2;
      block(block(reference.batches.training_batch(reference.data.train, samples, 1), "prep", share),
            "layer1", share);
    }
  }
  for (const auto& [name, expected] : mean_and_var) {
    EXPECT_LT((tensor_of(file, name + ".bn.running_mean") - expected.first).abs().max().item<double>(), 1e-10)
        << name;
    EXPECT_LT((tensor_of(file, name + ".bn.running_var") - expected.second).abs().max().item<double>(), 1e-10)
        << name;
  }
}

TEST_F(WeightAveragingTest, AveragesNormStatisticsWhereNoneAreEstimated) {
  train(2, task({{"network", "resnet9"}, {"width", 0.125}, {"bn.batches", 0}}), "run",
        [](std::int64_t step) { return step == 8 ? AfterStep::save : AfterStep::go_on; });
  const std::string name = "layer2.bn.running_var";
  const Tensor a = tensor_of(SafetensorsFile(folder_ / "run" / "checkpoint-rank-0"), "model." + name);
  const Tensor b = tensor_of(SafetensorsFile(folder_ / "run" / "checkpoint-rank-1"), "model." + name);
  EXPECT_GT((a - b).abs().max().item<double>(), 1e-6) << "the ranks keep their own";
  EXPECT_LT((tensor_of(final_weights("run"), name) - (a + b) / 2).abs().max().item<double>(), 1e-12);
}

TEST_F(WeightAveragingTest, IsNotDisturbedByTests) {
  const Parameters more{{"network", "resnet9"}, {"width", 0.125}, {"precision", "fp32"}};
  train(2, task(more), "tested");
  train(2, task(joined(more, {{"evaluate_every", 0}})), "untested");
  EXPECT_EQ(final_weights("tested").checksum(), final_weights("untested").checksum());
}

class AveragingResumes : public WeightAveragingTest, public testing::WithParamInterface<Variant> {};
INSTANTIATE_TEST_SUITE_P(
    Variants, AveragingResumes,
    testing::Values(
        Variant{"cnn_outer_and_inner_momentum",
                3,
                {{"outer.momentum", 0.5}, {"average.momentum", true}, {"precision", "fp32"}}},
        Variant{"cnn_bf16_uneven",
                2,
                {{"precision", "bf16"},
                 {"split.shares", Value::List{Value(1.0), Value(2.0)}},
                 {"split.fixed", true}}},
        Variant{
            "resnet9_switched",
            2,
            {{"network", "resnet9"}, {"width", 0.125}, {"precision", "fp32"}, {"average.switch_epoch", 0.5}}},
        Variant{"one_rank", 1, {{"precision", "fp32"}}}),
    [](const auto& info) { return std::string(info.param.name); });

/// Stopped within a period, at an average, at an epoch's end, at the last step: the same weights and rows.
TEST_P(AveragingResumes, BitForBitAfterAnyStep) {
  const auto& [name, ranks, more] = GetParam();
  const Task t = task(more);
  const auto whole = train(ranks, t, "whole");
  for (const std::int64_t stop : {1, 3, 4, 5, 8}) {
    const std::string place = "stopped-" + std::to_string(stop);
    const auto first = train(ranks, t, place, [stop](std::int64_t step) {
      return step == stop ? AfterStep::save_and_stop : AfterStep::go_on;
    });
    EXPECT_EQ(first.outcome, Outcome::stopped);
    const auto second = train(ranks, t, place);
    EXPECT_EQ(second.outcome, Outcome::finished);
    EXPECT_EQ(final_weights(place).checksum(), final_weights("whole").checksum()) << "stopped after " << stop;
    for (const auto& [table, column] : {std::pair{"step", "loss"},
                                        {"epoch", "train_loss"},
                                        {"epoch", "test_loss"},
                                        {"average", "local_steps"},
                                        {"average", "distance"}}) {
      const auto rows = column_of_attempts({&first.metrics[0], &second.metrics[0]}, table, column);
      EXPECT_EQ(rows, column_of_attempts({&whole.metrics[0]}, table, column))
          << table << '.' << column << ", stopped after " << stop;
    }
  }
}

TEST_F(WeightAveragingTest, LogsTheMeanLossOfAllRanks) {
  const auto result = train(2, task({{"split.shares", Value::List{Value(1.0), Value(3.0)}}}), "run");
  const auto mine = result.metrics[0].column("step", "loss");
  const auto other = result.metrics[1].column("step", "loss");
  double expected = 0;
  for (std::size_t i = 4; i < 8; ++i) expected += (mine[i] / 4 + other[i] * 3 / 4) / 4;
  EXPECT_NEAR(result.metrics[0].column("epoch", "train_loss")[1], expected, 1e-12);
}

TEST_F(WeightAveragingTest, RefusesSharesThatAreNotTheRanks) {
  try {
    train(2, task({{"split.shares", Value::List{Value(1.0), Value(1.0), Value(1.0)}}}), "run");
    FAIL() << "took them";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::config);
    EXPECT_THAT(error.what(), testing::HasSubstr("one share a rank"));
  }
}

}  // namespace
}  // namespace muster::workloads
