#include "launcher/rank_end.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include "core/durable_file.hpp"
#include "core/error.hpp"

namespace muster {

namespace {

constexpr auto kShownLate = std::chrono::seconds(3);
constexpr int kCannotExecute = 126;
constexpr int kCommandNotFound = 127;

void for_each_signal(void (*handler)(int)) {
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP && signal != SIGCHLD) ::signal(signal, handler);
  }
}

[[noreturn]] void become(char** command, pid_t parent) {
  for_each_signal(SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kCannotExecute);
  execvp(command[0], command);
  const int error_number = errno;
  std::fprintf(stderr, "muster-shim: cannot start '%s': %s\n", command[0], std::strerror(error_number));
  _exit(error_number == ENOENT ? kCommandNotFound : kCannotExecute);
}

constexpr const char* kStarted = "started";

bool ended_well(const std::filesystem::path& file) {
  std::ifstream stream(file);
  int exit_code = -1;
  return stream >> exit_code && exit_code == 0;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0')
    throw Error(ExitCode::usage, std::string("$") + name + " is not set",
                "muster starts this program itself");
  return value;
}

}  // namespace

int run_rank(char** command) {
  const AttemptPaths attempt(variable("MUSTER_ATTEMPT"));
  const int rank = std::atoi(variable("SLURM_PROCID").c_str());
  for_each_signal(SIG_IGN);
  write_whole(attempt.rank_end(rank), std::string(kStarted) + "\n");
  const pid_t self = getpid();
  const pid_t child = fork();
  if (child < 0) {
    throw Error(ExitCode::resources, std::string("cannot start a process: ") + std::strerror(errno),
                "see 'ulimit -u' and the memory left");
  }
  if (child == 0) become(command, self);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  const int exit_code = signal != 0 ? 128 + signal : WEXITSTATUS(status);
  write_whole(attempt.rank_end(rank), std::to_string(exit_code) + "\n");
  if (signal != 0) {
    // srun tells a rank that was killed from one that returned.
    ::signal(signal, SIG_DFL);
    kill(self, signal);
  }
  return exit_code;
}

bool any_rank_started(const AttemptPaths& attempt, int count) {
  for (int rank = 0; rank < count; ++rank) {
    if (std::filesystem::exists(attempt.rank_end(rank))) return true;
  }
  return false;
}

std::vector<int> ranks_without_good_end(const AttemptPaths& attempt, int count) {
  std::vector<int> ranks;
  for (int rank = 0; rank < count; ++rank) ranks.push_back(rank);
  const auto deadline = std::chrono::steady_clock::now() + kShownLate;
  while (true) {
    std::erase_if(ranks, [&](int rank) { return ended_well(attempt.rank_end(rank)); });
    if (ranks.empty() || std::chrono::steady_clock::now() > deadline) return ranks;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace muster
