/// A process a rank, below mpirun; they share GPUs where there are fewer.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdio>
#include <cstdlib>

#include "core/nvml.hpp"
#include "runner/comm/mpi_session.hpp"
#include "tests/workloads/gpu/gang_of_test.hpp"
#include "tests/workloads/gpu/gpu_of_test.hpp"

namespace muster::workloads::testing {
namespace {

MpiSession* session = nullptr;
QueuedCommunicator* control = nullptr;

int gpus() { return static_cast<int>(Nvml().gpus().size()); }

}  // namespace

void on_gang(int ranks, const std::function<void(Communicator&)>& body) {
  ASSERT_EQ(ranks, session->size());
  try {
    const auto world = session->world();
    body(*world);
    world->barrier();
  } catch (const std::exception& error) {
    // The others wait for this one.
    std::fprintf(stderr, "rank %d: %s\n", session->rank(), error.what());
    session->abort(1);
  }
}

bool judges() { return session->rank() == 0; }

std::int64_t of_first_rank(std::int64_t value) {
  control->broadcast(&value, sizeof value, 0)->wait();
  return value;
}

int gpu_of_rank(int) { return gpus() > 0 ? session->host_rank() % gpus() : 0; }

}  // namespace muster::workloads::testing

int main(int argc, char** argv) {
  muster::MpiSession session;
  if (session.rank() != 0) GTEST_FLAG_SET(brief, true);
  GTEST_FLAG_SET(filter, session.size() == 4 ? "*OfFour" : "-*OfFour");
  ::testing::InitGoogleTest(&argc, argv);
  // NVML and CUDA count alike.
  setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
  const auto control = session.world();
  muster::workloads::testing::session = &session;
  muster::workloads::testing::control = control.get();
  // One rank tells why it skips.
  if (session.rank() != 0 && !muster::workloads::testing::missing_gpus(1).empty()) return 0;
  return RUN_ALL_TESTS();
}
