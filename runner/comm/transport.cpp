#include "runner/comm/transport.hpp"

namespace muster {

void Transport::count(const Outgoing& out, const Incoming& in) {
  if (out.to >= 0) bytes_sent_.fetch_add(out.bytes, std::memory_order_relaxed);
  if (in.from >= 0) bytes_received_.fetch_add(in.bytes, std::memory_order_relaxed);
}

void Transport::send(const void* data, std::size_t bytes, int to) {
  exchange(data, bytes, to, nullptr, 0, -1);
}

void Transport::receive(void* data, std::size_t bytes, int from) {
  exchange(nullptr, 0, -1, data, bytes, from);
}

void Transport::receive_reduce(void* accumulator, std::size_t count, DType type, ReduceOp op, int from) {
  exchange_reduce(nullptr, 0, -1, accumulator, count, type, op, from);
}

void Transport::exchange(const void* out, std::size_t out_bytes, int to, void* in, std::size_t in_bytes,
                         int from) {
  const Outgoing outgoing{out, out_bytes, to};
  const Incoming incoming{in, in_bytes, from};
  do_exchange(outgoing, incoming);
  count(outgoing, incoming);
}

void Transport::exchange_reduce(const void* out, std::size_t out_bytes, int to, void* accumulator,
                                std::size_t elements, DType type, ReduceOp op, int from) {
  const Outgoing outgoing{out, out_bytes, to};
  const Incoming incoming{accumulator, elements * size_of(type), from};
  do_exchange_reduce(outgoing, incoming, type, op);
  count(outgoing, incoming);
}

}  // namespace muster
