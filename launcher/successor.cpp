#include "launcher/successor.hpp"

#include <algorithm>
#include <optional>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "launcher/submission.hpp"

namespace muster {

namespace {

/// The submission that asked for this job; nullopt where somebody called sbatch by hand.
std::optional<Submission> submission_of(const RunPaths& run, const OwnJob& job) {
  for (Submission& submission : read_submissions(run)) {
    if (submission.job && (*submission.job == job.id || *submission.job == job.array_job)) return submission;
  }
  return std::nullopt;
}

std::string submit_again(const RunPaths& run, const OwnJob& job, const Submission& before,
                         BatchSystem& system) {
  JobRequest request = before.request;
  std::vector<int> tasks = before.tasks;
  if (!job.array_task.empty()) {
    request.array = job.array_task;
    tasks = {before.first + std::stoi(job.array_task)};
  }
  const std::string script = read_text(run.submission(before.number).script());
  Submission next =
      open_submission(run, before.kind, std::move(tasks), std::move(request), script, before.first);
  answer_submission(run, next, system.submit(next.request));
  return "what is left goes on as job " + *next.job;
}

}  // namespace

std::string go_on_in_another_job(const RunPaths& run, const OwnJob& job, BatchSystem& system) {
  const std::optional<Submission> submission = submission_of(run, job);
  const bool may_requeue = !submission || submission->request.options.requeue;
  try {
    if (may_requeue && system.requeue(job.id)) return "job " + job.id + " goes back into the queue";
    if (submission) return submit_again(run, job, *submission, system);
  } catch (const Error& error) {
    return std::string("Slurm did not take what is left: ") + error.what() +
           "; submit again to go on where this stopped";
  }
  return "this job may not be requeued; submit it again to go on where this stopped";
}

}  // namespace muster
