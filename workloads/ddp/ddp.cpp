/// The ddp workload: data-parallel training of image classifiers. docs/ddp.md describes it.

#include "runner/workload.hpp"
#include "workloads/ddp/training.hpp"

namespace muster::workloads {
namespace {

class Ddp : public Workload {
 public:
  static WorkloadSchema schema() { return ddp_schema(); }
  Outcome run(Context& context) override { return train_ddp(context); }
};

}  // namespace
}  // namespace muster::workloads

MUSTER_WORKLOAD(muster::workloads::Ddp)
