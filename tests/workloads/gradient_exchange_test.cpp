#include "workloads/common/exchange/gradient_exchange.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/error.hpp"
#include "tests/workloads/rank_threads.hpp"

namespace muster::workloads {
namespace {

constexpr int kInputs = 12;
constexpr int kBatch = 12;

/// A network without batch normalisation whose layers fall into several buckets of 0.01 MiB.
torch::nn::Sequential network(std::uint64_t seed) {
  torch::nn::Sequential net(torch::nn::Linear(kInputs, 60), torch::nn::ReLU(), torch::nn::Linear(60, 70),
                            torch::nn::Tanh(), torch::nn::Linear(70, 50), torch::nn::Linear(50, 5));
  net->to(torch::kDouble);
  auto generator = at::detail::createCPUGenerator(seed);
  torch::NoGradGuard no_grad;
  for (auto& p : net->parameters()) p.normal_(0, 0.3, generator);
  return net;
}

struct Batch {
  torch::Tensor inputs, labels;
};

Batch batch(std::uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  return {torch::randn({kBatch, kInputs}, generator, torch::kDouble),
          torch::randint(5, {kBatch}, generator, torch::kLong)};
}

torch::Tensor loss_of(torch::nn::Sequential& net, const Batch& b, int rank, int ranks) {
  const int part = kBatch / ranks;
  return torch::cross_entropy_loss(net->forward(b.inputs.narrow(0, rank * part, part)),
                                   b.labels.narrow(0, rank * part, part));
}

std::vector<torch::Tensor> gradients(const torch::nn::Sequential& net) {
  std::vector<torch::Tensor> result;
  for (const auto& p : net->parameters()) result.push_back(p.grad().clone());
  return result;
}

double distance(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, ((a[i] - b[i]).norm() / b[i].norm()).item<double>());
  }
  return worst;
}

void descend(torch::nn::Sequential& net) {
  torch::NoGradGuard no_grad;
  for (auto& p : net->parameters()) p.add_(p.grad(), -0.1);
  net->zero_grad();
}

class GradientExchangeOn : public testing::TestWithParam<std::tuple<int, ExchangeAlgorithm>> {};
std::string case_name(const ::testing::TestParamInfo<GradientExchangeOn::ParamType>& info) {
  const char* const names[] = {"library", "ring", "tree", "parameter_server"};
  return std::to_string(std::get<0>(info.param)) + "_ranks_" +
         names[static_cast<int>(std::get<1>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(RanksAndAlgorithms, GradientExchangeOn,
                         testing::Combine(testing::Values(1, 2, 3, 4),
                                          testing::Values(ExchangeAlgorithm::library, ExchangeAlgorithm::ring,
                                                          ExchangeAlgorithm::tree,
                                                          ExchangeAlgorithm::parameter_server)),
                         case_name);

TEST_P(GradientExchangeOn, GivesEveryRankTheFullBatchsGradients) {
  const auto [ranks, algorithm] = GetParam();
  auto reference = network(1);
  std::vector<std::vector<torch::Tensor>> expected;
  for (int step = 0; step < 4; ++step) {
    loss_of(reference, batch(100 + step), 0, 1).backward();
    expected.push_back(gradients(reference));
    descend(reference);
  }
  std::vector<torch::nn::Sequential> nets;
  for (int r = 0; r < ranks; ++r) nets.push_back(network(1));
  on_ranks(ranks, [&, algorithm = algorithm](Communicator& communicator) {
    auto& net = nets[static_cast<std::size_t>(communicator.rank())];
    GradientExchange exchange(communicator, net->parameters(), {.algorithm = algorithm, .bucket_mb = 0.01});
    for (int step = 0; step < 4; ++step) {
      exchange.backward(loss_of(net, batch(100 + step), communicator.rank(), communicator.size()));
      EXPECT_LT(distance(gradients(net), expected[static_cast<std::size_t>(step)]), 1e-12) << "step " << step;
      descend(net);
    }
    if (communicator.size() > 1) {
      EXPECT_GT(exchange.buckets().buckets.size(), 2U);
    }
  });
  for (int r = 1; r < ranks; ++r) {
    for (std::size_t i = 0; i < nets[0]->parameters().size(); ++i) {
      EXPECT_TRUE(torch::equal(nets[0]->parameters()[i], nets[static_cast<std::size_t>(r)]->parameters()[i]));
    }
  }
}

TEST(GradientExchange, SettlesItsBucketsInTheOrderOfReadinessAfterOneBackwardPass) {
  on_ranks(2, [](Communicator& communicator) {
    auto net = network(1);
    GradientExchange exchange(communicator, net->parameters(), {.bucket_mb = 0.01});
    const BucketAssignment before = exchange.buckets();
    EXPECT_FALSE(before.settled);
    exchange.backward(loss_of(net, batch(5), communicator.rank(), 2));
    const BucketAssignment after = exchange.buckets();
    EXPECT_TRUE(after.settled);
    EXPECT_NE(after.buckets, before.buckets);
    EXPECT_GE(after.buckets.front().front(), 6U) << "the last layer's gradients come first";
    descend(net);
    exchange.backward(loss_of(net, batch(6), communicator.rank(), 2));
    EXPECT_EQ(exchange.buckets(), after);
  });
}

/// Ring sums depend on where an element lies in its bucket: another assignment gives other bits.
TEST(GradientExchange, ContinuesBitForBitFromASavedAssignmentAfterAnyStep) {
  constexpr int kRanks = 3;
  constexpr int kSteps = 5;
  const auto train = [](Communicator& communicator, torch::nn::Sequential& net, int from, int to,
                        std::optional<BucketAssignment> buckets) {
    GradientExchange exchange(communicator, net->parameters(),
                              {.algorithm = ExchangeAlgorithm::ring, .bucket_mb = 0.01, .buckets = buckets});
    for (int step = from; step < to; ++step) {
      exchange.backward(loss_of(net, batch(200 + step), communicator.rank(), communicator.size()));
      descend(net);
    }
    return to_text(exchange.buckets());
  };
  auto whole = network(2);
  on_ranks(kRanks, [&](Communicator& communicator) {
    auto net = network(2);
    train(communicator, communicator.rank() == 0 ? whole : net, 0, kSteps, std::nullopt);
  });
  for (int stop = 0; stop < kSteps; ++stop) {
    auto resumed = network(2);
    on_ranks(kRanks, [&](Communicator& communicator) {
      auto own = network(2);
      auto& net = communicator.rank() == 0 ? resumed : own;
      const std::string saved = train(communicator, net, 0, stop, std::nullopt);
      train(communicator, net, stop, kSteps, bucket_assignment_from(saved, net->parameters().size()));
    });
    for (std::size_t i = 0; i < whole->parameters().size(); ++i) {
      EXPECT_TRUE(torch::equal(whole->parameters()[i], resumed->parameters()[i]))
          << "resumed after step " << stop;
    }
  }
}

TEST(GradientExchange, RefusesRanksWhoseNetworksDiffer) {
  EXPECT_THROW(on_ranks(2,
                        [](Communicator& communicator) {
                          std::vector<at::Tensor> parameters{
                              torch::ones({2 + communicator.rank()}, torch::requires_grad())};
                          GradientExchange exchange(communicator, parameters, {});
                        }),
               Error);
}

/// A hook like a compressor's: what it makes of a bucket is what the parameters get.
class HalvingHook : public c10d::CppCommHookInterface<c10::intrusive_ptr<c10d::ProcessGroup>> {
 public:
  using CppCommHookInterface::CppCommHookInterface;
  c10::intrusive_ptr<c10::ivalue::Future> runHook(c10d::GradBucket& bucket) override {
    std::vector<at::Tensor> tensors{bucket.getBufferRef()};
    return state_->allreduce(tensors)->getFuture()->then(
        [](c10::ivalue::Future& done) { return done.value().toTensorVector()[0] * 0.5; },
        c10::TensorType::get());
  }
};

TEST(GradientExchange, LetsAHookReplaceTheAverage) {
  on_ranks(2, [](Communicator& communicator) {
    auto net = network(3);
    auto hooked = network(3);
    ExchangeOptions options{.bucket_mb = 0.01};
    GradientExchange plain(communicator, net->parameters(), options);
    options.hook = [](const auto& group) { return std::make_unique<HalvingHook>(group); };
    GradientExchange with_hook(communicator, hooked->parameters(), options);
    for (int step = 0; step < 3; ++step) {
      plain.backward(loss_of(net, batch(step), communicator.rank(), 2));
      with_hook.backward(loss_of(hooked, batch(step), communicator.rank(), 2));
      EXPECT_LT(distance(gradients(hooked), gradients(net)), 1e-14);
      descend(net);
      descend(hooked);
    }
  });
}

TEST(BroadcastFromFirst, MakesAllRanksStartFromRankZerosTensors) {
  on_ranks(4, [](Communicator& communicator) {
    auto net = network(10 + static_cast<std::uint64_t>(communicator.rank()));
    auto tensors = net->parameters();
    tensors.push_back(torch::full({}, communicator.rank(), torch::kLong));
    broadcast_from_first(communicator, tensors);
    const auto first = network(10)->parameters();
    for (std::size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(torch::equal(tensors[i], first[i]));
    EXPECT_EQ(tensors.back().item<std::int64_t>(), 0);
  });
}

}  // namespace
}  // namespace muster::workloads
