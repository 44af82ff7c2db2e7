#include "core/stages.hpp"

#include <algorithm>
#include <set>

#include "core/matrix.hpp"
#include "core/nearest_name.hpp"
#include "core/resource_values.hpp"

namespace muster {

namespace {

bool has_parameter(const WorkloadSchema& schema, const std::string& name) {
  return schema.open || name == "seed" ||
         std::any_of(schema.parameters.begin(), schema.parameters.end(),
                     [&](const ParameterSpec& spec) { return spec.name == name; });
}

std::vector<const Reference*> references_of(const Experiment& stage) {
  std::vector<const Reference*> references;
  for (const auto& [name, of_parameter] : stage.references) {
    for (const Reference& reference : of_parameter.items) references.push_back(&reference);
  }
  return references;
}

/// The first one to a stage that is not among `placed`; nullptr where there is none.
const Reference* first_open(const Experiment& stage, const std::set<std::string>& placed) {
  for (const Reference* reference : references_of(stage)) {
    if (!placed.contains(reference->stage)) return reference;
  }
  return nullptr;
}

const Experiment& named(const std::vector<Experiment>& stages, const std::string& name) {
  const auto found = std::find_if(stages.begin(), stages.end(),
                                  [&](const Experiment& stage) { return stage.stage == name; });
  MUSTER_ASSERT(found != stages.end());
  return *found;
}

void require_known(const std::vector<Experiment>& stages) {
  std::vector<std::string> names;
  for (const Experiment& stage : stages) names.push_back(stage.stage);
  for (const Experiment& stage : stages) {
    for (const Reference* reference : references_of(stage)) {
      if (std::find(names.begin(), names.end(), reference->stage) == names.end())
        throw Error(ExitCode::config, "there is no stage '" + reference->stage + "'",
                    name_advice(reference->stage, names), reference->place);
    }
  }
}

/// None of `stages` that is not placed can be.
[[noreturn]] void throw_circle(const std::vector<Experiment>& stages, const std::set<std::string>& placed) {
  std::string at = std::find_if(stages.begin(), stages.end(), [&](const Experiment& stage) {
                     return !placed.contains(stage.stage);
                   })->stage;
  // Every step leads to another stage that is not placed: after as many as there are we go in the circle.
  for (std::size_t step = 0; step < stages.size(); ++step) at = first_open(named(stages, at), placed)->stage;
  std::string circle = "'" + at + "'";
  const SourcePlace place = first_open(named(stages, at), placed)->place;
  for (std::string next = at; true;) {
    next = first_open(named(stages, next), placed)->stage;
    circle += " needs '" + next + "'";
    if (next == at) break;
  }
  throw Error(ExitCode::config, "stages need each other in a circle: " + circle,
              "no stage can take from one that waits for it", place);
}

std::vector<std::string> parameters_of(const std::vector<FoundWorkload>& workloads) {
  std::set<std::string> names{"seed"};
  for (const FoundWorkload& workload : workloads) {
    for (const ParameterSpec& spec : workload.schema.parameters) names.insert(spec.name);
  }
  return {names.begin(), names.end()};
}

/// Whether the stage takes from one that has the axis, and leaves open which of its values are meant.
bool chooses(const Experiment& stage, const std::vector<Experiment>& before, const std::string& axis) {
  const auto references = references_of(stage);
  return std::any_of(references.begin(), references.end(), [&](const Reference* reference) {
    const std::vector<std::string> axes = axis_order(named(before, reference->stage).matrix);
    return !reference->where.contains(axis) && std::find(axes.begin(), axes.end(), axis) != axes.end();
  });
}

}  // namespace

void sort_stages(std::vector<Experiment>& stages) {
  require_known(stages);
  std::vector<std::size_t> order;
  std::set<std::string> placed;
  while (order.size() < stages.size()) {
    const auto next = std::find_if(stages.begin(), stages.end(), [&](const Experiment& stage) {
      return !placed.contains(stage.stage) && first_open(stage, placed) == nullptr;
    });
    if (next == stages.end()) throw_circle(stages, placed);
    order.push_back(static_cast<std::size_t>(next - stages.begin()));
    placed.insert(next->stage);
  }
  std::vector<Experiment> sorted;
  for (const std::size_t index : order) sorted.push_back(std::move(stages[index]));
  stages = std::move(sorted);
}

Experiment with_common(const Experiment& whole, const Experiment& stage, const WorkloadSchema& schema,
                       const std::vector<Experiment>& before) {
  Experiment full = stage;
  const auto says_itself = [&](const std::string& key) {
    const std::vector<std::string> axes = axis_order(stage.matrix);
    return stage.parameters.contains(key) || stage.references.contains(key) ||
           std::find(axes.begin(), axes.end(), key) != axes.end();
  };
  for (const auto& [name, value] : whole.parameters) {
    if (has_parameter(schema, name) && !says_itself(name)) full.parameters[name] = value;
  }
  for (const Axis& axis : whole.matrix.grid) {
    const bool fits =
        resource_name_of(axis.key) || has_parameter(schema, axis.key) || chooses(stage, before, axis.key);
    if (fits && !says_itself(axis.key)) full.matrix.common.push_back(axis);
  }
  return full;
}

void require_common_taken(const Experiment& whole, const std::vector<FoundWorkload>& workloads) {
  const auto require = [&](const std::string& name, const std::string& place) {
    const bool any = std::any_of(workloads.begin(), workloads.end(), [&](const FoundWorkload& workload) {
      return has_parameter(workload.schema, name);
    });
    if (!any)
      throw Error(ExitCode::config, "no stage's workload has a parameter '" + name + "'",
                  name_advice(name, parameters_of(workloads)), whole.places.at(place));
  };
  for (const auto& [name, value] : whole.parameters) require(name, "parameters." + name);
  for (const Axis& axis : whole.matrix.grid) {
    if (!resource_name_of(axis.key)) require(axis.key, "matrix.grid." + axis.key);
  }
}

const Experiment& stage_named(const Experiment& whole, const std::string& name) {
  return name.empty() ? whole : named(whole.stages, name);
}

}  // namespace muster
