#pragma once
/// Blocks of threads as a GPU runs them, on one CPU thread: the threads of a block are fibers, blocks run one
/// after another. Barriers end a fiber's turn; from one to the next the order of turns goes up and down, and
/// so does that of blocks, so that what depends on an order shows. A barrier that a part of its threads
/// never reaches ends the program with one line.

#include <cstdint>
#include <functional>

namespace muster::testing {

/// Calls `kernel` once for each thread. `enter` is called whenever a thread takes its turn, with its block
/// and its number in it.
void run_grid(unsigned blocks, unsigned threads, const std::function<void()>& kernel,
              const std::function<void(unsigned block, unsigned thread)>& enter);

/// Waits for all threads of this one's block.
void wait_for_block();
/// Waits for all 32 of this one's warp, and returns what each of them gave. Good until the warp's next but
/// one.
const std::uint64_t* exchange_in_warp(std::uint64_t value);

}  // namespace muster::testing
