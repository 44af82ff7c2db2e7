/// Times of the communicators, for a person. `mpirun -n 2 bench_comm`: each rank binds itself to the CPU of
/// its number.

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "runner/comm/mpi_session.hpp"

namespace muster {
namespace {

constexpr ExchangeAlgorithm kAlgorithms[] = {ExchangeAlgorithm::library, ExchangeAlgorithm::ring,
                                             ExchangeAlgorithm::tree, ExchangeAlgorithm::parameter_server};
constexpr const char* kAlgorithmNames[] = {"library", "ring", "tree", "parameter_server"};
constexpr std::size_t kGradientFloats = 6'573'120;  // ResNet-9.

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Of this process, all threads.
double cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

double median(std::vector<double> samples) {
  std::ranges::nth_element(samples, samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2));
  return samples[samples.size() / 2];
}

double time_of(QueuedCommunicator& communicator, int repeats, const std::function<void()>& act) {
  act();
  std::vector<double> samples;
  for (int i = 0; i < repeats; ++i) {
    communicator.barrier();
    const double start = seconds_now();
    act();
    samples.push_back(seconds_now() - start);
  }
  return median(samples);
}

void print_all_reduce(QueuedCommunicator& communicator, const char* path) {
  for (const DType type : {DType::f32, DType::bf16})
    for (const std::size_t count :
         {std::size_t{64}, std::size_t{16384}, std::size_t{262144}, kGradientFloats}) {
      std::vector<float> data(count, 1.0F);
      for (int a = 0; a < 4; ++a) {
        const double seconds = time_of(communicator, count > 100000 ? 15 : 101, [&] {
          communicator.all_reduce(data.data(), count, type, ReduceOp::sum, kAlgorithms[a])->wait();
        });
        if (communicator.rank() == 0)
          std::printf("all-reduce %-7s %-4s %9zu bytes %-17s %10.1f us\n", path,
                      type == DType::f32 ? "f32" : "bf16", count * size_of(type), kAlgorithmNames[a],
                      1e6 * seconds);
      }
    }
}

void print_agreement(QueuedCommunicator& communicator, const char* path) {
  std::int64_t round[2] = {0, 0};
  const double now = time_of(communicator, 1001,
                             [&] { communicator.all_reduce_now(round, 2, DType::i64, ReduceOp::maximum); });
  if (communicator.rank() == 0) std::printf("agreement  %-7s at once %26.1f us\n", path, 1e6 * now);
}

/// Work that a core does in its own cache, as one piece of a training step.
[[gnu::noinline]] double compute(std::vector<float>& block, int rounds) {
  for (int r = 0; r < rounds; ++r)
    for (float& v : block) v = v * 0.999F + 0.5F;
  return block[7];
}

/// Steps of four pieces of work, a quarter of the gradient reduced after each, as DDP does; ranks take turns
/// in being slower by `skew`. A step should take the slower rank's work and the sums, and not more of the
/// core than both.
void print_overlap(QueuedCommunicator& communicator, const char* path, double skew, bool exchange) {
  std::vector<float> block(32768, 1.0F);
  std::vector<float> gradient(kGradientFloats, 1.0F);
  const double start = seconds_now();
  compute(block, 2000);
  const double round = (seconds_now() - start) / 2000;
  std::int64_t rounds = static_cast<std::int64_t>(0.025 / round);
  communicator.all_reduce_now(&rounds, 1, DType::i64, ReduceOp::maximum);
  std::vector<double> samples;
  constexpr int kSteps = 40;
  const double cpu_before = cpu_seconds();
  for (int step = 0; step < kSteps; ++step) {
    const bool slower = step % 2 == communicator.rank() % 2;
    const int own = static_cast<int>(static_cast<double>(rounds) * (slower ? 1 + skew : 1));
    if (!exchange && step % 2 == 0) communicator.barrier();
    const double began = seconds_now();
    std::vector<PendingWork> pending;
    for (int bucket = 0; bucket < 4; ++bucket) {
      compute(block, own);
      if (exchange)
        pending.push_back(communicator.all_reduce(
            gradient.data() + static_cast<std::size_t>(bucket) * (kGradientFloats / 4), kGradientFloats / 4,
            DType::f32, ReduceOp::sum));
    }
    for (const auto& work : pending) work->wait();
    if (exchange || slower) samples.push_back(seconds_now() - began);
  }
  if (communicator.rank() == 0)
    std::printf("step       %-7s skew %4.1f %% %-16s %13.2f ms, %8.2f ms of the core\n", path, 100 * skew,
                exchange ? "with exchange" : "work alone", 1e3 * median(samples),
                1e3 * (cpu_seconds() - cpu_before) / kSteps);
}

void bind_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  sched_setaffinity(0, sizeof set, &set);
}

void run() {
  const char* local = std::getenv("OMPI_COMM_WORLD_LOCAL_RANK");
  bind_to(local != nullptr ? std::atoi(local) : 0);
  const double start = seconds_now();
  MpiSession session;
  const auto shared = session.world();
  const auto mpi = session.world(HostPath::mpi);
  if (session.rank() == 0)
    std::printf("start of MPI and two communicators %17.1f ms\n", 1e3 * (seconds_now() - start));
  const std::pair<QueuedCommunicator*, const char*> paths[] = {{shared.get(), "memory"}, {mpi.get(), "mpi"}};
  for (const auto& [communicator, name] : paths) {
    print_all_reduce(*communicator, name);
    print_agreement(*communicator, name);
    for (const double skew : {0.0, 0.1})
      for (const bool exchange : {false, true}) print_overlap(*communicator, name, skew, exchange);
  }
}

}  // namespace
}  // namespace muster

int main() { muster::run(); }
