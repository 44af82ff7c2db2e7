#pragma once
/// Fakes of Slurm's commands, for what a real cluster cannot be made to say: other versions, lost answers.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.hpp"

namespace muster::testing {

/// The files of tests/slurm/versions.
std::filesystem::path versions_folder();

struct FakeCall {
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment;
  std::string input;  ///< of sbatch
};

/// While it lives, sbatch, srun, scontrol, squeue, sacct and scancel are fakes, first in PATH.
class FakeSlurm {
 public:
  /// Answers as `version` does ("22.05"); without one nothing is answered.
  explicit FakeSlurm(const std::string& version = "");
  ~FakeSlurm();
  FakeSlurm(const FakeSlurm&) = delete;
  FakeSlurm& operator=(const FakeSlurm&) = delete;

  /// From now on `command` ("sbatch", "scontrol-requeue") prints these and ends so.
  void answer(const std::string& command, const std::string& out, const std::string& err = "",
              int status = 0);
  /// How `program` was called, in order.
  std::vector<FakeCall> calls(const std::string& program) const;

 private:
  TemporaryFolder folder_;
  std::string old_path_;
};

}  // namespace muster::testing
