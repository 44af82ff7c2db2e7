#include "launcher/process_table.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cctype>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <thread>

#include "core/error.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

std::string read_proc(int pid, const char* name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<int> all_processes() {
  std::vector<int> processes;
  std::error_code error;
  for (fs::directory_iterator item("/proc", error), end; !error && item != end; item.increment(error)) {
    const std::string name = item->path().filename().string();
    if (std::isdigit(static_cast<unsigned char>(name.front()))) processes.push_back(std::atoi(name.c_str()));
  }
  return processes;
}

struct Kinship {
  char state = 'X';
  int parent = 0;
};

Kinship kinship_of(int pid) {
  const std::string stat = read_proc(pid, "stat");
  // The command's name stands in brackets and may itself hold brackets and blanks.
  const auto bracket = stat.rfind(')');
  if (bracket == std::string::npos || bracket + 4 >= stat.size()) return {};
  return {stat[bracket + 2], std::atoi(stat.c_str() + bracket + 4)};
}

bool has_environment(int pid, std::string_view assignment) {
  const std::string environment = read_proc(pid, "environ");
  std::string_view rest = environment;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\0');
    if (rest.substr(0, end) == assignment) return true;
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return false;
}

/// SIGKILLs `pid` if it still is the process that has `assignment`: through a pidfd, so that a reused pid is
/// safe.
void kill_if_still(int pid, std::string_view assignment) {
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (!has_environment(pid, assignment)) {
    if (handle >= 0) close(handle);
    return;
  }
  if (handle >= 0) {
    syscall(SYS_pidfd_send_signal, handle, SIGKILL, nullptr, 0);
    close(handle);
  } else {
    kill(pid, SIGKILL);
  }
}

}  // namespace

std::vector<int> descendants_of(int pid) {
  std::multimap<int, int> children;
  for (const int process : all_processes()) {
    const Kinship kinship = kinship_of(process);
    if (kinship.state != 'Z' && kinship.state != 'X') children.emplace(kinship.parent, process);
  }
  std::vector<int> found{pid};
  for (std::size_t next = 0; next < found.size(); ++next) {
    const auto [first, last] = children.equal_range(found[next]);
    for (auto child = first; child != last; ++child) found.push_back(child->second);
  }
  found.erase(found.begin());
  return found;
}

std::vector<int> processes_with_environment(const std::string& assignment) {
  std::vector<int> found;
  for (const int process : all_processes()) {
    if (process == getpid() || !has_environment(process, assignment)) continue;
    const char state = kinship_of(process).state;
    if (state != 'Z' && state != 'X') found.push_back(process);
  }
  return found;
}

int end_processes_with_environment(const std::string& assignment) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  std::set<int> ended;
  while (true) {
    const std::vector<int> left = processes_with_environment(assignment);
    if (left.empty()) return static_cast<int>(ended.size());
    if (Clock::now() > deadline) {
      throw Error(
          ExitCode::internal,
          "process " + std::to_string(left.front()) + " of an earlier attempt does not die on SIGKILL",
          "it most likely waits for a file system or a device; see 'ps -o stat,wchan -p " +
              std::to_string(left.front()) + "'");
    }
    for (const int process : left) {
      kill_if_still(process, assignment);
      ended.insert(process);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace muster
