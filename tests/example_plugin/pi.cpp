/// Estimates pi by throwing points at a square: the smallest workload that uses every part of the contract.

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <random>
#include <span>

#include "runner/workload.hpp"

namespace {

using namespace muster;

class Pi : public Workload {
 public:
  static WorkloadSchema schema() {
    WorkloadSchema schema;
    schema.name = "pi";
    schema.result_version = 1;
    schema.parameters = {
        {.name = "steps",
         .type = ParameterType::integer,
         .default_value = 20,
         .help = "rows of the metrics",
         .minimum = 1},
        {.name = "points",
         .type = ParameterType::integer,
         .default_value = 100'000,
         .help = "thrown by each rank in a step",
         .minimum = 1},
    };
    return schema;
  }

  Outcome run(Context& context) override {
    const std::int64_t steps = context.task().parameters.at("steps").as_int();
    const std::int64_t points = context.task().parameters.at("points").as_int();
    Communicator& gang = context.communicator();

    context.metrics().declare({{"step",
                                {{"step", MetricType::integer, "1", "steps done"},
                                 {"pi", MetricType::floating, "1", "the estimate so far"},
                                 {"error", MetricType::floating, "1", "its distance from pi"}}}});

    // Points inside the circle and points thrown, by all ranks.
    std::array<std::int64_t, 2> counts{};
    std::int64_t step = 0;
    if (const auto checkpoint = context.checkpoints().load_newest()) {
      step = checkpoint->step;
      const TensorView* saved = checkpoint->shared->find("counts");
      std::ranges::copy(saved->bytes, std::as_writable_bytes(std::span(counts)).begin());
    }

    while (step < steps) {
      // A generator of its own for every step and rank needs no state in the checkpoint.
      std::seed_seq seed{context.task().seed(), static_cast<std::uint64_t>(step),
                         static_cast<std::uint64_t>(gang.rank())};
      std::mt19937_64 random(seed);
      std::uniform_real_distribution<double> side(-1, 1);
      std::array<std::int64_t, 2> thrown{0, points};
      for (std::int64_t i = 0; i < points; ++i) thrown[0] += std::hypot(side(random), side(random)) < 1;
      gang.all_reduce(thrown.data(), thrown.size(), DType::i64, ReduceOp::sum)->wait();
      counts[0] += thrown[0];
      counts[1] += thrown[1];
      ++step;

      const double estimate = 4.0 * static_cast<double>(counts[0]) / static_cast<double>(counts[1]);
      context.metrics().append("step", {step, estimate, std::abs(estimate - std::numbers::pi)});

      const AfterStep next = context.after_step({step, steps, "pi " + std::to_string(estimate)});
      if (next == AfterStep::go_on) continue;
      CheckpointState state;
      state.step = step;
      state.shared = {{"counts", DType::i64, {2}, std::as_bytes(std::span(counts))}};
      context.checkpoints().save(state);
      if (next == AfterStep::save_and_stop) return Outcome::stopped;
    }
    return Outcome::finished;
  }
};

}  // namespace

MUSTER_WORKLOAD(Pi)
