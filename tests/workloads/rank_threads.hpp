#pragma once
/// Runs a piece of code as the ranks of a gang, each a thread of this process.

#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "runner/comm/thread_group.hpp"
#include "runner/communicator.hpp"

namespace muster::workloads {

/// Calls `body` on every rank at once; rethrows the first rank's exception once all have ended.
inline void on_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  auto group = make_thread_group(ranks);
  std::vector<std::exception_ptr> problems(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r) {
    threads.emplace_back([&, r] {
      try {
        body(*group[static_cast<std::size_t>(r)]);
      } catch (...) {
        problems[static_cast<std::size_t>(r)] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& problem : problems) {
    if (problem) std::rethrow_exception(problem);
  }
}

}  // namespace muster::workloads
