/// What muster makes of the outputs of each version of Slurm, and what it says to each.

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "core/error.hpp"
#include "slurm/batch_system.hpp"
#include "tests/slurm/fake_slurm.hpp"
#include "tests/support/processes.hpp"

namespace muster {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

const char* word_of(JobPhase phase) {
  switch (phase) {
    case JobPhase::pending:
      return "pending";
    case JobPhase::running:
      return "running";
    case JobPhase::completing:
      return "completing";
    case JobPhase::ended:
      return "ended";
    case JobPhase::unknown:
      break;
  }
  return "unknown";
}

std::string shown(const SlurmCapabilities& capabilities) {
  std::ostringstream text;
  text << "version " << capabilities.version.text << ", cluster " << capabilities.cluster << "\n"
       << "mpi " << joined(capabilities.mpi) << (capabilities.has_pmix() ? "" : " (no pmix)") << "\n"
       << "packs " << capabilities.packs_steps() << ", binds " << capabilities.binds_cpus() << ", accounting "
       << capabilities.accounting << ", requeue " << capabilities.requeue << ", array "
       << capabilities.max_array_size << "\n";
  for (const SlurmPartition& partition : capabilities.partitions) {
    text << "partition " << partition.name << (partition.is_default ? " (default)" : "")
         << (partition.is_up ? "" : " (down)") << ": " << partition.nodes << " nodes, a job "
         << (partition.max_nodes ? std::to_string(*partition.max_nodes) : "all") << ", "
         << partition.cpus_per_node << " CPUs, " << partition.memory_per_node << " MiB, at most "
         << (partition.max_seconds ? format_slurm_time(*partition.max_seconds) : "for ever");
    for (const SlurmGpuType& gpu : partition.gpus)
      text << ", " << gpu.per_node << " GPUs '" << gpu.type << "' on " << gpu.nodes;
    text << "\n";
  }
  return text.str();
}

std::string shown(const JobStatus& status) {
  std::ostringstream text;
  text << status.job << (status.array_task.empty() ? "" : "_" + status.array_task) << " (" << status.own_id
       << "): " << word_of(phase_of(status.state)) << ", " << in_plain_words(status);
  if (status.restarts > 0) text << ", restarted " << status.restarts;
  if (status.exit_code) text << ", exit " << *status.exit_code;
  if (status.signal) text << ", signal " << *status.signal;
  if (status.end) text << ", until " << *status.end;
  return text.str() + ", " + status.comment + "\n";
}

JobRequest request_of_all() {
  JobRequest request;
  request.name = "sweep";
  request.token = "muster:k1:0";
  request.options.partition = "gpu";
  request.options.time = "01:00:00";
  request.nodes = 2;
  request.tasks_per_node = 4;
  request.cpus_per_task = 4;
  request.gpus_per_node = 4;
  request.command = {"/opt/muster", "continue", "/runs/it's"};
  request.working_folder = "/runs";
  request.output = "/runs/slurm-%j.out";
  return request;
}

std::string srun_lines(const SlurmCapabilities& capabilities) {
  StepRequest single;
  single.hosts = {"g1"};
  single.cpus_per_rank = 4;
  single.gpus_per_host = 1;
  StepRequest gang = single;
  gang.hosts = {"g1", "g2"};
  gang.ranks = 8;
  gang.gpus_per_host = 4;
  gang.mpi = true;
  std::string lines = joined(srun_arguments(capabilities, single)) + "\n";
  try {
    lines += joined(srun_arguments(capabilities, gang)) + "\n";
  } catch (const Error& error) {
    lines += error.problem() + "\n";
  }
  return lines;
}

/// All that `version` is asked and tells, as its file `expected` shows it.
std::string everything_of(const std::string& version, const testing::FakeSlurm& fake) {
  const SlurmCapabilities capabilities = probe_slurm();
  const JobRequest request = request_of_all();
  std::string text = shown(capabilities);
  text += "\nsbatch " + joined(sbatch_arguments(capabilities, request)) + "\n" +
          batch_script(capabilities, request) + "\n" + srun_lines(capabilities) + "\n";
  const auto slurm = make_slurm(capabilities);
  for (const JobStatus& status : slurm->states({"90", "91", "94"}, "muster:k1:")) text += shown(status);
  EXPECT_EQ(fake.calls("squeue").size(), 1U) << version;

  text += "\n";
  setenv("SLURM_JOB_ID", version == "22.05" ? "5" : "103", 1);
  const auto own = own_job();
  unsetenv("SLURM_JOB_ID");
  if (own) {
    text += "own job " + own->id + ", restarts " + std::to_string(own->restarts) + ", until " +
            (own->end ? std::to_string(*own->end) : "ever") + "\n";
    for (const JobHost& host : own->hosts)
      text +=
          host.name + ": " + std::to_string(host.cpus) + " CPUs, " + std::to_string(host.gpus) + " GPUs\n";
  }
  return text;
}

class Versions : public ::testing::TestWithParam<std::string> {};

TEST_P(Versions, AreUnderstoodAndSpokenTo) {
  const testing::FakeSlurm fake(GetParam());
  const auto expected = testing::versions_folder() / GetParam() / "expected";
  const std::string text = everything_of(GetParam(), fake);
  EXPECT_EQ(text, testing::text_of(expected));
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = "Slurm" + info.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Slurm, Versions,
                         ::testing::Values("20.11", "21.08", "22.05", "23.02", "23.11", "24.05", "25.05"),
                         test_name);

}  // namespace
}  // namespace muster
