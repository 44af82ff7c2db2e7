#pragma once
/// The stages of an experiment: their order, and what is common to them. Pure.

#include <string>
#include <vector>

#include "core/experiment.hpp"
#include "core/workload_schema.hpp"

namespace muster {

/// Each behind those that it takes from, else as they are. Throws Error(config), at the reference: an unknown
/// stage (with the nearest known one), stages that take from each other in a circle.
void sort_stages(std::vector<Experiment>& stages);

/// The stage with the common parameters and axes that its workload has, and with those common axes that
/// choose among the tasks it takes: the stage it takes from has them, and no `where` says which are meant.
/// What it says itself counts for more. `before`: those that it takes from, made by this function.
Experiment with_common(const Experiment& whole, const Experiment& stage, const WorkloadSchema& schema,
                       const std::vector<Experiment>& before);

/// Throws Error(config) for a common parameter or axis that none of the workloads has.
void require_common_taken(const Experiment& whole, const std::vector<FoundWorkload>& workloads);

/// By name; the experiment itself for "". The stage must be there.
const Experiment& stage_named(const Experiment& whole, const std::string& name);

}  // namespace muster
