/// The split workload: divides training images among experts and their fusion. docs/experts.md describes it.

#include "runner/workload.hpp"
#include "workloads/split/split_task.hpp"

namespace muster::workloads {
namespace {

class SplitWorkload : public Workload {
 public:
  static WorkloadSchema schema() { return split_schema(); }
  Outcome run(Context& context) override {
    make_split_folder(context);
    return Outcome::finished;
  }
};

}  // namespace
}  // namespace muster::workloads

MUSTER_WORKLOAD(muster::workloads::SplitWorkload)
