/// The tensor_parallel workload: one network in parts on several ranks. docs/tensor_parallel.md describes it.

#include "runner/workload.hpp"
#include "workloads/tensor_parallel/training.hpp"

namespace muster::workloads {
namespace {

class TensorParallel : public Workload {
 public:
  static WorkloadSchema schema() { return tensor_parallel_schema(); }
  Outcome run(Context& context) override { return train_tensor_parallel(context); }
};

}  // namespace
}  // namespace muster::workloads

MUSTER_WORKLOAD(muster::workloads::TensorParallel)
