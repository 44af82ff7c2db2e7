#include "tests/workloads/cuda/emulated/fiber_grid.hpp"

#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace muster::testing {
namespace {

constexpr unsigned kLanes = 32;
constexpr std::size_t kStackBytes = 128 * 1024;

enum class State { ready, waits_for_block, waits_for_warp, done };

struct Fiber {
  jmp_buf at{};
  std::unique_ptr<std::byte[]> stack = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  State state = State::done;
  bool has_begun = false;
  unsigned exchanges = 0;
};

struct Warp {
  // In turns, so that a lane may give its next value while others still read the last.
  std::array<std::array<std::uint64_t, kLanes>, 2> given{};
};

struct Grid {
  jmp_buf scheduler{};
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Warp> warps;
  unsigned current = 0;
  unsigned rounds = 0;
  const std::function<void()>* kernel = nullptr;
};

Grid& grid() {
  static Grid one;
  return one;
}

// A context is needed to begin on a stack; from then on jumps are ten times as fast, since they leave the
// signal mask alone.
[[noreturn]] void leave(State state) {
  grid().fibers[grid().current]->state = state;
  _longjmp(grid().scheduler, 1);
}

void begin() {
  (*grid().kernel)();
  leave(State::done);
}

void wait_as(State state) {
  if (_setjmp(grid().fibers[grid().current]->at) == 0) leave(state);
}

void resume(Fiber& fiber) {
  if (_setjmp(grid().scheduler) != 0) return;
  if (fiber.has_begun) _longjmp(fiber.at, 1);
  fiber.has_begun = true;
  ucontext_t context{};
  getcontext(&context);
  context.uc_stack.ss_sp = fiber.stack.get();
  context.uc_stack.ss_size = kStackBytes;
  makecontext(&context, begin, 0);
  setcontext(&context);
}

unsigned how_many(State state, unsigned from, unsigned to) {
  unsigned found = 0;
  for (unsigned i = from; i < to; ++i) found += grid().fibers[i]->state == state ? 1 : 0;
  return found;
}

void release(unsigned from, unsigned to) {
  for (unsigned i = from; i < to; ++i) grid().fibers[i]->state = State::ready;
}

// Whether a barrier was complete.
bool release_complete(unsigned threads) {
  bool any = false;
  if (how_many(State::waits_for_block, 0, threads) == threads) {
    release(0, threads);
    any = true;
  }
  for (unsigned first = 0; first + kLanes <= threads; first += kLanes) {
    if (how_many(State::waits_for_warp, first, first + kLanes) != kLanes) continue;
    release(first, first + kLanes);
    any = true;
  }
  return any;
}

void run_block(unsigned block, unsigned threads, const std::function<void(unsigned, unsigned)>& enter) {
  Grid& all = grid();
  for (unsigned i = 0; i < threads; ++i) {
    all.fibers[i]->state = State::ready;
    all.fibers[i]->has_begun = false;
  }
  do {
    ++all.rounds;
    for (unsigned turn = 0; turn < threads; ++turn) {
      const unsigned thread = all.rounds % 2 == 0 ? turn : threads - 1 - turn;
      if (all.fibers[thread]->state != State::ready) continue;
      all.current = thread;
      enter(block, thread);
      resume(*all.fibers[thread]);
    }
  } while (release_complete(threads));
  if (how_many(State::done, 0, threads) == threads) return;
  std::fprintf(stderr, "block %u: a barrier is not reached by all of its threads\n", block);
  std::abort();
}

}  // namespace

void run_grid(unsigned blocks, unsigned threads, const std::function<void()>& kernel,
              const std::function<void(unsigned, unsigned)>& enter) {
  static unsigned grids = 0;
  ++grids;
  Grid& all = grid();
  all.kernel = &kernel;
  while (all.fibers.size() < threads) all.fibers.push_back(std::make_unique<Fiber>());
  all.warps.resize((all.fibers.size() + kLanes - 1) / kLanes);
  for (unsigned i = 0; i < blocks; ++i) run_block(grids % 2 == 0 ? i : blocks - 1 - i, threads, enter);
}

void wait_for_block() { wait_as(State::waits_for_block); }

const std::uint64_t* exchange_in_warp(std::uint64_t value) {
  Grid& all = grid();
  const unsigned thread = all.current;
  auto& given = all.warps[thread / kLanes].given[all.fibers[thread]->exchanges++ % 2];
  given[thread % kLanes] = value;
  wait_as(State::waits_for_warp);
  return given.data();
}

}  // namespace muster::testing
