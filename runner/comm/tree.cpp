#include "runner/comm/algorithms.hpp"

namespace muster {

void tree_broadcast(Transport& transport, void* data, std::size_t bytes, int root) {
  const int n = transport.size();
  const int position = (transport.rank() - root + n) % n;
  const auto rank_at = [&](int p) { return (p + root) % n; };
  int distance = 1;
  while (distance < n) {
    if ((position & distance) != 0) {
      transport.receive(data, bytes, rank_at(position - distance));
      break;
    }
    distance *= 2;
  }
  for (distance /= 2; distance > 0; distance /= 2)
    if (position + distance < n) transport.send(data, bytes, rank_at(position + distance));
}

void tree_all_reduce(Transport& transport, void* data, std::size_t count, DType type, ReduceOp op) {
  const int n = transport.size();
  const int rank = transport.rank();
  for (int distance = 1; distance < n; distance *= 2) {
    if ((rank & distance) != 0) {
      transport.send(data, count * size_of(type), rank - distance);
      break;
    }
    if (rank + distance < n) transport.receive_reduce(data, count, type, op, rank + distance);
  }
  tree_broadcast(transport, data, count * size_of(type), 0);
}

void dissemination_barrier(Transport& transport) {
  const int n = transport.size();
  for (int distance = 1; distance < n; distance *= 2) {
    const int to = (transport.rank() + distance) % n;
    const int from = (transport.rank() - distance % n + n) % n;
    transport.exchange(nullptr, 0, to, nullptr, 0, from);
  }
}

}  // namespace muster
