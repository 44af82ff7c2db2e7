#pragma once
/// A gang within one process, for tests: each communicator is one rank, to be used by a thread of its own.

#include <memory>
#include <vector>

#include "runner/communicator.hpp"

namespace muster {

/// `size` communicators that belong together; element r is rank r. Same algorithms and sums as between
/// processes.
std::vector<std::unique_ptr<Communicator>> make_thread_group(int size);

}  // namespace muster
