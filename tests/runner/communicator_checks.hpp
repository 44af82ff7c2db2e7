#pragma once
/// What every communicator must do, whatever carries it. Each function is called by every rank.

#include "runner/communicator.hpp"

namespace muster::checks {

void sums_are_right(Communicator& communicator, DType type, ExchangeAlgorithm algorithm);
void minimum_and_maximum_are_right(Communicator& communicator, DType type, ExchangeAlgorithm algorithm);
void nan_wins_and_negative_zero_is_below_zero(Communicator& communicator, ExchangeAlgorithm algorithm);
void results_are_bitwise_the_same(Communicator& communicator, DType type, ExchangeAlgorithm algorithm);
void bytes_follow_the_formula(Communicator& communicator, ExchangeAlgorithm algorithm);
void gathers_keep_rank_order(Communicator& communicator);
void reduce_scatter_keeps_the_own_piece(Communicator& communicator);
void broadcast_comes_from_its_root(Communicator& communicator);
void many_collectives_complete_in_order(Communicator& communicator);
void barrier_waits_for_all(Communicator& communicator);
void split_orders_by_key(Communicator& communicator);
void long_messages_arrive_whole(Communicator& communicator, ExchangeAlgorithm algorithm);

}  // namespace muster::checks
