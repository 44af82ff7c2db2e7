#include "workloads/common/precision.hpp"

#include "core/error.hpp"

namespace muster::workloads {

Precision precision_from(const std::string& name) {
  if (name == "fp32") return {torch::kFloat32, torch::kFloat32};
  if (name == "bf16") return {torch::kBFloat16, torch::kFloat32};
  if (name == "fp64") return {torch::kFloat64, torch::kFloat64};
  throw Error(ExitCode::config, "no precision is called '" + name + "'", "use fp32, bf16 or fp64");
}

}  // namespace muster::workloads
