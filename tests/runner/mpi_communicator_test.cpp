/// The communicators' checks with MPI processes as ranks, by either path. Run under mpirun.

#include "communicator_suite.hpp"
#include "runner/comm/mpi_session.hpp"

namespace muster {
namespace {

Communicator* shared_memory = nullptr;
Communicator* through_mpi = nullptr;

}  // namespace

void on_every_rank(const GroupKind& kind, const std::function<void(Communicator&)>& body) {
  body(kind.use_mpi ? *through_mpi : *shared_memory);
}

INSTANTIATE_TEST_SUITE_P(Processes, CommunicatorTest,
                         testing::Values(GroupKind{"SharedMemory"}, GroupKind{"Mpi", 0, true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace muster

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  muster::MpiSession session;
  const auto fast = session.world();
  const auto plain = session.world(muster::HostPath::mpi);
  muster::shared_memory = fast.get();
  muster::through_mpi = plain.get();
  return RUN_ALL_TESTS();
}
