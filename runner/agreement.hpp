#pragma once
/// Turning one rank's failure into every rank's, so that none waits for a collective that will not come.

#include <exception>
#include <functional>
#include <optional>

#include "core/error.hpp"
#include "runner/comm/queued_communicator.hpp"

namespace muster {

/// Runs `act` on this rank. Returns what went wrong on the lowest rank where something did, the same on every
/// rank; nothing where it went well on all. Every rank must call this.
std::optional<Error> failure_of_any(QueuedCommunicator& control, const std::function<void()>& act);

}  // namespace muster
