#pragma once
/// From the cells of one stage to its tasks.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/needed_tasks.hpp"
#include "core/value_places.hpp"
#include "core/workload_schema.hpp"

namespace muster {

/// An experiment without stages is one. All that is handed in must outlive it.
class StageMaker {
 public:
  /// `stages` hold all that it takes from, and `tasks` theirs by the time that needed_by() is called. Throws
  /// Error(config) for a parameter that takes no artifacts, and what ReferenceMatcher throws.
  StageMaker(const StageTasks& own, const FoundWorkload& workload, const std::vector<StageTasks>& stages,
             const std::vector<Task>& tasks);

  const ValuePlaces& places() const { return places_; }

  /// The task without its id; what it takes from others is still empty. Throws Error(config) as
  /// resolve_parameters does, and for a placeholder without parameter.
  Task resolve(const Cell& cell);

  /// By parameter. Throws Error(config) where no task is meant, or several for one path.
  std::map<std::string, NeededFiles> needed_by(const Task& task) const;

 private:
  bool only_chooses(const std::string& key) const;
  [[noreturn]] void throw_too_many(const Task& task, const std::string& name, const NeededFiles& files) const;

  const StageTasks& own_;
  const FoundWorkload& workload_;
  const std::vector<Task>& tasks_;
  ValuePlaces places_;
  /// While a cell is resolved, a parameter's name stands for the cell's value.
  std::map<std::string, SourcePlace> named_places_;
  std::map<std::string, bool> takes_list_;
  std::map<std::string, std::vector<ReferenceMatcher>> matchers_;
  std::set<std::string> axes_that_choose_;  ///< those of the stages that it takes from
};

}  // namespace muster
