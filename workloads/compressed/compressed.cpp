/// The compressed workload: data-parallel training with compressed gradients. docs/compressed.md describes
/// it.

#include "runner/workload.hpp"
#include "workloads/compressed/training.hpp"

namespace muster::workloads {
namespace {

class Compressed : public Workload {
 public:
  static WorkloadSchema schema() { return compressed_schema(); }
  Outcome run(Context& context) override { return train_compressed(context); }
};

}  // namespace
}  // namespace muster::workloads

MUSTER_WORKLOAD(muster::workloads::Compressed)
