#include "workloads/compressed/training.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "core/error.hpp"
#include "tests/workloads/memory_context.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/exchange/gradient_compression.hpp"
#include "workloads/common/image_training/compressed_gradients.hpp"
#include "workloads/common/training_state.hpp"
#include "workloads/ddp/training.hpp"

namespace muster::workloads {
namespace {

namespace fs = std::filesystem;
using torch::Tensor;

torch::nn::Sequential network(std::uint64_t seed) {
  torch::nn::Sequential net(torch::nn::Linear(12, 60), torch::nn::ReLU(), torch::nn::Linear(60, 70),
                            torch::nn::Tanh(), torch::nn::Linear(70, 5));
  auto generator = at::detail::createCPUGenerator(seed);
  torch::NoGradGuard no_grad;
  for (auto& p : net->parameters()) p.normal_(0, 0.3, generator);
  return net;
}

Tensor loss_of(torch::nn::Sequential& net, int rank, int step) {
  auto generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(100 * step + rank));
  return torch::cross_entropy_loss(net->forward(torch::randn({6, 12}, generator)),
                                   torch::randint(5, {6}, generator, torch::kLong));
}

Tensor flat(const torch::nn::Sequential& net) {
  std::vector<Tensor> gradients;
  for (const auto& p : net->parameters()) gradients.push_back(p.grad().flatten());
  return torch::cat(gradients);
}

JoinOptions options_of(const std::string& method) {
  JoinOptions options;
  options.compressor.method = method;
  options.compressor.ratio = 0.1;
  options.error_feedback = method != "none";
  options.algorithm = ExchangeAlgorithm::library;
  return options;
}

/// Rank 0's gradients after three steps that change no weights.
Tensor exchanged(int ranks, const std::string& method, const JoinedParameters& together, double bucket_mb) {
  Tensor result;
  on_ranks(ranks, [&](Communicator& communicator) {
    torch::set_num_threads(1);
    auto net = network(1);
    GradientCompression compression(communicator, named_parameters(*net), together, options_of(method));
    ExchangeOptions options{.algorithm = ExchangeAlgorithm::library, .bucket_mb = bucket_mb};
    compression.install(options);
    GradientExchange exchange(communicator, net->parameters(), options);
    for (int step = 0; step < 3; ++step) {
      net->zero_grad();
      compression.begin_step(step, 0.1, true);
      exchange.backward(loss_of(net, communicator.rank(), step));
    }
    if (communicator.rank() == 0) result = flat(net);
  });
  return result;
}

/// The same without a network's exchange: each rank's gradients put into a joiner, the ones together behind
/// the others.
Tensor joined(int ranks, const std::string& method, const JoinedParameters& together) {
  Tensor result;
  on_ranks(ranks, [&](Communicator& communicator) {
    torch::set_num_threads(1);
    auto net = network(1);
    std::vector<Layer> layers;
    Layer group{"together", static_cast<std::uint32_t>(together.empty() ? 0 : together.front()), 0, 1};
    std::vector<Tensor> places;  // of each gradient's elements in the row of all parameters
    std::vector<Tensor> group_places;
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < net->parameters().size(); ++i) {
      const Tensor parameter = net->parameters()[i];
      const Tensor place = torch::arange(begin, begin + parameter.numel());
      begin += parameter.numel();
      if (std::count(together.begin(), together.end(), i) > 0) {
        group.elements += parameter.numel();
        group_places.push_back(place);
      } else {
        layers.push_back({"alone", static_cast<std::uint32_t>(i), parameter.numel(),
                          parameter.dim() > 1 ? parameter.size(0) : 1});
        places.push_back(place);
      }
    }
    if (!together.empty()) layers.push_back(group);
    places.insert(places.end(), group_places.begin(), group_places.end());
    const Tensor order = torch::cat(places);
    GradientJoiner joiner(communicator, layers, options_of(method));
    Tensor values;
    for (int step = 0; step < 3; ++step) {
      net->zero_grad();
      loss_of(net, communicator.rank(), step).backward();
      values = flat(net).index_select(0, order);
      joiner.begin_step(step, 0.1, false);
      std::vector<ReadyGradient> ready;
      auto* place = values.data_ptr<float>();
      for (std::size_t i = 0; i < layers.size(); ++i) {
        ready.push_back({i, place});
        place += layers[i].elements;
      }
      joiner.join(ready);
    }
    if (communicator.rank() == 0) result = torch::empty_like(values).index_copy_(0, order, values);
  });
  return result;
}

const JoinedParameters kNone, kAll{0, 1, 2, 3, 4, 5};

class GradientCompressionOf : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Methods, GradientCompressionOf, testing::ValuesIn(compressor_names()),
                         [](const auto& info) { return info.param; });

TEST_P(GradientCompressionOf, LeavesTheJoinersMeanWhateverTheBuckets) {
  for (const int ranks : {1, 2, 3}) {
    const Tensor expected = joined(ranks, GetParam(), kNone);
    for (const double bucket_mb : {0.005, 25.0}) {
      EXPECT_TRUE(torch::equal(exchanged(ranks, GetParam(), kNone, bucket_mb), expected))
          << ranks << " ranks, buckets of " << bucket_mb << " MiB";
    }
  }
}

TEST_P(GradientCompressionOf, CompressesTheEntireModelAsOne) {
  if (GetParam() == "powersgd") {
    EXPECT_THROW(exchanged(1, GetParam(), kAll, 0.005), Error);
    return;
  }
  for (const int ranks : {1, 2, 3}) {
    const Tensor result = exchanged(ranks, GetParam(), kAll, 0.005);
    EXPECT_TRUE(torch::equal(result, joined(ranks, GetParam(), kAll))) << ranks;
    if (ranks == 1 && GetParam() == "topk") {
      EXPECT_EQ(result.count_nonzero().item<std::int64_t>(), result.numel() / 10);
    }
  }
}

TEST_P(GradientCompressionOf, CompressesSomeLayersAsOneAndOthersByThemselves) {
  if (GetParam() == "powersgd") return;
  for (const JoinedParameters& together : {JoinedParameters{1, 3, 5}, JoinedParameters{0, 1}}) {
    for (const int ranks : {1, 3}) {
      const Tensor expected = joined(ranks, GetParam(), together);
      for (const double bucket_mb : {0.005, 25.0}) {
        EXPECT_TRUE(torch::equal(exchanged(ranks, GetParam(), together, bucket_mb), expected))
            << ranks << " ranks, buckets of " << bucket_mb << " MiB, the first of them " << together[0];
      }
    }
  }
}

TEST(GradientCompression, EndsTheBackwardPassWithAnErrorThatNamesTheLayer) {
  on_ranks(2, [](Communicator& communicator) {
    auto net = network(1);
    GradientCompression compression(communicator, named_parameters(*net), kNone, options_of("topk"));
    ExchangeOptions options;
    compression.install(options);
    GradientExchange exchange(communicator, net->parameters(), options);
    compression.begin_step(0, 0.1, false);
    try {
      exchange.backward(loss_of(net, 0, 0) * std::numeric_limits<double>::quiet_NaN());
      ADD_FAILURE() << "took it";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::diverged);
      EXPECT_THAT(error.problem(), testing::ContainsRegex("gradient of [0-9].(weight|bias) is NaN"));
    }
  });
}

TEST(GradientCompression, RefusesDoublePrecision) {
  on_ranks(1, [](Communicator& communicator) {
    auto net = network(1);
    net->to(torch::kDouble);
    EXPECT_THROW(GradientCompression(communicator, named_parameters(*net), kNone, options_of("topk")), Error);
  });
}

Task task(const WorkloadSchema& schema, const Parameters& more) {
  Parameters given{
      {"width", 0.125}, {"data.samples", 96}, {"data.test_samples", 30},     {"epochs", 2},
      {"batch", 24},    {"lr", 0.05},         {"schedule.kind", "constant"}, {"exchange.bucket_mb", 0.05}};
  for (const auto& [name, value] : more) given[name] = value;
  Task result;
  result.workload = schema.name;
  result.parameters = resolve_parameters(schema, given, {});
  return result;
}

class CompressedTrainingTest : public testing::Test {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    folder_ = fs::temp_directory_path() / ("muster-compressed-" + name + "-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  MemoryMetrics train(int ranks, const Parameters& parameters, const std::string& place,
                      const std::function<AfterStep(std::int64_t)>& after = {}, bool ddp = false) {
    MemoryMetrics metrics;
    on_ranks(ranks, [&](Communicator& communicator) {
      MemoryContext context(task(ddp ? ddp_schema() : compressed_schema(), parameters), communicator,
                            folder_ / place, after);
      ddp ? train_ddp(context) : train_compressed(context);
      if (communicator.rank() == 0) metrics = context.recorded;
    });
    return metrics;
  }
  std::string final_weights(const std::string& place) const {
    return SafetensorsFile(folder_ / place / "final.safetensors").checksum();
  }

  fs::path folder_;
};

TEST_F(CompressedTrainingTest, WritesWhatEachStepSentBesideTheClosedForm) {
  const auto metrics = train(3, {{"exchange.compressor", "topk"}, {"exchange.ratio", 0.1}}, "run");
  const auto sent = metrics.column("compression", "bytes_sent");
  ASSERT_EQ(sent.size(), 8U);
  EXPECT_EQ(sent, metrics.column("compression", "closed_form_sent"));
  EXPECT_EQ(metrics.column("compression", "bytes_received"),
            metrics.column("compression", "closed_form_received"));
  EXPECT_EQ(sent[0], 2 * 8 * metrics.column("compression", "kept")[0]);
  EXPECT_EQ(metrics.column("layer", "layer").size(), 8U * 25);
  for (const double error : metrics.column("compression", "error")) EXPECT_TRUE(error > 0 && error < 1);
  // Nothing else is sent but the mean loss, of which `library` does not tell, and the buckets once.
  const auto all = metrics.column("step", "bytes_sent");
  EXPECT_GT(all[0], sent[0]);
  EXPECT_EQ(std::vector<double>(all.begin() + 1, all.end()),
            std::vector<double>(sent.begin() + 1, sent.end()));
}

TEST_F(CompressedTrainingTest, ContinuesBitForBitInMidEpochWithItsResiduals) {
  const std::vector<Parameters> cases{
      {{"exchange.compressor", "topk"},
       {"exchange.ratio", 0.05},
       {"exchange.error_feedback", true},
       {"exchange.momentum_correction", true},
       {"momentum", 0.9},
       {"exchange.warm_up_ratio", 0.5},
       {"exchange.warm_up_epochs", 1.5}},
      {{"exchange.compressor", "qsgd"},
       {"exchange.granularity", "entire_model"},
       {"exchange.error_feedback", true}},
      {{"exchange.compressor", "powersgd"}, {"exchange.error_feedback", true}, {"exchange.powersgd_rank", 1}},
      {{"exchange.compressor", "qsgd"}, {"exchange.granularity", "auto"}, {"exchange.error_feedback", true}},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string name = std::to_string(i);
    train(2, cases[i], "whole" + name);
    for (const std::int64_t stop : {1, 6}) {
      const std::string place = name + "stopped" + std::to_string(stop);
      train(2, cases[i], place,
            [&](std::int64_t step) { return step == stop ? AfterStep::save_and_stop : AfterStep::go_on; });
      train(2, cases[i], place);
      EXPECT_EQ(final_weights(place), final_weights("whole" + name))
          << "case " << i << ", stopped at " << stop;
    }
  }
}

TEST_F(CompressedTrainingTest, ChoosesGranularityByLayerAndSaysSo) {
  const auto joined_by = [&](const char* method) {
    const auto metrics = train(
        2, {{"exchange.compressor", method}, {"exchange.ratio", 0.02}, {"exchange.granularity", "auto"}},
        method);
    const auto joined = metrics.column("granularity", "joined");
    EXPECT_EQ(joined.size(), 25U);
    const auto together = static_cast<std::size_t>(std::count(joined.begin(), joined.end(), 1.0));
    EXPECT_EQ(metrics.column("layer", "layer").size(), 8U * (25 - together + (together > 0 ? 1 : 0)))
        << method;
    EXPECT_EQ(metrics.column("compression", "bytes_sent"), metrics.column("compression", "closed_form_sent"));
    return together;
  };
  EXPECT_EQ(joined_by("topk"), 25U) << "what is large anywhere goes first";
  EXPECT_EQ(joined_by("terngrad"), 0U) << "one scale for all leaves more error, and saves 4 bytes a layer";
  const std::size_t rounded = joined_by("qsgd");
  EXPECT_GT(rounded, 1U) << "the small layers of like norm";
  EXPECT_LT(rounded, 13U);
}

TEST_F(CompressedTrainingTest, IsOneOfDdpsExchanges) {
  const Parameters parameters{{"exchange.compressor", "terngrad"}, {"momentum", 0.0}, {"weight_decay", 5e-4}};
  const auto metrics = train(2, parameters, "ddp", {}, true);
  EXPECT_EQ(metrics.column("compression", "step").size(), 8U);
  Parameters same = parameters;
  same["augment.cutout"] = 0;
  same["schedule.reference_batch"] = 0;
  train(2, same, "compressed");
  EXPECT_EQ(final_weights("ddp"), final_weights("compressed"));
  EXPECT_THROW(train(2, {{"exchange.compressor", "topk"}, {"sync_bn", true}}, "both", {}, true), Error);
}

TEST_F(CompressedTrainingTest, TrainsTheSameWithEitherTransport) {
  for (const std::string method : {"topk", "qsgd"}) {
    const auto by = [&](const char* transport) {
      train(2, {{"exchange.compressor", method}, {"exchange.transport", transport}}, method + transport);
      return final_weights(method + transport);
    };
    EXPECT_EQ(by("packed"), by("dense")) << method;
  }
}

TEST_F(CompressedTrainingTest, BeginsResidualBranchesAtZeroAndSparesNormsTheDecay) {
  const auto weights = [&](const Parameters& parameters, const std::string& place) {
    train(1, parameters, place);
    return std::make_unique<SafetensorsFile>(folder_ / place / "final.safetensors");
  };
  const auto all_equal = [](const SafetensorsFile& file, const char* name, float value) {
    const TensorView* view = file.find(name);
    const auto* data = reinterpret_cast<const float*>(view->bytes.data());
    return std::all_of(data, data + view->bytes.size() / 4, [&](float each) { return each == value; });
  };
  // A learning rate of zero leaves what training began with.
  const auto still = weights({{"init_bn0", true}, {"lr", 0.0}, {"epochs", 1}}, "still");
  EXPECT_TRUE(all_equal(*still, "residual1b.bn.weight", 0));
  EXPECT_TRUE(all_equal(*still, "residual3b.bn.weight", 0));
  EXPECT_TRUE(all_equal(*still, "residual1a.bn.weight", 1));
  // Nearly no gradient gets through a threshold of 1e30: what moves is decay.
  Parameters decayed{{"exchange.compressor", "thresholdv"},
                     {"exchange.threshold", 1e30},
                     {"weight_decay", 0.1},
                     {"epochs", 1}};
  EXPECT_FALSE(all_equal(*weights(decayed, "decayed"), "prep.bn.weight", 1));
  decayed["no_bn_weight_decay"] = true;
  const auto spared = weights(decayed, "spared");
  EXPECT_TRUE(all_equal(*spared, "prep.bn.weight", 1));
}

TEST_F(CompressedTrainingTest, TrainsAlexNet) {
  const auto metrics =
      train(2, {{"network", "alexnet"}, {"exchange.compressor", "none"}, {"epochs", 1}}, "run");
  EXPECT_EQ(metrics.column("compression", "step").size(), 4U);
}

TEST(AlexNet, HasTheParametersOfTheSmallOneWithBatchNormalisation) {
  std::int64_t count = 0;
  const auto net = make_network({.name = "alexnet"}, 1);
  for (const auto& p : net->parameters()) count += p.numel();
  EXPECT_EQ(count, 2255296);
  EXPECT_EQ(net->parameters().size(), 16U);
}

TEST(CompressionSettings, WarmUpByEqualFactorsAsTheDeepGradientCompressionPaper) {
  CompressionSettings settings;
  settings.join.compressor.ratio = 0.001;
  EXPECT_EQ(ratio_at(settings, 0), 0.001);
  settings.warm_up_ratio = 0.25;
  // 75 %, 93.75 %, 98.4375 %, 99.6 %, 99.9 % left out.
  const double paper[] = {0.25, 0.0625, 0.015625, 0.004, 0.001, 0.001};
  for (int epoch = 0; epoch < 6; ++epoch) EXPECT_NEAR(ratio_at(settings, epoch) / paper[epoch], 1, 0.02);
}

TEST(CompressionSettings, MoveMomentumOutOfTheOptimiser) {
  const Task given = task(ddp_schema(), {{"exchange.compressor", "topk"},
                                         {"exchange.error_feedback", true},
                                         {"exchange.momentum_correction", true},
                                         {"momentum", 0.9},
                                         {"nesterov", true},
                                         {"weight_decay", 5e-4}});
  ImageParameters parameters = read_image_parameters(given);
  const auto settings = read_compression(given, ExchangeAlgorithm::ring, parameters, false);
  EXPECT_EQ(settings->join.momentum, 0.9);
  EXPECT_TRUE(settings->join.nesterov);
  EXPECT_EQ(parameters.sgd.momentum, 0);
  EXPECT_NEAR(parameters.sgd.weight_decay, 5e-3, 1e-12);
}

}  // namespace
}  // namespace muster::workloads
