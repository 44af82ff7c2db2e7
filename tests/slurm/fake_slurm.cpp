#include "tests/slurm/fake_slurm.hpp"

#include <cstdlib>

#include "tests/support/processes.hpp"

namespace muster::testing {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> between_zeros(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = text.find('\0', at);
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

}  // namespace

fs::path versions_folder() { return MUSTER_SLURM_VERSIONS; }

FakeSlurm::FakeSlurm(const std::string& version) : old_path_(std::getenv("PATH")) {
  fs::create_directory(folder_ / "calls");
  fs::create_directory(folder_ / "answers");
  fs::create_directory(folder_ / "bin");
  if (!version.empty()) fs::copy(versions_folder() / version, folder_ / "answers");
  for (const char* program : {"sbatch", "srun", "scontrol", "squeue", "sacct", "scancel"})
    fs::create_symlink(MUSTER_FAKE_SLURM, folder_ / "bin" / program);
  setenv("PATH", ((folder_ / "bin").string() + ":" + old_path_).c_str(), 1);
  setenv("FAKE_SLURM_CALLS", (folder_ / "calls").c_str(), 1);
  setenv("FAKE_SLURM_ANSWERS", (folder_ / "answers").c_str(), 1);
}

FakeSlurm::~FakeSlurm() {
  setenv("PATH", old_path_.c_str(), 1);
  unsetenv("FAKE_SLURM_CALLS");
  unsetenv("FAKE_SLURM_ANSWERS");
}

void FakeSlurm::answer(const std::string& command, const std::string& out, const std::string& err,
                       int status) {
  const fs::path file = folder_ / "answers" / command;
  write_text(file, out);
  write_text(file.string() + ".err", err);
  write_text(file.string() + ".status", std::to_string(status));
}

std::vector<FakeCall> FakeSlurm::calls(const std::string& program) const {
  std::vector<FakeCall> calls;
  for (int number = 0;; ++number) {
    const fs::path folder = folder_ / "calls" / (program + "." + std::to_string(number));
    if (!fs::exists(folder)) return calls;
    FakeCall call;
    call.arguments = between_zeros(text_of(folder / "arguments"));
    for (const std::string& entry : between_zeros(text_of(folder / "environment"))) {
      const std::size_t equals = entry.find('=');
      call.environment[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
    call.input = text_of(folder / "input");
    calls.push_back(std::move(call));
  }
}

}  // namespace muster::testing
