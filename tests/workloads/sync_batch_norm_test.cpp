#include "workloads/common/exchange/sync_batch_norm.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/workloads/rank_threads.hpp"

namespace muster::workloads {
namespace {

constexpr std::int64_t kChannels = 5;

struct Normalised {
  torch::Tensor output, grad_input, grad_weight, grad_bias, running_mean, running_var;
};

struct Problem {
  torch::Tensor input, weight, bias, factor;  ///< factor: the gradient of the output
};

Problem problem(torch::MemoryFormat format) {
  auto generator = at::detail::createCPUGenerator(7);
  const std::vector<std::int64_t> shape{12, kChannels, 4, 3};
  return {(torch::randn(shape, generator, torch::kDouble) * 3 + 20).contiguous(format),
          torch::randn({kChannels}, generator, torch::kDouble),
          torch::randn({kChannels}, generator, torch::kDouble),
          torch::randn(shape, generator, torch::kDouble)};
}

template <typename Apply>
Normalised normalise(const Problem& p, std::int64_t begin, std::int64_t end, const Apply& apply) {
  Normalised n;
  auto input = p.input.slice(0, begin, end).clone().requires_grad_();
  auto weight = p.weight.clone().requires_grad_();
  auto bias = p.bias.clone().requires_grad_();
  n.running_mean = torch::zeros({kChannels}, torch::kDouble);
  n.running_var = torch::ones({kChannels}, torch::kDouble);
  n.output = apply(input, weight, bias, n.running_mean, n.running_var);
  (n.output * p.factor.slice(0, begin, end)).sum().backward();
  n.grad_input = input.grad();
  n.grad_weight = weight.grad();
  n.grad_bias = bias.grad();
  return n;
}

Normalised whole_batch(const Problem& p) {
  return normalise(p, 0, 12,
                   [](auto&&... tensors) { return torch::batch_norm(tensors..., true, 0.1, 1e-5, false); });
}

double distance(const torch::Tensor& a, const torch::Tensor& b) {
  return ((a - b).norm() / b.norm()).template item<double>();
}

class SyncBatchNormOn : public testing::TestWithParam<std::vector<std::int64_t>> {};
/// Where the shards of 12 samples end: even and uneven ones.
INSTANTIATE_TEST_SUITE_P(Shards, SyncBatchNormOn,
                         testing::Values(std::vector<std::int64_t>{12}, std::vector<std::int64_t>{6, 12},
                                         std::vector<std::int64_t>{4, 8, 12},
                                         std::vector<std::int64_t>{3, 6, 9, 12},
                                         std::vector<std::int64_t>{1, 12},
                                         std::vector<std::int64_t>{7, 8, 12}),
                         [](const auto& info) {
                           std::string name = "ending_at";
                           for (const std::int64_t end : info.param) name += "_" + std::to_string(end);
                           return name;
                         });

TEST_P(SyncBatchNormOn, EqualsBatchNormOfTheJointBatch) {
  const auto ends = GetParam();
  for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
    const Problem p = problem(format);
    const Normalised expected = whole_batch(p);
    std::vector<Normalised> of_rank(ends.size());
    on_ranks(static_cast<int>(ends.size()), [&](Communicator& communicator) {
      const auto r = static_cast<std::size_t>(communicator.rank());
      of_rank[r] = normalise(p, r == 0 ? 0 : ends[r - 1], ends[r],
                             [&](auto&&... tensors) { return sync_batch_norm(communicator, tensors...); });
    });
    torch::Tensor grad_weight = torch::zeros_like(expected.grad_weight);
    torch::Tensor grad_bias = torch::zeros_like(expected.grad_bias);
    for (std::size_t r = 0; r < ends.size(); ++r) {
      const std::int64_t begin = r == 0 ? 0 : ends[r - 1];
      EXPECT_LT(distance(of_rank[r].output, expected.output.slice(0, begin, ends[r])), 1e-12);
      EXPECT_LT(distance(of_rank[r].grad_input, expected.grad_input.slice(0, begin, ends[r])), 1e-12);
      EXPECT_LT(distance(of_rank[r].running_mean, expected.running_mean), 1e-14);
      EXPECT_LT(distance(of_rank[r].running_var, expected.running_var), 1e-13);
      EXPECT_TRUE(torch::equal(of_rank[r].running_var, of_rank[0].running_var));
      grad_weight += of_rank[r].grad_weight;
      grad_bias += of_rank[r].grad_bias;
    }
    EXPECT_LT(distance(grad_weight, expected.grad_weight), 1e-12);
    EXPECT_LT(distance(grad_bias, expected.grad_bias), 1e-12);
  }
}

TEST(SyncBatchNorm, KeepsStatisticsOfBf16ImagesInFp32) {
  on_ranks(2, [](Communicator& communicator) {
    const auto input = torch::randn({8, 4, 8, 8}).to(torch::kBFloat16).requires_grad_();
    auto weight = torch::ones({4}).requires_grad_();
    auto bias = torch::zeros({4}).requires_grad_();
    auto mean = torch::zeros({4});
    auto var = torch::ones({4});
    const auto output = sync_batch_norm(communicator, input, weight, bias, mean, var);
    EXPECT_EQ(output.scalar_type(), torch::kBFloat16);
    output.to(torch::kFloat).square().sum().backward();
    EXPECT_EQ(input.grad().scalar_type(), torch::kBFloat16);
    EXPECT_EQ(weight.grad().scalar_type(), torch::kFloat);
    EXPECT_LT((output.to(torch::kFloat).mean({0, 2, 3})).abs().max().item<float>(), 0.2F);
  });
}

}  // namespace
}  // namespace muster::workloads
