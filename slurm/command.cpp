#include "slurm/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "core/error.hpp"

extern char** environ;

namespace muster {
namespace {

using Clock = std::chrono::steady_clock;

/// A file descriptor, closed at the end.
class OwnedFd {
 public:
  explicit OwnedFd(int fd = -1) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedFd() { close(); }

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

[[noreturn]] void throw_not_started(const std::string& program, int error_number) {
  throw Error(ExitCode::resources, program + " cannot be started: " + std::strerror(error_number),
              "see whether this machine has processes and file descriptors left (ulimit -a)");
}

struct Pipe {
  OwnedFd read_end, write_end;
};

Pipe make_pipe(const std::string& program) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_not_started(program, errno);
  return {OwnedFd(ends[0]), OwnedFd(ends[1])};
}

/// What posix_spawn is told, freed at the end.
class SpawnPlan {
 public:
  SpawnPlan(const Pipe& in, const Pipe& out, const Pipe& err) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, in.read_end.get(), 0);
    posix_spawn_file_actions_adddup2(&actions_, out.write_end.get(), 1);
    posix_spawn_file_actions_adddup2(&actions_, err.write_end.get(), 2);
    posix_spawnattr_init(&attributes_);
    // A group of its own: Ctrl-C is for muster, and the time limit ends what the program started as well.
    posix_spawnattr_setpgroup(&attributes_, 0);
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGCHLD})
      sigaddset(&defaults, signal);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &defaults);
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!added.contains(std::string(text.substr(0, text.find('='))))) merged.emplace_back(text);
  }
  for (const auto& [name, value] : added) {
    if (!value.empty()) merged.push_back(name + "=" + value);
  }
  return merged;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

int milliseconds_until(Clock::time_point end) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
  return left <= 0 ? 0 : static_cast<int>(std::min<long long>(left, 1'000'000'000));
}

/// Reads what is there; closes at the end of the file.
void take(OwnedFd& from, std::string& into) {
  std::array<char, 65536> block;
  const ssize_t count = ::read(from.get(), block.data(), block.size());
  if (count > 0) {
    into.append(block.data(), static_cast<std::size_t>(count));
  } else if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
    from.close();
  }
}

/// Writes what the pipe takes; closes when all is written, or nobody reads.
void give(OwnedFd& to, std::string_view& rest) {
  const ssize_t count = ::write(to.get(), rest.data(), rest.size());
  if (count >= 0) {
    rest.remove_prefix(static_cast<std::size_t>(count));
  } else if (errno != EINTR && errno != EAGAIN) {
    rest = {};
  }
  if (rest.empty()) to.close();
}

/// SIGPIPE blocked for this thread, and one that came swallowed.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &old_);
  }
  ~NoSigpipe() {
    const timespec at_once{};
    if (sigismember(&old_, SIGPIPE) == 0) {
      while (sigtimedwait(&pipe_, nullptr, &at_once) == -1 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &old_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_, old_;
};

/// False where the limit came first.
bool exchange(OwnedFd& in, OwnedFd& out, OwnedFd& err, std::string_view input, CommandResult& result,
              Clock::time_point end) {
  const NoSigpipe guard;
  if (input.empty()) in.close();
  while (in.is_open() || out.is_open() || err.is_open()) {
    std::array<pollfd, 3> watched{{{in.get(), POLLOUT, 0}, {out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}}};
    const int ready = ::poll(watched.data(), watched.size(), milliseconds_until(end));
    if (ready == 0 && Clock::now() >= end) return false;
    if (ready <= 0) continue;
    if (watched[0].revents != 0) give(in, input);
    if (watched[1].revents != 0) take(out, result.out);
    if (watched[2].revents != 0) take(err, result.err);
  }
  return true;
}

/// The wait status; nullopt where the limit comes first.
std::optional<int> wait_until(pid_t child, Clock::time_point end) {
  auto pause = std::chrono::microseconds(200);
  while (true) {
    int status = 0;
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) return status;
    if (ended < 0 && errno != EINTR) return 0;  // somebody else has waited for it
    if (Clock::now() >= end) return std::nullopt;
    ::usleep(static_cast<useconds_t>(pause.count()));
    pause = std::min(pause * 2, std::chrono::microseconds(20'000));
  }
}

}  // namespace

std::string CommandResult::complaint() const {
  // "sbatch: error: Batch job submission failed: ..."
  std::string errors, last;
  std::size_t at = 0;
  while (at < err.size()) {
    const std::size_t end = std::min(err.find('\n', at), err.size());
    std::string line = err.substr(at, end - at);
    at = end + 1;
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.pop_back();
    if (line.empty()) continue;
    const std::size_t program = line.find(": ");
    if (program != std::string::npos && line.find(' ') > program) line.erase(0, program + 2);
    for (const std::string_view word : {"error: ", "fatal: "}) {
      if (!line.starts_with(word)) continue;
      line.erase(0, word.size());
      errors += (errors.empty() ? "" : "; ") + line;
    }
    last = std::move(line);
  }
  return errors.empty() ? last : errors;
}

CommandResult run_command(const std::vector<std::string>& argv, const std::string& input,
                          std::chrono::milliseconds limit,
                          const std::map<std::string, std::string>& environment) {
  MUSTER_ASSERT(!argv.empty());
  const std::string& program = argv.front();
  for (const std::string& argument : argv) {
    if (argument.find('\0') != std::string::npos) {
      throw Error(ExitCode::config, "an argument of " + program + " holds a zero byte",
                  "take it out: no program can be handed one");
    }
  }
  const Clock::time_point end = Clock::now() + limit;
  Pipe in = make_pipe(program), out = make_pipe(program), err = make_pipe(program);
  ::fcntl(in.write_end.get(), F_SETFL, O_NONBLOCK);

  std::vector<std::string> arguments = argv;
  std::vector<std::string> variables = merged_environment(environment);
  const SpawnPlan plan(in, out, err);
  pid_t child = -1;
  const int failure = ::posix_spawnp(&child, program.c_str(), plan.actions(), plan.attributes(),
                                     pointers_to(arguments).data(), pointers_to(variables).data());
  CommandResult result;
  if (failure == ENOENT || failure == EACCES || failure == ENOEXEC || failure == ENOTDIR) {
    result.exit_code = 127;
    result.err = program + ": " + std::strerror(failure);
    return result;
  }
  if (failure != 0) throw_not_started(program, failure);

  in.read_end.close();
  out.write_end.close();
  err.write_end.close();
  std::optional<int> status;
  if (exchange(in.write_end, out.read_end, err.read_end, input, result, end)) status = wait_until(child, end);
  if (!status) {
    result.timed_out = true;
    ::kill(-child, SIGKILL);
    status = wait_until(child, Clock::time_point::max());
  }
  result.exit_code = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
  return result;
}

}  // namespace muster
