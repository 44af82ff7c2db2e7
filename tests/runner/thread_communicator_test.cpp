/// The communicators' checks with threads as ranks.

#include <thread>
#include <vector>

#include "communicator_suite.hpp"
#include "core/error.hpp"
#include "runner/comm/thread_group.hpp"

namespace muster {

void on_every_rank(const GroupKind& kind, const std::function<void(Communicator&)>& body) {
  const auto group = make_thread_group(kind.size);
  std::vector<std::jthread> threads;
  for (const auto& communicator : group) threads.emplace_back([&] { body(*communicator); });
}

INSTANTIATE_TEST_SUITE_P(Threads, CommunicatorTest,
                         testing::Values(GroupKind{"1"}, GroupKind{"2", 2}, GroupKind{"3", 3},
                                         GroupKind{"4", 4}, GroupKind{"5", 5}),
                         [](const auto& info) { return info.param.name; });

TEST(Communicator, CountsTheTimeInCollectives) {
  on_every_rank(GroupKind{"2", 2}, [](Communicator& communicator) {
    std::vector<float> values(1000, 1.0F);
    if (communicator.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(30));
    communicator.all_reduce(values.data(), values.size(), DType::f32, ReduceOp::sum)->wait();
    const Traffic traffic = communicator.traffic();
    EXPECT_EQ(traffic.collectives, 1U);
    if (communicator.rank() == 0) {
      EXPECT_GE(traffic.busy_seconds, 0.02);
      EXPECT_GE(traffic.wait_seconds, 0.02);
    }
  });
}

TEST(Communicator, SaysWhichRankSendsAnotherSize) {
  on_every_rank(GroupKind{"2", 2}, [](Communicator& communicator) {
    std::vector<float> values(20000, 1.0F);
    const std::size_t count = communicator.rank() == 0 ? 10000 : 20000;
    EXPECT_THROW(communicator.all_reduce(values.data(), count, DType::f32, ReduceOp::sum)->wait(), Error);
  });
}

TEST(Communicator, NamesAnUnknownAlgorithm) {
  EXPECT_EQ(exchange_algorithm_from("ring"), ExchangeAlgorithm::ring);
  try {
    exchange_algorithm_from("rign");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::config);
    EXPECT_NE(error.problem().find("rign"), std::string::npos);
  }
}

}  // namespace muster
