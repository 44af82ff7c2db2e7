/// The experts workload: trains one expert on its part of a split. docs/experts.md describes it.

#include "runner/workload.hpp"
#include "workloads/experts/training.hpp"

namespace muster::workloads {
namespace {

class Experts : public Workload {
 public:
  static WorkloadSchema schema() { return experts_schema(); }
  Outcome run(Context& context) override { return train_expert(context); }
};

}  // namespace
}  // namespace muster::workloads

MUSTER_WORKLOAD(muster::workloads::Experts)
