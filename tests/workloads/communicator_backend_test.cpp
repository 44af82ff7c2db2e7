#include "workloads/common/exchange/communicator_backend.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/error.hpp"
#include "tests/workloads/rank_threads.hpp"

namespace muster::workloads {
namespace {

class CommunicatorBackendOn : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, CommunicatorBackendOn, testing::Values(1, 2, 3, 4));

TEST_P(CommunicatorBackendOn, GivesEveryRankTheSumMinimumAndMaximum) {
  const int ranks = GetParam();
  on_ranks(ranks, [ranks](Communicator& communicator) {
    const auto backend = c10::make_intrusive<CommunicatorBackend>(communicator);
    const auto group = make_process_group(backend);
    for (const auto type : {torch::kFloat, torch::kDouble, torch::kBFloat16, torch::kLong, torch::kInt}) {
      const int r = communicator.rank();
      std::vector<at::Tensor> sum{torch::full({7}, r + 1, type)};
      std::vector<at::Tensor> low{torch::full({7}, r + 1, type)};
      std::vector<at::Tensor> high{torch::full({7}, r + 1, type)};
      c10d::AllreduceOptions minimum, maximum;
      minimum.reduceOp = c10d::ReduceOp::MIN;
      maximum.reduceOp = c10d::ReduceOp::MAX;
      auto first = group->allreduce(sum);
      auto second = group->allreduce(low, minimum);
      auto third = group->allreduce(high, maximum);
      third->wait();
      EXPECT_TRUE(first->isCompleted());
      EXPECT_TRUE(first->isSuccess());
      first->wait();
      second->wait();
      EXPECT_TRUE(torch::equal(sum[0], torch::full({7}, ranks * (ranks + 1) / 2, type)));
      EXPECT_TRUE(torch::equal(low[0], torch::full({7}, 1, type)));
      EXPECT_TRUE(torch::equal(high[0], torch::full({7}, ranks, type)));
    }
  });
}

TEST_P(CommunicatorBackendOn, CompletesAFutureWithTheReducedTensor) {
  on_ranks(GetParam(), [](Communicator& communicator) {
    const auto backend = c10::make_intrusive<CommunicatorBackend>(communicator, ExchangeAlgorithm::ring);
    std::vector<at::Tensor> tensors{torch::ones({1000})};
    auto doubled = backend->allreduce(tensors, {})
                       ->getFuture()
                       ->then([](c10::ivalue::Future& done) { return done.value().toTensorVector()[0] * 2; },
                              c10::TensorType::get());
    doubled->wait();
    EXPECT_EQ(doubled->value().toTensor()[999].item<float>(), 2.0F * static_cast<float>(communicator.size()));
  });
}

TEST_P(CommunicatorBackendOn, GathersAndScattersInRankOrder) {
  const int ranks = GetParam();
  on_ranks(ranks, [ranks](Communicator& communicator) {
    const auto group = make_process_group(c10::make_intrusive<CommunicatorBackend>(communicator));
    const int r = communicator.rank();
    std::vector<at::Tensor> input{torch::full({2, 3}, r, torch::kLong)};
    std::vector<std::vector<at::Tensor>> output(1);
    for (int i = 0; i < ranks; ++i) output[0].push_back(torch::empty({2, 3}, torch::kLong));
    group->allgather(output, input)->wait();
    for (int i = 0; i < ranks; ++i) {
      EXPECT_TRUE(torch::equal(output[0][static_cast<std::size_t>(i)], torch::full({2, 3}, i, torch::kLong)));
    }
    at::Tensor flat = torch::empty({ranks * 6}, torch::kLong);
    group->_allgather_base(flat, input[0])->wait();
    EXPECT_EQ(flat[ranks * 6 - 1].item<std::int64_t>(), ranks - 1);

    at::Tensor mine = torch::empty({2});
    at::Tensor all = torch::arange(2 * ranks, torch::kFloat);
    group->_reduce_scatter_base(mine, all)->wait();
    EXPECT_EQ(mine[1].item<float>(), static_cast<float>(ranks * (2 * r + 1)));

    std::vector<at::Tensor> from_last{torch::full({5}, r, torch::kFloat)};
    c10d::BroadcastOptions options;
    options.rootRank = ranks - 1;
    group->broadcast(from_last, options)->wait();
    EXPECT_EQ(from_last[0][4].item<float>(), static_cast<float>(ranks - 1));
    group->barrier()->wait();
  });
}

TEST(CommunicatorBackend, RefusesATensorWithHolesInMemory) {
  on_ranks(1, [](Communicator& communicator) {
    const auto backend = c10::make_intrusive<CommunicatorBackend>(communicator);
    std::vector<at::Tensor> tensors{torch::ones({4, 4}).slice(1, 0, 2)};
    EXPECT_THROW(backend->allreduce(tensors, {}), Error);
  });
}

}  // namespace
}  // namespace muster::workloads
