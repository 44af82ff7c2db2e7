#pragma once
/// Collective algorithms, written once over Transport for any world size and count. Every rank must call each
/// of them. In all of them an element is summed in one place and then copied, so the ranks' results are
/// bitwise the same.

#include <cstddef>
#include <vector>

#include "core/dtype.hpp"
#include "runner/comm/transport.hpp"
#include "runner/communicator.hpp"

namespace muster {

/// `count` elements cut into one piece a rank, the first ones larger by one where it does not divide.
struct Pieces {
  std::size_t count;
  int ranks;
  std::size_t begin(int piece) const;
  std::size_t length(int piece) const { return begin(piece + 1) - begin(piece); }
};

/// Reduce-scatter, then all-gather, around a ring: 2(N-1) messages of M/N bytes a rank (Patarasuk and Yuan
/// 2009, 'Bandwidth optimal all-reduce algorithms for clusters of workstations').
void ring_all_reduce(Transport& transport, void* data, std::size_t count, DType type, ReduceOp op);

/// Binomial reduction to rank 0, then binomial broadcast: 2(N-1) messages of M bytes in all, 2 log2 N of them
/// in a row.
void tree_all_reduce(Transport& transport, void* data, std::size_t count, DType type, ReduceOp op);

/// Rank 0 sums the others' messages in rank order and sends each the result (Li et al. 2014, 'Scaling
/// distributed machine learning with the parameter server', with one server that is also a worker).
void parameter_server_all_reduce(Transport& transport, void* data, std::size_t count, DType type,
                                 ReduceOp op);

/// Rank r keeps the r-th `count` elements of the sum of `in` (size * count).
void ring_reduce_scatter(Transport& transport, const void* in, void* out, std::size_t count, DType type,
                         ReduceOp op);

/// `bytes_of[r]` from rank r, in rank order.
void ring_all_gather(Transport& transport, const void* in, void* out,
                     const std::vector<std::size_t>& bytes_of);

void tree_broadcast(Transport& transport, void* data, std::size_t bytes, int root);

/// Dissemination barrier (Hensgen, Finkel and Manber 1988): log2 N rounds of empty messages.
void dissemination_barrier(Transport& transport);

}  // namespace muster
