#pragma once
/// Ranks on one host, as processes or as threads of one process: messages are read straight from the sender's
/// memory (process_vm_readv, or a copy within one process); who waits sleeps on a futex. docs/communicator.md
/// has the numbers that chose it over MPI's shared-memory path.

#include <memory>
#include <vector>

#include "runner/comm/transport.hpp"

namespace muster {

/// Ranks `0 .. size-1` as threads of this process.
std::vector<std::unique_ptr<Transport>> make_host_transports(int size);

/// Collective over `parent`: ranks of one `colour`, which must be on one host, in order of `key`. Null, on
/// every rank of the colour, where the kernel forbids reading another process's memory.
std::unique_ptr<Transport> make_host_transport(Transport& parent, int colour, int key);

}  // namespace muster
