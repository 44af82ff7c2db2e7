// The tensor_parallel workload: exact beside serial, checkpoints of any number of ranks, federated rounds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>
#include <cstring>

#include "core/error.hpp"
#include "tests/workloads/memory_context.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/training_state.hpp"
#include "workloads/tensor_parallel/exact_strategy.hpp"
#include "workloads/tensor_parallel/held_tensors.hpp"
#include "workloads/tensor_parallel/training.hpp"

namespace muster::workloads {
namespace {

namespace fs = std::filesystem;
using ::testing::Each;
using ::testing::Gt;
using ::testing::HasSubstr;

/// A slim ResNet-18 on 48 synthetic images, 4 steps an epoch of 12 images, in fp64.
Task task(const Parameters& more = {}) {
  Parameters given{{"network", "resnet18"},   {"width", 0.125}, {"data.samples", 48},
                   {"data.test_samples", 20}, {"epochs", 2},    {"batch", 12},
                   {"precision", "fp64"},     {"lr", 0.02},     {"data.classes", 4}};
  for (const auto& [name, value] : more) given[name] = value;
  Task result;
  result.workload = "tensor_parallel";
  result.parameters = resolve_parameters(tensor_parallel_schema(), given, {});
  return result;
}

class TensorParallelTest : public testing::Test {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    folder_ = fs::temp_directory_path() / ("muster-tp-" + name + "-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// Rank 0's metrics.
  MemoryMetrics train(int ranks, const Task& t, const std::string& place,
                      const std::function<AfterStep(std::int64_t)>& after = {}) {
    MemoryMetrics metrics;
    on_ranks(ranks, [&](Communicator& communicator) {
      MemoryContext context(t, communicator, folder_ / place, after);
      train_tensor_parallel(context);
      if (communicator.rank() == 0) metrics = context.recorded;
    });
    return metrics;
  }

  SafetensorsFile final_weights(const std::string& place) const {
    return SafetensorsFile(folder_ / place / "final.safetensors");
  }

  /// Largest difference of any tensor, beside its largest element.
  static double distance(const SafetensorsFile& a, const SafetensorsFile& b) {
    EXPECT_EQ(a.tensors().size(), b.tensors().size());
    double largest = 0;
    for (const TensorView& view : b.tensors()) {
      const TensorView* other = a.find(view.name);
      if (!other || other->shape != view.shape)
        throw std::logic_error(view.name + " is missing or has another shape");
      std::vector<double> x(view.bytes.size() / 8), y(x.size());
      std::memcpy(x.data(), other->bytes.data(), view.bytes.size());
      std::memcpy(y.data(), view.bytes.data(), view.bytes.size());
      double difference = 0, size = 1e-300;
      for (std::size_t i = 0; i < x.size(); ++i) {
        difference = std::max(difference, std::abs(x[i] - y[i]));
        size = std::max(size, std::abs(y[i]));
      }
      largest = std::max(largest, difference / size);
    }
    return largest;
  }

  fs::path checkpoint_of_four(const Task& t, std::int64_t stop);

  /// An epoch that was not tested has NaN there.
  static bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
  }

  fs::path folder_;
};

TEST(HeldTensors, CountsWhatOperationsLeaveInMemory) {
  const torch::Tensor before = torch::rand({1000}).requires_grad_(true);
  const HeldTensors held;
  torch::Tensor loss = before.exp().sin().sum();
  EXPECT_EQ(held.bytes(), 4000 + 4)
      << "exp's result for both backward passes, and the loss; not sin's result";
  torch::Tensor more = torch::empty({10}, torch::kFloat64);
  EXPECT_EQ(held.bytes(), 4000 + 4 + 80);
  loss.reset();
  EXPECT_EQ(held.bytes(), 80);
}

TEST_F(TensorParallelTest, EndsWithTheSerialNetworksWeights) {
  const auto serial = train(1, task(), "1");
  for (const int ranks : {2, 3, 4}) {
    const auto split = train(ranks, task(), std::to_string(ranks));
    EXPECT_LE(distance(final_weights(std::to_string(ranks)), final_weights("1")), 1e-9);
    EXPECT_NEAR(split.column("epoch", "test_loss").back(), serial.column("epoch", "test_loss").back(), 1e-9);
    EXPECT_EQ(split.column("block", "forward_bytes"), split.column("block", "closed_form_forward_bytes"));
    EXPECT_EQ(split.column("block", "backward_bytes"), split.column("block", "closed_form_backward_bytes"));
    EXPECT_THAT(split.column("block", "forward_bytes"), Each(Gt(0)));
    EXPECT_EQ(split.rows.at("block").size(), 16U) << "eight blocks, two epochs";
    ASSERT_EQ(split.rows.at("memory").size(), static_cast<std::size_t>(ranks));
    for (const double bytes : split.column("memory", "parameter_bytes")) {
      const double whole = split.column("memory", "whole_parameter_bytes")[0];
      EXPECT_LT(bytes, whole * (0.02 + 1.0 / ranks) * 1.1);
    }
    EXPECT_EQ(split.column("memory", "gradient_bytes"), split.column("memory", "parameter_bytes"));
    EXPECT_EQ(split.column("memory", "optimiser_bytes"), split.column("memory", "parameter_bytes"));
    // What lies between a block's convolutions is split, its input and output are not.
    const double activations = serial.column("memory", "activation_bytes")[0];
    for (const double bytes : split.column("memory", "activation_bytes")) {
      EXPECT_LT(bytes, activations);
      EXPECT_GT(bytes, activations / ranks);
    }
  }
}

/// Two networks, each in two parts, beside two whole ones: the same batches, the same averages.
TEST_F(TensorParallelTest, WorksInsideDataParallelism) {
  train(4, task({{"tp", 2}}), "inside");
  train(2, task({{"tp", 1}}), "data");
  EXPECT_LE(distance(final_weights("inside"), final_weights("data")), 1e-9);
}

TEST_F(TensorParallelTest, ResumesBitForBitAfterAnyStep) {
  const Task t = task({{"precision", "fp32"}, {"tp", 2}});
  train(4, t, "whole");
  for (const std::int64_t stop : {1, 4, 6}) {
    const std::string place = "stopped-" + std::to_string(stop);
    train(4, t, place,
          [stop](std::int64_t step) { return step == stop ? AfterStep::save_and_stop : AfterStep::go_on; });
    train(4, t, place);
    EXPECT_EQ(final_weights(place).checksum(), final_weights("whole").checksum()) << stop;
  }
}

/// The gang's size is the runner's to refuse; what is in the file is whole.
TEST_F(TensorParallelTest, ACheckpointServesAnyNumberOfRanks) {
  train(4, task(), "whole");
  for (const int ranks : {1, 2, 3}) {
    const std::string place = std::to_string(ranks);
    train(4, task(), place,
          [](std::int64_t step) { return step == 5 ? AfterStep::save_and_stop : AfterStep::go_on; });
    train(ranks, task(), place);
    EXPECT_LE(distance(final_weights(place), final_weights("whole")), 1e-9);
  }
}

/// The steps of `t` before `stop`, at 4 ranks; returns the checkpoint's file.
fs::path TensorParallelTest::checkpoint_of_four(const Task& t, std::int64_t stop) {
  train(4, t, "four",
        [stop](std::int64_t step) { return step == stop ? AfterStep::save_and_stop : AfterStep::go_on; });
  return folder_ / "four" / "checkpoint";
}

/// What the network of the file makes of a few images, held by `ranks`; all ranks see the same.
torch::Tensor outputs_of(const fs::path& weights, Task t, int ranks, const torch::Tensor& images) {
  t.parameters["pretrained"] = weights.string();
  t.parameters["seed"] = 77;  // Nothing of another start is left.
  const ImageParameters parameters = read_image_parameters(t);
  const NetworkOptions options{.name = parameters.network,
                               .classes = t.parameters.at("data.classes").as_int(),
                               .width = parameters.width,
                               .image_side = parameters.image_side};
  torch::Tensor outputs;
  on_ranks(ranks, [&](Communicator& communicator) {
    const torch::NoGradGuard no_grad;
    ExactStrategy strategy(read_tensor_parallel_options(t), nullptr);
    strategy.data_ranks(communicator);
    const auto network = strategy.network(options, parameters);
    network->eval();
    const torch::Tensor own = network->forward(
        images.to(parameters.precision.images).contiguous(torch::MemoryFormat::ChannelsLast));
    if (communicator.rank() == 0) outputs = own;
  });
  return outputs;
}

torch::Tensor some_images() {
  torch::manual_seed(5);
  return torch::randn({6, 3, 32, 32}, torch::kFloat64);
}

TEST_F(TensorParallelTest, ACheckpointOfFourRanksGivesTheSameOutputsAtAnyNumber) {
  const fs::path file = checkpoint_of_four(task(), 5);
  const torch::Tensor four = outputs_of(file, task(), 4, some_images());
  EXPECT_GT(four.std().item<double>(), 1e-3) << "outputs that say nothing";
  for (const int ranks : {1, 2, 3}) {
    const torch::Tensor other = outputs_of(file, task(), ranks, some_images());
    EXPECT_LE(((other - four).abs().max() / four.abs().max()).item<double>(), 1e-12) << ranks;
  }
}

struct PeerCase {
  const char* name;
  Parameters parameters;
  const char* needs;  ///< Python's modules
};

class CheckpointInPython : public TensorParallelTest, public testing::WithParamInterface<PeerCase> {};

TEST_P(CheckpointInPython, GivesTheSameOutputs) {
  const char* python = std::getenv("MUSTER_PEER_PYTHON");
  const std::string imports = "import " + std::string(GetParam().needs);
  if (!python || std::system((std::string(python) + " -c '" + imports + "' 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "needs a Python with torch: set MUSTER_PEER_PYTHON to one that can " << imports;
  Parameters parameters = GetParam().parameters;
  parameters["data.classes"] = 10;
  const Task t = task(parameters);
  const fs::path file = checkpoint_of_four(t, 2);
  const torch::Tensor images = some_images();
  const torch::Tensor outputs = outputs_of(file, t, 4, images);
  const NamedTensors record{{"images", images}, {"outputs", outputs}};
  write_safetensors(folder_ / "outputs.safetensors", TensorViews(record).views(),
                    {{"network", t.parameters.at("network").as_string()},
                     {"width", std::to_string(t.parameters.at("width").as_float())},
                     {"image_side", std::to_string(t.parameters.at("image_side").as_int())}});
  const std::string command = std::string(python) + " " + MUSTER_SOURCE_DIR +
                              "/tests/peers/check_checkpoint.py " + file.string() + " " +
                              (folder_ / "outputs.safetensors").string();
  EXPECT_EQ(std::system(command.c_str()), 0);
}

const Parameters kTorchvisions{
    {"network", "imagenet_resnet34"}, {"width", 1.0}, {"image_side", 64}, {"batch", 4}, {"lr", 1e-3}};
Parameters with(Parameters parameters, const char* name, const Value& value) {
  parameters[name] = value;
  return parameters;
}

INSTANTIATE_TEST_SUITE_P(
    Networks, CheckpointInPython,
    testing::Values(PeerCase{"CifarStem", {}, "torch"},
                    PeerCase{"ImageNetStem", {{"network", "imagenet_resnet34"}, {"image_side", 64}}, "torch"},
                    PeerCase{"TorchvisionsOwnInFp64", kTorchvisions, "torch, torchvision"},
                    PeerCase{"TorchvisionsOwnInFp32", with(kTorchvisions, "precision", "fp32"),
                             "torch, torchvision"}),
    [](const auto& info) { return info.param.name; });

TEST_F(TensorParallelTest, StartsFromPretrainedWeightsAndKeepsTheirScale) {
  train(2, task({{"epochs", 1}}), "first");
  const std::string file = (folder_ / "first" / "final.safetensors").string();
  const auto again = train(2, task({{"epochs", 1}, {"lr", 0.0}, {"pretrained", file}, {"seed", 9}}), "again");
  const auto serial =
      train(1, task({{"epochs", 1}, {"lr", 0.0}, {"pretrained", file}, {"seed", 9}}), "serial");
  EXPECT_LE(distance(final_weights("again"), final_weights("serial")), 1e-9);
  EXPECT_TRUE(std::ranges::equal(final_weights("again").find("fc.weight")->bytes,
                                 SafetensorsFile(file).find("fc.weight")->bytes));
  try {
    train(2, task({{"pretrained", file}, {"data.classes", 5}}), "other");
    FAIL() << "another head was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_THAT(error.problem(), HasSubstr("fc.weight: 4x64 in the file, 5x64 in the network"));
  }
  train(2,
        task({{"epochs", 1},
              {"pretrained", file},
              {"data.classes", 5},
              {"pretrained_may_differ", Value::List{"fc.*"}}}),
        "head");
}

TEST_F(TensorParallelTest, FederatedRoundsMakeOneNetworkOfTheSlices) {
  // Long enough for running statistics to forget where they began.
  Parameters rounds{{"mode", "federated"}, {"batch", 8}, {"epochs", 8}, {"evaluate_every", 4}};
  const auto metrics = train(2, task(rounds), "two");
  const SafetensorsFile weights = final_weights("two");
  EXPECT_EQ(weights.find("layer1.0.conv1.weight")->shape, (std::vector<std::int64_t>{8, 8, 3, 3}));
  EXPECT_THAT(metrics.column("round", "epoch"), ::testing::ElementsAre(4, 8));
  ASSERT_EQ(metrics.rows.at("norm").size(), 16U);
  // The sum of two partial results varies more than either.
  const auto partial = metrics.column("norm", "partial_variance");
  const auto whole = metrics.column("norm", "whole_variance");
  double ratio = 0;
  for (std::size_t i = 8; i < 16; ++i) ratio += whole[i] / partial[i] / 8;
  EXPECT_GT(ratio, 1.2);
  rounds["rebalance"] = true;
  const auto rebalanced = train(2, task(rounds), "rebalanced");
  EXPECT_LT(rebalanced.column("epoch", "test_loss").back(), metrics.column("epoch", "test_loss").back());
}

/// In a round's middle, at its end, and once all is done but the final weights.
TEST_F(TensorParallelTest, FederatedRoundsResumeBitForBitAfterAnyStep) {
  const Task t = task({{"mode", "federated"},
                       {"precision", "fp32"},
                       {"epochs", 4},
                       {"round_epochs", 2},
                       {"evaluate_every", 2},
                       {"rebalance", true}});
  const auto whole = train(2, t, "whole");
  for (const std::int64_t stop : {1, 4, 7, 8, 10, 16}) {
    const std::string place = "stopped-" + std::to_string(stop);
    const auto first = train(2, t, place, [stop](std::int64_t step) {
      return step == stop ? AfterStep::save_and_stop : AfterStep::go_on;
    });
    const auto second = train(2, t, place);
    EXPECT_EQ(final_weights(place).checksum(), final_weights("whole").checksum()) << stop;
    for (const auto& [table, name] : {std::pair{"epoch", "train_loss"},
                                      {"epoch", "test_loss"},
                                      {"step", "loss"},
                                      {"round", "epoch"},
                                      {"norm", "partial_variance"},
                                      {"norm", "whole_variance"}}) {
      EXPECT_TRUE(same_bits(column_of_attempts({&first, &second}, table, name), whole.column(table, name)))
          << table << "." << name << ", stopped after " << stop;
    }
  }
}

TEST_F(TensorParallelTest, FederatedOnOneRankIsSerialTraining) {
  train(1, task(), "serial");
  train(1, task({{"mode", "federated"}}), "federated");
  EXPECT_EQ(final_weights("federated").checksum(), final_weights("serial").checksum());
}

TEST_F(TensorParallelTest, RefusesWhatDoesNotGoTogether) {
  for (const Parameters& wrong : {Parameters{{"mode", "federated"}, {"tp", 2}},
                                  {{"rebalance", true}},
                                  {{"pretrained", ""}},
                                  {{"tp", 3}}}) {
    try {
      train(4, task(wrong), "wrong");
      FAIL() << "was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::config) << error.what();
    }
  }
}

}  // namespace
}  // namespace muster::workloads
