#include "runner/comm/thread_group.hpp"

#include "runner/comm/host_transport.hpp"
#include "runner/comm/queued_communicator.hpp"

namespace muster {

std::vector<std::unique_ptr<Communicator>> make_thread_group(int size) {
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (auto& transport : make_host_transports(size))
    ranks.push_back(std::make_unique<QueuedCommunicator>(std::move(transport)));
  return ranks;
}

}  // namespace muster
