/// The fusion workload: trained experts, what joins their features and a global head learn together.
/// docs/fusion.md describes it.

#include "runner/workload.hpp"
#include "workloads/fusion/parameters.hpp"
#include "workloads/fusion/training.hpp"

namespace muster::workloads {
namespace {

class Fusion : public Workload {
 public:
  static WorkloadSchema schema() { return fusion_schema(); }
  Outcome run(Context& context) override { return train_fusion(context); }
};

}  // namespace
}  // namespace muster::workloads

MUSTER_WORKLOAD(muster::workloads::Fusion)
