#pragma once
/// What `muster submit` tells of what it asked for. Pure.

#include <filesystem>
#include <string>
#include <vector>

#include "core/experiment.hpp"
#include "launcher/node_shape.hpp"
#include "launcher/submission.hpp"
#include "launcher/submission_plan.hpp"

namespace muster {

struct SubmissionReport {
  std::filesystem::path run;  ///< empty: there is none
  int tasks = 0;
  int done = 0;
  std::string partition;
  std::string why;
  std::vector<Submission> submissions;
};

std::string report_text(const SubmissionReport& report);
std::string report_json(const SubmissionReport& report);
/// The jobs' ids, one a line.
std::string report_ids(const SubmissionReport& report);

/// The line of sbatch, the script, and the line of srun for a gang of each kind of task.
std::string dry_run_text(const SlurmCapabilities& capabilities, const JobRequest& request,
                         const std::vector<Resources>& kinds, const NodeShape& shape);

/// "2 nodes with 16 CPUs and 4 GPUs each, up to 02:00:00".
std::string size_text(const JobRequest& request);

}  // namespace muster
