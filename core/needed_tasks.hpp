#pragma once
/// Which tasks a reference to a stage means. Pure.

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "core/experiment.hpp"
#include "core/task.hpp"

namespace muster {

/// A stage with what is common to all, and which of an experiment's tasks are its own.
struct StageTasks {
  Experiment experiment;
  std::vector<std::string> axes;
  std::size_t first = 0;
  std::size_t count = 0;
};

/// One task's file, or its folder of artifacts.
struct NeededFile {
  std::size_t task = 0;  ///< index among all tasks
  std::string file;
};

/// What a parameter is made of.
struct NeededFiles {
  std::vector<NeededFile> files;
  bool is_list = false;

  /// A text, or a list of texts: `text_of` each.
  template <typename TextOf>
  Value value(const TextOf& text_of) const {
    if (!is_list) return text_of(files.front());
    Value::List list;
    for (const NeededFile& file : files) list.push_back(text_of(file));
    return list;
  }
};

/// Of one reference, for all tasks of the stage that makes it: indexed, so that a large matrix takes no long.
class ReferenceMatcher {
 public:
  /// `tasks` are all that are made so far. Throws Error(config) where `where` names no axis of the needed
  /// stage.
  ReferenceMatcher(const Reference& reference, const StageTasks& own, const StageTasks& needed,
                   const std::vector<Task>& tasks);

  /// Indices of the needed tasks, in matrix order. Throws Error(config) where there is none.
  std::vector<std::size_t> match(const Task& task) const;

 private:
  std::string key_of(const Task& task, const std::vector<std::string>& axes) const;
  [[noreturn]] void throw_none(const Task& task, const std::vector<std::string>& axes) const;

  const Reference& reference_;
  const StageTasks& needed_;
  const std::vector<Task>& tasks_;
  std::vector<std::string> shared_;  ///< axes on which tasks must agree
  /// By the values on a set of these axes, made as it is asked for.
  mutable std::map<std::string, std::map<std::string, std::vector<std::size_t>>> by_values_;
};

}  // namespace muster
