#include "runner/comm/algorithms.hpp"

namespace muster {

void parameter_server_all_reduce(Transport& transport, void* data, std::size_t count, DType type,
                                 ReduceOp op) {
  const std::size_t bytes = count * size_of(type);
  if (transport.rank() != 0) {
    transport.send(data, bytes, 0);
    transport.receive(data, bytes, 0);
    return;
  }
  for (int worker = 1; worker < transport.size(); ++worker)
    transport.receive_reduce(data, count, type, op, worker);
  for (int worker = 1; worker < transport.size(); ++worker) transport.send(data, bytes, worker);
}

}  // namespace muster
