#include "launcher/submission_report.hpp"

#include <nlohmann/json.hpp>

#include "core/counted.hpp"

namespace muster {

namespace {

using Json = nlohmann::ordered_json;

int cpus_per_node(const JobRequest& request) { return request.tasks_per_node * request.cpus_per_task; }

std::string line_of(const std::vector<std::string>& argv) {
  std::string line;
  for (const std::string& word : argv) {
    const std::size_t value = word.starts_with("--") ? word.find('=') + 1 : 0;
    line += (line.empty() ? "" : " ") + word.substr(0, value) + shell_quoted(word.substr(value));
  }
  return line + "\n";
}

/// A gang of such a task as it is started in the job, up to its program.
std::string srun_line(const SlurmCapabilities& capabilities, const Resources& needs, const NodeShape& shape) {
  const auto layout = lay_out(needs, shape);
  if (!layout || (needs.ranks > 1 && !capabilities.has_pmix()))
    return "mpirun -n " + std::to_string(needs.ranks) + " ...\n";
  StepRequest step;
  for (int node = 1; node <= layout->nodes; ++node) step.hosts.push_back("HOST" + std::to_string(node));
  step.ranks = needs.ranks;
  step.cpus_per_rank = needs.cpus_per_rank;
  step.gpus_per_host = layout->gpus_per_node;
  step.mpi = needs.ranks > 1;
  step.oversubscribe = needs.oversubscribe;
  std::string line = line_of(srun_arguments(capabilities, step));
  line.insert(line.size() - 1, " ...");
  return line;
}

}  // namespace

std::string size_text(const JobRequest& request) {
  std::string text = counted(request.nodes, "node") + " with " + counted(cpus_per_node(request), "CPU");
  if (request.gpus_per_node > 0)
    text += " and " + counted(request.gpus_per_node, "GPU") +
            (request.options.gpu_type.empty() ? "" : " of gpu:" + request.options.gpu_type);
  if (request.nodes > 1) text += " each";
  if (!request.options.time.empty()) text += ", up to " + request.options.time;
  return text;
}

std::string report_text(const SubmissionReport& report) {
  std::string text;
  if (!report.run.empty()) text += report.run.string() + ": ";
  text += counted(report.tasks, "task") + ", " + std::to_string(report.done) + " done\n";
  text += report.why + "\n";
  for (const Submission& submission : report.submissions) {
    const bool is_array = submission.kind == SubmissionKind::array;
    text += (is_array ? "array " : "job ") + submission.job.value_or("?") + ": " +
            counted(std::ssize(submission.tasks), "task") + (is_array ? ", each on " : " on ") +
            size_text(submission.request) +
            (report.partition.empty() ? "" : ", partition " + report.partition) + "\n";
  }
  if (!report.submissions.empty()) {
    text += "watch it with 'muster watch " + report.run.string() + "'; 'muster cancel " +
            report.run.string() + "' ends it\n";
  }
  return text;
}

std::string report_json(const SubmissionReport& report) {
  Json json{{"run", report.run.empty() ? Json(nullptr) : Json(report.run.string())},
            {"tasks", report.tasks},
            {"done", report.done},
            {"partition", report.partition},
            {"why", report.why},
            {"submissions", Json::array()}};
  for (const Submission& submission : report.submissions) {
    json["submissions"].push_back({{"number", submission.number},
                                   {"kind", submission.kind == SubmissionKind::pack ? "pack" : "array"},
                                   {"job", submission.job ? Json(*submission.job) : Json(nullptr)},
                                   {"token", submission.token},
                                   {"tasks", submission.tasks},
                                   {"array", submission.request.array},
                                   {"first", submission.first},
                                   {"nodes", submission.request.nodes},
                                   {"cpus_per_node", cpus_per_node(submission.request)},
                                   {"gpus_per_node", submission.request.gpus_per_node}});
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string report_ids(const SubmissionReport& report) {
  std::string text;
  for (const Submission& submission : report.submissions) text += submission.job.value_or("") + "\n";
  return text;
}

std::string dry_run_text(const SlurmCapabilities& capabilities, const JobRequest& request,
                         const std::vector<Resources>& kinds, const NodeShape& shape) {
  std::vector<std::string> argv{"sbatch"};
  for (std::string& argument : sbatch_arguments(capabilities, request)) argv.push_back(std::move(argument));
  std::string text = "\n" + size_text(request) + ":\n" + line_of(argv);
  text += "\nwith this script:\n" + batch_script(capabilities, request);
  text += "\nwhich starts gangs as:\n";
  for (const Resources& needs : kinds) text += srun_line(capabilities, needs, shape);
  return text;
}

}  // namespace muster
