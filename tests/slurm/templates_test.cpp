/// Slurm takes the templates that users start from.

#include "tests/slurm/cluster_fixture.hpp"

namespace muster::testing {
namespace {

namespace fs = std::filesystem;

class Templates : public ClusterTest {};

TEST_F(Templates, AreTakenBySbatch) {
  const fs::path source = MUSTER_SOURCE;
  int count = 0;
  for (const auto& item : fs::directory_iterator(source / "slurm/templates")) {
    SCOPED_TRACE(item.path().filename());
    said_by({"sbatch", "--test-only", item.path(), source / "experiments/quickstart.toml"});
    ++count;
  }
  EXPECT_EQ(count, 4);
}

}  // namespace
}  // namespace muster::testing
