#include "launcher/stop_signals.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <initializer_list>

#include "core/error.hpp"

namespace muster {

namespace {

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD}) sigaddset(&set, signal);
  return set;
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t handled = handled_signals();
  sigprocmask(SIG_BLOCK, &handled, nullptr);
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  // Where the parent had it ignored, ended children would vanish before they are waited for.
  signal(SIGCHLD, SIG_DFL);
  descriptor_ = signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
  MUSTER_ASSERT(descriptor_ >= 0);
}

StopSignals::~StopSignals() {
  // One that still waits would end the process as soon as it is let through.
  wait(std::chrono::milliseconds(0));
  close(descriptor_);
  const sigset_t handled = handled_signals();
  sigprocmask(SIG_UNBLOCK, &handled, nullptr);
}

void StopSignals::wait(std::chrono::milliseconds longest) {
  pollfd entry{descriptor_, POLLIN, 0};
  poll(&entry, 1, static_cast<int>(longest.count()));
  signalfd_siginfo info;
  while (read(descriptor_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGUSR1) {
      if (request_ == Request::none) time_is_short_ = true;
      request_ = request_ == Request::none ? Request::save_and_stop : request_;
      continue;
    }
    if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM) time_is_short_ = false;
    if (info.ssi_signo == SIGINT) {
      request_ = request_ == Request::none ? Request::save_and_stop : Request::kill;
    } else if (info.ssi_signo == SIGTERM && request_ == Request::none) {
      request_ = Request::save_and_stop;
    }
  }
}

}  // namespace muster
