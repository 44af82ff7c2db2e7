/// The shortest distributed task: loads LibTorch, all-reduces once, writes a row. What starting a task costs.

#include <torch/torch.h>

#include "runner/workload.hpp"

namespace muster::workloads {
namespace {

class AllreduceOnce : public Workload {
 public:
  static WorkloadSchema schema() {
    WorkloadSchema schema;
    schema.name = "allreduce_once";
    return schema;
  }

  Outcome run(Context& context) override {
    Communicator& communicator = context.communicator();
    torch::Tensor values = torch::full({1024}, static_cast<float>(communicator.rank() + 1));
    communicator
        .all_reduce(values.mutable_data_ptr(), static_cast<std::size_t>(values.numel()), DType::f32,
                    ReduceOp::sum)
        ->wait();
    context.metrics().declare(
        {{"epoch",
          {{"epoch", MetricType::integer, "1", ""}, {"sum", MetricType::floating, "1", "over the ranks"}}}});
    context.metrics().append("epoch", {std::int64_t{1}, static_cast<double>(values[0].item<float>())});
    return Outcome::finished;
  }
};

}  // namespace
}  // namespace muster::workloads

MUSTER_WORKLOAD(muster::workloads::AllreduceOnce)
