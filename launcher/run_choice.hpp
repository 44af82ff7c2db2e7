#pragma once
/// From what a person types to a run and a task of it.

#include <filesystem>
#include <string>

#include "core/run_paths.hpp"
#include "launcher/run_folder.hpp"

namespace muster {

struct ChosenRun {
  ExperimentPaths experiment;
  RunPaths run;
};

/// `what`: a run's folder or `EXPERIMENT/TIME`; an experiment's name, folder or TOML file, for its newest
/// run; empty: the newest run of all. Throws Error(usage) where there is none, naming what there is.
ChosenRun choose_run(const std::filesystem::path& runs_root, const std::string& what);

/// `what`: a number, `task-N`, the full name, a label, an id or its beginning. Throws Error(usage) where it
/// names none or more than one.
ListedTask choose_task(const RunPaths& run, const std::string& what);

}  // namespace muster
