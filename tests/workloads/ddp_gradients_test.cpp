/// What data parallelism must compute, on real processes, in fp64. Prints the distances:
/// tests/prove/gradients runs it.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "runner/comm/mpi_session.hpp"
#include "workloads/common/exchange/gradient_exchange.hpp"
#include "workloads/common/exchange/sync_batch_norm.hpp"
#include "workloads/common/models/network.hpp"
#include "workloads/common/sgd.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

constexpr std::int64_t kBatch = 12;
constexpr std::int64_t kClasses = 10;

std::unique_ptr<Communicator> world;

/// Times the channels of ResNet-9.
double width() {
  const char* given = std::getenv("MUSTER_PROOF_WIDTH");
  return given ? std::atof(given) : 0.25;
}

BatchNormFunction synchronised() {
  return [](const torch::Tensor& input, const torch::Tensor& weight, const torch::Tensor& bias,
            const torch::Tensor& mean, const torch::Tensor& var, const BatchNormOptions& options) {
    return sync_batch_norm(*world, input, weight, bias, mean, var, {options.epsilon, options.momentum});
  };
}

std::shared_ptr<Network> network(const char* name, const BatchNormFunction& norm = {}) {
  auto net = make_network({.name = name, .classes = kClasses, .width = width(), .batch_norm = norm}, 11);
  net->to(torch::kDouble);
  return net;
}

struct Batch {
  torch::Tensor images, labels;
  Batch part(std::int64_t rank, std::int64_t ranks) const {
    const std::int64_t size = images.size(0) / ranks;
    return {images.narrow(0, rank * size, size), labels.narrow(0, rank * size, size)};
  }
};

Batch batch(std::uint64_t seed, torch::Dtype type = torch::kDouble) {
  auto generator = at::detail::createCPUGenerator(seed);
  return {torch::randn({kBatch, 3, 32, 32}, generator, torch::kDouble)
              .to(type)
              .contiguous(torch::MemoryFormat::ChannelsLast),
          torch::randint(kClasses, {kBatch}, generator, torch::kLong)};
}

torch::Tensor loss_of(Network& net, const Batch& b) {
  return torch::cross_entropy_loss(net.forward(b.images), b.labels);
}

std::vector<torch::Tensor> take_gradients(Network& net) {
  std::vector<torch::Tensor> gradients;
  for (auto& p : net.parameters()) {
    gradients.push_back(p.grad().clone());
    p.mutable_grad() = torch::Tensor();
  }
  return gradients;
}

/// Largest distance of a tensor from its expected value, relative to the latter's norm.
double distance(const std::vector<torch::Tensor>& got, const std::vector<torch::Tensor>& expected) {
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, ((got[i] - expected[i]).norm() / expected[i].norm()).item<double>());
  }
  return worst;
}

void tell(const char* what, double value) {
  if (world->rank() == 0) std::printf("%d ranks  %-62s %.2e\n", world->size(), what, value);
}

/// The exchange's gradients of two backward passes: before and after the buckets settle.
std::vector<std::vector<torch::Tensor>> exchanged(Network& net, const Batch& whole,
                                                  ExchangeAlgorithm algorithm = ExchangeAlgorithm::library) {
  GradientExchange exchange(*world, net.parameters(), {.algorithm = algorithm, .bucket_mb = 0.25});
  std::vector<std::vector<torch::Tensor>> result;
  for (int pass = 0; pass < 2; ++pass) {
    exchange.backward(loss_of(net, whole.part(world->rank(), world->size())));
    result.push_back(take_gradients(net));
  }
  return result;
}

std::vector<torch::Tensor> full_batch_gradients(const char* name, const Batch& whole) {
  auto reference = network(name);
  loss_of(*reference, whole).backward();
  return take_gradients(*reference);
}

TEST(Gradients, EqualTheFullBatchsWithoutBatchNorm) {
  const Batch whole = batch(1);
  const auto expected = full_batch_gradients("plain9", whole);
  auto net = network("plain9");
  double far = 0;
  for (const auto& got : exchanged(*net, whole)) far = std::max(far, distance(got, expected));
  EXPECT_LT(far, 1e-12);
  tell("plain ResNet-9: gradients from the full batch's", far);
}

TEST(Gradients, EqualTheFullBatchsWithSyncBatchNorm) {
  const Batch whole = batch(2);
  const auto expected = full_batch_gradients("resnet9", whole);
  auto net = network("resnet9", synchronised());
  double far = 0;
  for (const auto& got : exchanged(*net, whole)) far = std::max(far, distance(got, expected));
  EXPECT_LT(far, 1e-12);
  tell("ResNet-9 with SyncBN: gradients from the full batch's", far);
}

TEST(Gradients, EqualTheMeanOfTheShardsWithLocalBatchNorm) {
  const Batch whole = batch(3);
  std::vector<torch::Tensor> expected;
  for (int r = 0; r < world->size(); ++r) {
    auto reference = network("resnet9");
    loss_of(*reference, whole.part(r, world->size())).backward();
    const auto shard = take_gradients(*reference);
    for (std::size_t i = 0; i < shard.size(); ++i) {
      if (r == 0) expected.push_back(torch::zeros_like(shard[i]));
      expected[i] += shard[i] / world->size();
    }
  }
  auto net = network("resnet9");
  double far = 0;
  for (const auto& got : exchanged(*net, whole)) far = std::max(far, distance(got, expected));
  EXPECT_LT(far, 1e-12);
  tell("ResNet-9 with local BN: gradients from the shards' mean", far);
}

class GradientsOfAlgorithm : public testing::TestWithParam<ExchangeAlgorithm> {};
std::string case_name(const ::testing::TestParamInfo<GradientsOfAlgorithm::ParamType>& info) {
  const char* const names[] = {"library", "ring", "tree", "parameter_server"};
  return std::string(names[static_cast<int>(info.param)]);
}

INSTANTIATE_TEST_SUITE_P(, GradientsOfAlgorithm,
                         testing::Values(ExchangeAlgorithm::library, ExchangeAlgorithm::ring,
                                         ExchangeAlgorithm::tree, ExchangeAlgorithm::parameter_server),
                         case_name);

TEST_P(GradientsOfAlgorithm, AreTheSameSumsWithTheBytesOfItsFormula) {
  const ExchangeAlgorithm algorithm = GetParam();
  const Batch whole = batch(4);
  const auto expected = full_batch_gradients("plain9", whole);
  auto net = network("plain9");
  GradientExchange exchange(*world, net->parameters(), {.algorithm = algorithm, .bucket_mb = 0.25});
  double gradient_bytes = 0;
  for (const auto& p : net->parameters()) gradient_bytes += static_cast<double>(p.nbytes());
  exchange.backward(loss_of(*net, whole.part(world->rank(), world->size())));
  take_gradients(*net);
  const auto buckets = static_cast<double>(exchange.buckets().buckets.size());

  world->barrier();
  const Traffic before = world->traffic();
  exchange.backward(loss_of(*net, whole.part(world->rank(), world->size())));
  const Traffic after = world->traffic();
  EXPECT_LT(distance(take_gradients(*net), expected), 1e-12);
  EXPECT_EQ(static_cast<double>(after.payload_bytes - before.payload_bytes), gradient_bytes);
  EXPECT_EQ(static_cast<double>(after.collectives - before.collectives), buckets);

  const double sent = static_cast<double>(after.bytes_sent - before.bytes_sent);
  double all_sent = sent;
  world->all_reduce(&all_sent, 1, DType::f64, ReduceOp::sum)->wait();
  const int n = world->size();
  const int r = world->rank();
  const char* name = "library";
  if (algorithm == ExchangeAlgorithm::ring) {
    name = "ring";
    EXPECT_EQ(all_sent, 2.0 * (n - 1) * gradient_bytes);
    // A bucket that n does not divide has pieces that differ by one element.
    EXPECT_NEAR(sent, 2.0 * (n - 1) / n * gradient_bytes, 2 * (n - 1) * 8 * buckets);
  } else if (algorithm == ExchangeAlgorithm::tree) {
    name = "tree";
    EXPECT_EQ(all_sent, 2.0 * (n - 1) * gradient_bytes);
  } else if (algorithm == ExchangeAlgorithm::parameter_server) {
    name = "parameter_server";
    EXPECT_EQ(sent, r == 0 ? (n - 1) * gradient_bytes : gradient_bytes);
  }
  if (r == 0) {
    std::printf("%d ranks  %-16s gradients %.0f B, sent by rank 0 %.0f B, by all %.0f B\n", n, name,
                gradient_bytes, sent, all_sent);
  }
}

TEST(Parameters, AreBitwiseTheSameOnAllRanksAfterFiftySteps) {
  auto net = make_network({.name = "resnet9", .classes = kClasses, .width = 0.125}, 100 + world->rank());
  std::vector<torch::Tensor> start;
  for (const auto& [name, tensor] : named_tensors(*net)) start.push_back(tensor);
  broadcast_from_first(*world, start);
  Sgd optimiser(named_parameters(*net), {});
  GradientExchange exchange(*world, net->parameters(), {.bucket_mb = 0.05});
  for (std::uint64_t step = 0; step < 50; ++step) {
    optimiser.clear_gradients();
    exchange.backward(loss_of(*net, batch(1000 + step, torch::kFloat).part(world->rank(), world->size())));
    optimiser.step(0.02);
  }
  for (const auto& p : net->parameters()) {
    auto low = p.detach().view(-1).clone().view(torch::kInt);
    auto high = low.clone();
    const auto count = static_cast<std::size_t>(low.numel());
    world->all_reduce(low.mutable_data_ptr(), count, DType::i32, ReduceOp::minimum)->wait();
    world->all_reduce(high.mutable_data_ptr(), count, DType::i32, ReduceOp::maximum)->wait();
    EXPECT_TRUE(torch::equal(low, high));
    EXPECT_TRUE(p.isfinite().all().item<bool>());
  }
  if (world->rank() == 0) std::printf("%d ranks  parameters after 50 steps: bits compared\n", world->size());
}

}  // namespace
}  // namespace muster::workloads

int main(int argc, char** argv) {
  muster::MpiSession session;
  if (session.rank() != 0) GTEST_FLAG_SET(brief, true);
  testing::InitGoogleTest(&argc, argv);
  torch::set_num_threads(1);
  muster::workloads::world = session.world();
  // A rank that fails alone ends with the others: all leave with the worst status.
  std::int64_t status = RUN_ALL_TESTS();
  muster::workloads::world->all_reduce(&status, 1, muster::DType::i64, muster::ReduceOp::maximum)->wait();
  muster::workloads::world.reset();
  return static_cast<int>(status);
}
