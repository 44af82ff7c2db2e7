/// The weight_averaging workload: ranks train on their own and average their weights now and then.
/// docs/weight_averaging.md describes it.

#include "runner/workload.hpp"
#include "workloads/weight_averaging/parameters.hpp"
#include "workloads/weight_averaging/training.hpp"

namespace muster::workloads {
namespace {

class WeightAveraging : public Workload {
 public:
  static WorkloadSchema schema() { return weight_averaging_schema(); }
  Outcome run(Context& context) override { return train_by_averaging(context); }
};

}  // namespace
}  // namespace muster::workloads

MUSTER_WORKLOAD(muster::workloads::WeightAveraging)
