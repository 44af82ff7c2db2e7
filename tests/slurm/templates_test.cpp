/// Slurm takes the templates that users start from.

#include <algorithm>

#include "tests/slurm/cluster_fixture.hpp"

namespace muster::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> template_names() {
  std::vector<std::string> names;
  for (const auto& item : fs::directory_iterator(fs::path(MUSTER_SOURCE) / "slurm/templates"))
    names.push_back(item.path().stem().string());
  std::ranges::sort(names);
  return names;
}

class Template : public ClusterTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(Template, IsTakenBySbatch) {
  const fs::path source = MUSTER_SOURCE;
  said_by({"sbatch", "--test-only", (source / "slurm/templates" / (GetParam() + ".slurm")).string(),
           (source / "experiments/quickstart.toml").string()});
}

INSTANTIATE_TEST_SUITE_P(OfUsers, Template, ::testing::ValuesIn(template_names()),
                         [](const auto& name) { return name.param; });

}  // namespace
}  // namespace muster::testing
