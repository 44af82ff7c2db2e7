/// The evaluate workload: how good published or trained weights are on a data set. docs/evaluate.md describes
/// it.

#include "runner/workload.hpp"
#include "workloads/evaluate/evaluation_task.hpp"

namespace muster::workloads {
namespace {

class Evaluate : public Workload {
 public:
  static WorkloadSchema schema() { return evaluate_schema(); }
  Outcome run(Context& context) override {
    evaluate_weights(context);
    return Outcome::finished;
  }
};

}  // namespace
}  // namespace muster::workloads

MUSTER_WORKLOAD(muster::workloads::Evaluate)
