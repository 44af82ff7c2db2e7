#pragma once
/// The checks as parameterised tests. Who includes it says how a body runs on every rank:
/// `void on_every_rank(const GroupKind&, const std::function<void(Communicator&)>&)`, and lists the groups.

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "communicator_checks.hpp"

namespace muster {

struct GroupKind {
  std::string name;
  int size = 1;          ///< of a thread group
  bool use_mpi = false;  ///< of processes: messages through MPI, not shared memory
};

void on_every_rank(const GroupKind& kind, const std::function<void(Communicator&)>& body);

inline const DType kAllTypes[] = {DType::u8,  DType::i8,  DType::i16,  DType::i32, DType::i64,
                                  DType::f16, DType::f32, DType::bf16, DType::f64, DType::boolean};
inline const DType kFloatTypes[] = {DType::f16, DType::bf16, DType::f32, DType::f64};
inline const ExchangeAlgorithm kAlgorithms[] = {ExchangeAlgorithm::library, ExchangeAlgorithm::ring,
                                                ExchangeAlgorithm::tree, ExchangeAlgorithm::parameter_server};

class CommunicatorTest : public testing::TestWithParam<GroupKind> {
 protected:
  void with_every_algorithm(const std::function<void(Communicator&, ExchangeAlgorithm)>& check) {
    on_every_rank(GetParam(), [&](Communicator& communicator) {
      for (const ExchangeAlgorithm algorithm : kAlgorithms) {
        SCOPED_TRACE("algorithm " + std::to_string(static_cast<int>(algorithm)));
        check(communicator, algorithm);
      }
    });
  }
};

TEST_P(CommunicatorTest, SumsEveryTypeByEveryAlgorithm) {
  with_every_algorithm([](Communicator& c, ExchangeAlgorithm a) {
    for (const DType type : kAllTypes)
      if (type == DType::boolean)
        checks::minimum_and_maximum_are_right(c, type, a);
      else
        checks::sums_are_right(c, type, a);
  });
}
TEST_P(CommunicatorTest, FindsMinimumAndMaximumOfEveryType) {
  with_every_algorithm([](Communicator& c, ExchangeAlgorithm a) {
    for (const DType type : kAllTypes) checks::minimum_and_maximum_are_right(c, type, a);
  });
}
TEST_P(CommunicatorTest, LetsNanWinWhateverTheOrder) {
  with_every_algorithm(checks::nan_wins_and_negative_zero_is_below_zero);
}
TEST_P(CommunicatorTest, GivesBitwiseTheSameOnAllRanks) {
  with_every_algorithm([](Communicator& c, ExchangeAlgorithm a) {
    for (const DType type : kFloatTypes) checks::results_are_bitwise_the_same(c, type, a);
  });
}
TEST_P(CommunicatorTest, SendsTheBytesOfItsFormula) {
  with_every_algorithm(checks::bytes_follow_the_formula);
}
TEST_P(CommunicatorTest, CarriesLongMessages) { with_every_algorithm(checks::long_messages_arrive_whole); }
TEST_P(CommunicatorTest, GathersInRankOrder) { on_every_rank(GetParam(), checks::gathers_keep_rank_order); }
TEST_P(CommunicatorTest, ScattersSums) {
  on_every_rank(GetParam(), checks::reduce_scatter_keeps_the_own_piece);
}
TEST_P(CommunicatorTest, BroadcastsFromAnyRoot) {
  on_every_rank(GetParam(), checks::broadcast_comes_from_its_root);
}
TEST_P(CommunicatorTest, CompletesInOrder) {
  on_every_rank(GetParam(), checks::many_collectives_complete_in_order);
}
TEST_P(CommunicatorTest, MeetsAtABarrier) { on_every_rank(GetParam(), checks::barrier_waits_for_all); }
TEST_P(CommunicatorTest, SplitsByColourAndKey) { on_every_rank(GetParam(), checks::split_orders_by_key); }

}  // namespace muster
