/// That MPI goes on while nobody calls it. Run under mpirun, whose process is all ranks' parent.

#include <gtest/gtest.h>
#include <mpi.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "runner/comm/mpi_library.hpp"
#include "tests/support/processes.hpp"

namespace muster {
namespace {

MpiLibrary* library = nullptr;

/// By TCP a long message wants its sender once more, when the receiver is ready for it.
TEST(MpiProgress, AMessageArrivesThoughItsSenderCallsNothing) {
  const auto arrived =
      std::filesystem::temp_directory_path() / ("muster-arrived-" + std::to_string(getppid()));
  const auto progress = library->progress();
  std::vector<char> message(4 << 20);
  const int bytes = static_cast<int>(message.size());
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == 1) {
    usleep(200'000);
    MPI_Recv(message.data(), bytes, MPI_CHAR, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    std::ofstream(arrived) << "";
    return;
  }
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Isend(message.data(), bytes, MPI_CHAR, 1, 1, MPI_COMM_WORLD, &request);
  EXPECT_TRUE(testing::wait_until([&] { return std::filesystem::exists(arrived); }, 20));
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  std::filesystem::remove(arrived);
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  setenv("OMPI_MCA_btl", "tcp,self", 1);
  setenv("OMPI_MCA_btl_tcp_if_include", "lo", 1);
  muster::MpiLibrary mpi;
  muster::library = &mpi;
  return RUN_ALL_TESTS();
}
