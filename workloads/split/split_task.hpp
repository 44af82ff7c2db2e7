#pragma once
/// The division of a data set among experts, as a task.

#include "core/workload_schema.hpp"
#include "runner/workload.hpp"

namespace muster::workloads {

WorkloadSchema split_schema();

/// Makes the split that the task's parameters describe, and reads it back as its users do. The artifacts are
/// the split's folder. Rank 0 does it. Collective. Throws Error(config), Error(data), Error(storage).
void make_split_folder(Context& context);

}  // namespace muster::workloads
