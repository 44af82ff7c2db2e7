#include "launcher/command_submit.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/slurm_options_reader.hpp"
#include "launcher/attempt_ledger.hpp"
#include "launcher/job_liveness.hpp"
#include "launcher/job_submitter.hpp"
#include "launcher/node_shape.hpp"
#include "launcher/run_folder.hpp"
#include "launcher/run_tasks.hpp"
#include "launcher/submission_plan.hpp"
#include "launcher/submission_report.hpp"
#include "launcher/task_on_disk.hpp"
#include "launcher/workload_catalog.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

struct SubmitOptions {
  fs::path file;
  fs::path runs = default_runs_root();
  bool pack = false;
  bool array = false;
  int nodes = 0;
  std::vector<std::string> after;
  bool dry_run = false;
  bool parsable = false;
  bool json = false;
};

/// Of how many finished tasks the time is looked at.
constexpr int kMeasured = 50;

/// An experiment as it is to be submitted.
struct Prepared {
  Experiment experiment;
  std::vector<Task> tasks;
  ExperimentPaths paths;
  SiteRequest site;
  SubmissionWish wish;
};

SiteRequest site_request(const Experiment& experiment) {
  SiteRequest site;
  site.capabilities = probe_slurm();
  site.places = experiment.places;
  site.options = with_site_defaults(experiment.slurm, site.places);
  if (!site.options.prologue.empty() && !fs::exists(site.options.prologue))
    throw Error(ExitCode::config, "there is no prologue '" + site.options.prologue + "'",
                "give the path of a shell file, from the folder of the file that names it",
                site.places.at("slurm.prologue"));
  return site;
}

SubmissionWish wish_of(const SubmitOptions& options) {
  SubmissionWish wish;
  if (options.pack || options.nodes > 0) wish.kind = SubmissionKind::pack;
  if (options.array) wish.kind = SubmissionKind::array;
  wish.nodes = options.nodes;
  return wish;
}

/// Tasks that are not done, and the mean seconds of those that are.
std::vector<WaitingTask> waiting_tasks(const ExperimentPaths& paths, const Plan& plan, SubmissionWish& wish) {
  std::vector<WaitingTask> waiting;
  std::set<int> is_waiting;
  int measured = 0;
  double seconds = 0;
  for (const PlannedTask& planned : plan.tasks) {
    const TaskPaths task = paths.task(planned.task.folder_name());
    if (!fs::exists(task.done())) {
      waiting.push_back({planned.number, planned.task.label, planned.task.resources, planned.task.stage, {}});
      for (const int needed : planned.needs) {
        if (is_waiting.contains(needed)) waiting.back().waits_for.push_back(needed);
      }
      std::sort(waiting.back().waits_for.begin(), waiting.back().waits_for.end());
      is_waiting.insert(planned.number);
    } else if (measured < kMeasured) {
      ++measured;
      seconds += seconds_of_attempts(task);
    }
  }
  if (measured > 0) wish.task_seconds = seconds / measured;
  return waiting;
}

/// What open_run measures the plan against: the nodes that are asked for. Whether they can be had was seen
/// before.
std::vector<Slots> slots_of(const SubmissionPlan& plan) {
  std::vector<Slots> slots;
  for (const PlannedSubmission& planned : plan.submissions) {
    const JobRequest& request = planned.request;
    const std::string job = "job-" + std::to_string(&planned - plan.submissions.data());
    for (int number = 0; number < request.nodes; ++number)
      slots.push_back(numbered_slots(job + "-node-" + std::to_string(number),
                                     request.tasks_per_node * request.cpus_per_task, request.gpus_per_node));
  }
  return slots;
}

Prepared prepare(const SubmitOptions& options) {
  Experiment experiment = read_experiment(options.file);
  const fs::path runs_root = fs::absolute(options.runs).lexically_normal();
  std::vector<Task> tasks = make_tasks(experiment, find_workloads(experiment), runs_root);
  SiteRequest site = site_request(experiment);
  ExperimentPaths paths(runs_root, experiment.name);
  return {std::move(experiment), std::move(tasks), std::move(paths), std::move(site), wish_of(options)};
}

JobFrame frame_of(const Prepared& prepared, const SubmitOptions& options) {
  return {prepared.experiment.name, fs::read_symlink("/proc/self/exe"), fs::current_path(), options.after};
}

SubmissionReport report_of(const Prepared& prepared, const SubmissionPlan& plan, std::size_t waiting) {
  SubmissionReport report;
  report.why = plan.why;
  report.tasks = static_cast<int>(prepared.tasks.size());
  report.done = report.tasks - static_cast<int>(waiting);
  if (const auto shape = shape_of(prepared.site.capabilities, prepared.site.options))
    report.partition = shape->partition;
  return report;
}

void print(const SubmitOptions& options, const SubmissionReport& report) {
  const std::string text = options.json       ? report_json(report)
                           : options.parsable ? report_ids(report)
                                              : report_text(report);
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

void print_dry_run(const Prepared& prepared, const Plan& tasks, const SubmissionPlan& plan,
                   const JobFrame& frame, const std::optional<RunPaths>& same) {
  const RunPaths run = same ? *same : prepared.paths.run("TIME");
  const NodeShape shape = shape_of(prepared.site.capabilities, prepared.site.options).value_or(NodeShape{});
  std::printf("%s\n", plan.why.c_str());
  std::vector<std::string> jobs;
  for (const PlannedSubmission& planned : plan.submissions) {
    std::vector<Resources> kinds;
    for (const PlannedTask& task : tasks.tasks) {
      const auto& own = planned.tasks;
      const Resources& needs = task.task.resources;
      if (std::find(own.begin(), own.end(), task.number) != own.end() &&
          std::find(kinds.begin(), kinds.end(), needs) == kinds.end())
        kinds.push_back(needs);
    }
    JobRequest request = framed(planned, frame, run);
    for (std::string& job : jobs_to_wait_for(planned, plan.submissions, jobs))
      request.after.push_back(std::move(job));
    jobs.push_back("JOB" + std::to_string(jobs.size() + 1));
    request.token = token_prefix(run) + "N";
    request.output = run.submission(1).folder().parent_path() / "N" / "slurm-%j.out";
    std::fputs(dry_run_text(prepared.site.capabilities, request, kinds, shape).c_str(), stdout);
  }
}

void submit(const SubmitOptions& options) {
  Prepared prepared = prepare(options);
  const EarlierRun earlier = earlier_run(prepared.paths, prepared.tasks);
  const Plan planned = make_plan(prepared.experiment, prepared.tasks, {}, earlier.numbers);
  const auto waiting = waiting_tasks(prepared.paths, planned, prepared.wish);
  if (waiting.empty()) {
    SubmissionReport report = report_of(prepared, {{}, "nothing is left to do"}, 0);
    if (earlier.same) report.run = earlier.same->folder();
    return print(options, report);
  }
  SubmissionPlan plan = plan_submissions(waiting, prepared.wish, prepared.site);
  const JobFrame frame = frame_of(prepared, options);
  if (options.dry_run) return print_dry_run(prepared, planned, plan, frame, earlier.same);

  const auto system = make_slurm(prepared.site.capabilities);
  if (earlier.same) require_no_living_job(*earlier.same, *system);
  require_jobs_to_wait_for(options.after, *system);
  OpenedRun run = open_run(prepared.paths, prepared.experiment, prepared.tasks, slots_of(plan),
                           make_job_liveness(system.get()));
  if (!run.is_new) require_no_living_job(run.paths, *system);
  // Another launcher may have given other numbers, or done some, since the first look.
  const auto left = waiting_tasks(prepared.paths, run.plan, prepared.wish);
  if (left.empty()) return submit(options);
  plan = plan_submissions(left, prepared.wish, prepared.site);
  if (!run.is_new) write_durably(run.paths.experiment_file(), read_text(prepared.experiment.file));
  write_durably(run.paths.slurm(), capabilities_to_json(prepared.site.capabilities));
  write_run_tasks(run.paths, run.plan);
  SubmissionReport report = report_of(prepared, plan, left.size());
  report.run = run.paths.folder();
  report.submissions = submit_all(run.paths, std::move(run.claim), plan.submissions, frame,
                                  prepared.site.capabilities, *system);
  print(options, report);
}

}  // namespace

void add_submit_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* command =
      app.add_subcommand("submit", "Ask Slurm for jobs that do what is left of an experiment");
  command->footer(
      "[slurm] in the file says what is asked for; docs/slurm.md tells the rest.\nExample: muster submit "
      "experiments/quickstart.toml --pack --nodes 2");
  command->add_option("FILE", options->file, "The experiment: a TOML file")->required();
  command->add_option("--runs", options->runs,
                      "Folder of all runs (else $MUSTER_RUNS, else results/runs below the current folder)");
  auto* pack = command->add_flag("--pack", options->pack, "One job that runs all tasks");
  auto* array = command->add_flag("--array", options->array, "A job a task");
  auto* nodes =
      command->add_option("--nodes", options->nodes, "Nodes of the one job")->check(CLI::Range(1, 1 << 20));
  pack->excludes(array);
  nodes->excludes(array);
  command
      ->add_option("--after", options->after,
                   "Start when this job has ended well; may be given more than once")
      ->check(CLI::TypeValidator<unsigned>("JOB"));
  command->add_flag("--dry-run", options->dry_run, "Print what would be asked for, and ask for nothing");
  auto* parsable =
      command->add_flag("--parsable", options->parsable, "Print the jobs' ids alone, one a line");
  command->add_flag("--json", options->json, "Print JSON")->excludes(parsable);
  command->callback([options, &exit_code] {
    submit(*options);
    exit_code = static_cast<int>(ExitCode::ok);
  });
}

}  // namespace muster
