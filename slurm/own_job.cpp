/// The job that this process runs in.

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "slurm/batch_system.hpp"
#include "slurm/command.hpp"
#include "slurm/scontrol_text.hpp"

namespace muster {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::optional<std::int64_t> unix_seconds(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "0-3,8" -> 5.
int count_ids(const std::string& list) {
  int count = 0;
  for (const std::string& range : split_outside_brackets(list, ',')) {
    if (range.empty()) continue;
    const std::size_t dash = range.find('-');
    const int first = leading_number(range);
    count +=
        dash == std::string::npos ? 1 : leading_number(std::string_view(range).substr(dash + 1)) - first + 1;
  }
  return count;
}

/// "gpu:a100:2(IDX:0-1),gpu:1(IDX:2)" -> 3.
int count_gpus(const std::string& gres) {
  int count = 0;
  for (const std::string& part : split_outside_brackets(gres, ',')) {
    if (!part.starts_with("gpu:") && !part.starts_with("gpu(")) continue;
    const std::size_t index = part.find("(IDX:");
    if (index != std::string::npos) {
      count += count_ids(part.substr(index + 5, part.find(')', index) - index - 5));
    } else {
      count += leading_number(std::string_view(part).substr(part.rfind(':') + 1), 1);
    }
  }
  return count;
}

/// "16(x2),8" of SLURM_JOB_CPUS_PER_NODE.
std::vector<int> expand_counts(const std::string& text) {
  std::vector<int> counts;
  for (const std::string& part : split_outside_brackets(text, ',')) {
    const std::size_t times = part.find("(x");
    const int repeat =
        times == std::string::npos ? 1 : leading_number(std::string_view(part).substr(times + 2), 1);
    counts.insert(counts.end(), static_cast<std::size_t>(std::max(repeat, 0)), leading_number(part));
  }
  return counts;
}

/// What the environment alone tells: GPUs of this host, taken for those of each.
std::vector<JobHost> hosts_of_environment() {
  const std::vector<int> cpus = expand_counts(variable("SLURM_JOB_CPUS_PER_NODE"));
  const int gpus = leading_number(variable("SLURM_GPUS_ON_NODE"), count_ids(variable("SLURM_JOB_GPUS")));
  std::vector<JobHost> hosts;
  for (const std::string& name : expand_hostlist(variable("SLURM_JOB_NODELIST"))) {
    hosts.push_back({name, hosts.size() < cpus.size() ? cpus[hosts.size()] : 1, gpus});
  }
  return hosts;
}

/// An array's first element has the array's id: then scontrol prints all of them.
std::string line_of_job(const std::string& text, const std::string& id) {
  for (const std::string& line : lines_of(text)) {
    if (scontrol_value(line, "JobId") == id) return line;
  }
  return "";
}

}  // namespace

std::vector<JobHost> parse_job_hosts(const std::string& text) {
  std::vector<JobHost> hosts;
  constexpr std::string_view kBegin = " Nodes=";
  std::size_t at = text.find(kBegin);
  while (at != std::string::npos) {
    const std::size_t next = text.find(kBegin, at + kBegin.size());
    const std::string part = text.substr(at, next == std::string::npos ? next : next - at);
    const std::string cpus = scontrol_value(part, "CPU_IDs");
    if (!cpus.empty()) {
      for (const std::string& name : expand_hostlist(scontrol_value(part, "Nodes"))) {
        hosts.push_back({name, count_ids(cpus), count_gpus(scontrol_value(part, "GRES"))});
      }
    }
    at = next;
  }
  return hosts;
}

std::optional<OwnJob> own_job() {
  OwnJob job;
  job.id = variable("SLURM_JOB_ID");
  if (job.id.empty()) job.id = variable("SLURM_JOBID");
  if (job.id.empty()) return std::nullopt;
  job.array_job = variable("SLURM_ARRAY_JOB_ID");
  job.array_task = variable("SLURM_ARRAY_TASK_ID");
  job.restarts = leading_number(variable("SLURM_RESTART_COUNT"));
  job.end = unix_seconds(variable("SLURM_JOB_END_TIME"));

  const CommandResult shown = run_command({"scontrol", "-d", "-o", "show", "job", job.id}, "",
                                          std::chrono::seconds(30), {{"SLURM_TIME_FORMAT", "%s"}});
  if (shown.ok()) {
    const std::string line = line_of_job(shown.out, job.id);
    job.hosts = parse_job_hosts(line);
    if (const auto end = unix_seconds(scontrol_value(line, "EndTime"))) job.end = end;
    job.restarts = leading_number(scontrol_value(line, "Restarts"), job.restarts);
  }
  if (job.hosts.empty()) job.hosts = hosts_of_environment();
  return job;
}

}  // namespace muster
