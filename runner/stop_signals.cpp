#include "runner/stop_signals.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace muster {
namespace {

volatile sig_atomic_t signalled = 0;

void remember(int) { signalled = 1; }

}  // namespace

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool stop_signalled() { return signalled != 0; }

void die_with_parent() {
  const pid_t parent = getppid();
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != parent) raise(SIGKILL);
}

}  // namespace muster
