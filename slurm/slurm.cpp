/// The batch system that Slurm's commands make.

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string_view>

#include "core/error.hpp"
#include "core/log.hpp"
#include "slurm/batch_system.hpp"
#include "slurm/command.hpp"
#include "slurm/scontrol_text.hpp"

extern char** environ;

namespace muster {
namespace {

/// Slurm's own time-outs (MessageTimeout, retries) end before it.
constexpr std::chrono::seconds kLimit{60};

bool says_any(const std::string& text, std::initializer_list<std::string_view> phrases) {
  const std::string lower = lower_case(text);
  return std::any_of(phrases.begin(), phrases.end(),
                     [&](std::string_view phrase) { return lower.find(phrase) != std::string::npos; });
}

bool controller_is_silent(const CommandResult& result) {
  return result.timed_out ||
         says_any(result.err, {"unable to contact slurm controller", "socket timed out", "connection refused",
                               "connection timed out", "zero bytes were transmitted", "in standby mode",
                               "unable to establish controller machine", "temporarily unable to accept job",
                               "slurm rpc rate limit", "authentication credential", "munge"});
}

std::string words_of(const CommandResult& result) {
  const std::string complaint = result.complaint();
  if (result.timed_out) {
    return "no answer within " + std::to_string(kLimit.count()) + " s" +
           (complaint.empty() ? "" : ": " + complaint);
  }
  return complaint.empty() ? "exit status " + std::to_string(result.exit_code) : complaint;
}

[[noreturn]] void throw_failure(const CommandResult& result, const std::string& what,
                                const std::string& advice) {
  if (result.exit_code == 127) {
    throw Error(ExitCode::config, "there is no Slurm here: " + result.err,
                "run on a login node of the cluster");
  }
  if (controller_is_silent(result)) {
    throw Error(ExitCode::busy, "Slurm's controller does not answer: " + words_of(result),
                "see whether `scontrol ping` finds it, then try again");
  }
  throw Error(ExitCode::resources, what + ": " + words_of(result), advice);
}

/// A job asked for from inside of a job inherits its variables, and would take the other's task or limits for
/// its own.
std::map<std::string, std::string> without_own_job() {
  std::map<std::string, std::string> removed;
  if (std::getenv("SLURM_JOB_ID") == nullptr) return removed;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string name(text.substr(0, text.find('=')));
    const bool of_job =
        name.starts_with("SLURM_") || name.starts_with("PMIX_") || name.starts_with("SLURMD_");
    const bool of_site = name == "SLURM_CONF" || name == "SLURM_CLUSTERS" || name == "SLURM_JWT" ||
                         name == "SLURM_CONF_SERVER" || name == "SLURM_TIME_FORMAT";
    if (of_job && !of_site) removed[name] = "";
  }
  return removed;
}

/// Epoch seconds, and none of the user's own defaults for what squeue and sacct show.
std::map<std::string, std::string> environment_of_questions() {
  std::map<std::string, std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string name(text.substr(0, text.find('=')));
    if (name.starts_with("SQUEUE_") || name.starts_with("SACCT_")) environment[name] = "";
  }
  environment["SLURM_TIME_FORMAT"] = "%s";
  // Else the indices of an array's waiting elements are cut off at 64 characters.
  environment["SLURM_BITSTR_LEN"] = "0";
  return environment;
}

bool is_asked_for(const JobStatus& status, const std::set<std::string>& jobs,
                  const std::string& token_prefix) {
  if (!token_prefix.empty() && status.comment.starts_with(token_prefix)) return true;
  return jobs.contains(status.job) || jobs.contains(status.own_id) ||
         (!status.array_task.empty() && jobs.contains(status.job + "_" + status.array_task));
}

/// A scancel that came too late.
bool had_ended(const CommandResult& result) {
  return says_any(result.err, {"invalid job id", "already completing or completed", "job/step already"});
}

class Slurm : public BatchSystem {
 public:
  explicit Slurm(SlurmCapabilities capabilities) : capabilities_(std::move(capabilities)) {}

  std::string submit(const JobRequest& request) override {
    std::vector<std::string> argv{"sbatch"};
    for (std::string& argument : sbatch_arguments(capabilities_, request))
      argv.push_back(std::move(argument));
    const CommandResult result =
        run_command(argv, batch_script(capabilities_, request), kLimit, without_own_job());
    if (!result.ok()) throw_failure(result, "Slurm refused the job", "change [slurm] of the experiment file");
    // "123", or "123;cluster"; a site's plugin may print before it.
    const std::vector<std::string> lines = lines_of(result.out);
    const std::string last = lines.empty() ? "" : lines.back();
    const std::string job = last.substr(0, last.find_first_not_of("0123456789"));
    if (job.empty()) {
      throw Error(ExitCode::resources, "sbatch did not print the job's id but: " + result.out,
                  "look with squeue whether the job is there");
    }
    return job;
  }

  std::vector<JobStatus> states(const std::vector<std::string>& jobs,
                                const std::string& token_prefix) override {
    const std::set<std::string> wanted(jobs.begin(), jobs.end());
    std::vector<JobStatus> found;
    int damaged = 0;
    const CommandResult shown =
        run_command({"squeue", "--noheader", "--all", "--states=all", "--user=" + std::to_string(::getuid()),
                     std::string("--Format=") + kSqueueFormat},
                    "", kLimit, environment_of_questions());
    if (!shown.ok()) throw_failure(shown, "squeue failed", "see `squeue --me`");
    for (JobStatus& status : parse_squeue(shown.out, &damaged)) {
      if (is_asked_for(status, wanted, token_prefix)) found.push_back(std::move(status));
    }
    if (damaged > 0 && !damage_was_told_) {
      damage_was_told_ = true;
      log(LogLevel::warning, std::to_string(damaged) + " lines of squeue could not be read");
    }
    if (capabilities_.accounting) add_gone(wanted, token_prefix, found);
    return found;
  }

  void ask_to_stop(const std::string& job) override {
    // First what waits: else it begins in the place of what stops.
    for (const std::vector<std::string>& options :
         {std::vector<std::string>{"--state=PENDING"}, {"--state=RUNNING", "--batch", "--signal=TERM"}}) {
      std::vector<std::string> argv{"scancel"};
      argv.insert(argv.end(), options.begin(), options.end());
      argv.push_back(job);
      const CommandResult result = run_command(argv, "", kLimit);
      // Of arrays it signals all elements and has a strange exit status without a word.
      if (!result.ok() && !result.complaint().empty() && !had_ended(result))
        throw_failure(result, "job " + job + " cannot be asked to stop", "see `squeue --me`");
    }
  }

  void cancel(const std::string& job) override {
    const CommandResult result = run_command({"scancel", job}, "", kLimit);
    if (!result.ok() && !had_ended(result))
      throw_failure(result, "job " + job + " cannot be cancelled", "see `squeue --me`");
  }

  bool requeue(const std::string& job) override {
    const CommandResult result = run_command({"scontrol", "requeue", job}, "", kLimit);
    if (result.ok()) {
      // Else it waits for up to two minutes. A wish: who may not do it waits.
      run_command({"scontrol", "update", "JobId=" + job, "StartTime=now"}, "", kLimit);
      return true;
    }
    if (result.exit_code == 127 || controller_is_silent(result)) throw_failure(result, "", "");
    return false;
  }

 private:
  /// What squeue has forgotten, in one call of sacct.
  void add_gone(const std::set<std::string>& wanted, const std::string& token_prefix,
                std::vector<JobStatus>& found) const {
    std::set<std::string> known;
    for (const JobStatus& status : found) {
      known.insert({status.job, status.own_id, status.job + "_" + status.array_task});
    }
    std::string gone;
    for (const std::string& job : wanted) {
      if (!known.contains(job)) gone += (gone.empty() ? "" : ",") + job;
    }
    const bool by_token = wanted.empty() && !token_prefix.empty() && found.empty();
    if (gone.empty() && !by_token) return;
    std::vector<std::string> argv{"sacct",
                                  "--allocations",
                                  "--noheader",
                                  "--parsable2",
                                  std::string("--delimiter=") + kSacctDelimiter,
                                  std::string("--format=") + kSacctFormat};
    if (by_token) {
      argv.insert(argv.end(), {"--user=" + std::to_string(::getuid()), "--starttime=now-7days"});
    } else {
      argv.push_back("--jobs=" + gone);
    }
    const CommandResult shown = run_command(argv, "", kLimit, environment_of_questions());
    // squeue's answer stands; what only sacct knows is unknown for now.
    if (!shown.ok()) {
      log(LogLevel::warning, "sacct failed: " + words_of(shown));
      return;
    }
    for (JobStatus& status : parse_sacct(shown.out)) {
      if (is_asked_for(status, wanted, token_prefix)) found.push_back(std::move(status));
    }
  }

  SlurmCapabilities capabilities_;
  bool damage_was_told_ = false;
};

}  // namespace

std::unique_ptr<BatchSystem> make_slurm(SlurmCapabilities capabilities) {
  return std::make_unique<Slurm>(std::move(capabilities));
}

}  // namespace muster
