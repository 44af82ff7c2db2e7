/// The evaluate_fusion workload: a fusion, each of its parts and what they must beat, on the test set.
/// docs/fusion.md describes it.

#include "runner/workload.hpp"
#include "workloads/evaluate_fusion/evaluation_task.hpp"

namespace muster::workloads {
namespace {

class EvaluateFusion : public Workload {
 public:
  static WorkloadSchema schema() { return evaluate_fusion_schema(); }
  Outcome run(Context& context) override {
    evaluate_fusion(context);
    return Outcome::finished;
  }
};

}  // namespace
}  // namespace muster::workloads

MUSTER_WORKLOAD(muster::workloads::EvaluateFusion)
