/// A workload that only counts, and does on request what tests of the runner need.

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <new>
#include <thread>

#include "core/error.hpp"
#include "runner/workload.hpp"

namespace {

using namespace muster;

class Counting final : public Workload {
 public:
  static WorkloadSchema schema() {
    WorkloadSchema schema;
    schema.name = "counting";
    const auto add = [&](const char* name, ParameterType type, Value value, const char* help) {
      ParameterSpec spec;
      spec.name = name;
      spec.type = type;
      spec.default_value = std::move(value);
      spec.help = help;
      schema.parameters.push_back(std::move(spec));
    };
    add("steps", ParameterType::integer, 20, "How far to count");
    add("step_seconds", ParameterType::floating, 0.0, "How long a step takes");
    add("deed", ParameterType::string, "", "What goes wrong");
    add("deed_rank", ParameterType::integer, 0, "On which rank");
    add("deed_step", ParameterType::integer, 5, "At which step");
    return schema;
  }

  Outcome run(Context& context) override {
    const Parameters& parameters = context.task().parameters;
    const std::int64_t steps = parameters.at("steps").as_int();
    const auto pause = std::chrono::duration<double>(parameters.at("step_seconds").as_float());
    context.metrics().declare({{"step",
                                {{"step", MetricType::integer, "1", "steps done"},
                                 {"sum", MetricType::floating, "1", "the running sum"}}}});
    std::vector<double> shared(1000, 0.0);
    std::vector<double> own(10, 0.5 * context.communicator().rank());
    std::int64_t step = 0;
    if (const auto checkpoint = context.checkpoints().load_newest()) {
      step = checkpoint->step;
      read(*checkpoint->shared, "shared", shared);
      read(*checkpoint->own, "own", own);
      context.log("counting goes on at step " + checkpoint->metadata.at("step"));
    }
    if (context.device().kind == Device::Kind::cuda)
      context.log(context.device_communicator() ? "counting on linked GPUs"
                                                : "counting on GPUs of their own");
    while (step < steps) {
      ++step;
      std::this_thread::sleep_for(pause);
      if (parameters.at("deed_rank").as_int() == context.communicator().rank() &&
          parameters.at("deed_step").as_int() == step)
        misbehave(parameters.at("deed").as_string(), context);
      std::vector<double> term(shared.size());
      for (std::size_t i = 0; i < term.size(); ++i) {
        own[i % own.size()] = own[i % own.size()] * 0.999 + static_cast<double>(step);
        term[i] = own[i % own.size()] / static_cast<double>(i + 3);
      }
      context.communicator().all_reduce(term.data(), term.size(), DType::f64, ReduceOp::sum)->wait();
      for (std::size_t i = 0; i < term.size(); ++i) shared[i] += term[i];
      context.metrics().append("step", {step, shared[7]});
      const AfterStep next = context.after_step({step, steps, "counting"});
      if (next != AfterStep::go_on) save(context, step, shared, own);
      if (next == AfterStep::save_and_stop) return Outcome::stopped;
    }
    if (context.communicator().rank() == 0)
      std::ofstream(context.artifacts() / "final.bin", std::ios::binary)
          .write(reinterpret_cast<const char*>(shared.data()),
                 static_cast<std::streamsize>(shared.size() * sizeof(double)));
    return Outcome::finished;
  }

 private:
  static TensorView view(const char* name, const std::vector<double>& values) {
    return {name, DType::f64, {static_cast<std::int64_t>(values.size())}, std::as_bytes(std::span(values))};
  }

  static void read(const SafetensorsFile& file, const char* name, std::vector<double>& values) {
    const TensorView* tensor = file.find(name);
    MUSTER_ASSERT(tensor != nullptr && tensor->bytes.size() == values.size() * sizeof(double));
    std::memcpy(values.data(), tensor->bytes.data(), tensor->bytes.size());
  }

  static void save(Context& context, std::int64_t step, const std::vector<double>& shared,
                   const std::vector<double>& own) {
    CheckpointState state;
    state.step = step;
    if (context.communicator().rank() == 0) state.shared = {view("shared", shared)};
    state.own = {view("own", own)};
    state.metadata = {{"step", std::to_string(step)}};
    context.checkpoints().save(state);
  }

  static void misbehave(const std::string& deed, Context& context) {
    // A collective that the peers have not come to is under way when it happens.
    static double pending_value = 1;
    if (deed.starts_with("pending_"))
      context.communicator().all_reduce(&pending_value, 1, DType::f64, ReduceOp::sum,
                                        ExchangeAlgorithm::tree);
    if (deed.ends_with("data_error")) throw Error(ExitCode::data, "picture 7 is torn", "fetch it again");
    if (deed == "diverged") throw Error(ExitCode::diverged, "the loss is NaN at step 5", "lower lr");
    if (deed == "bad_alloc") throw std::bad_alloc();
    if (deed == "number") throw 42;
    if (deed == "killed") kill(getpid(), SIGKILL);
    if (deed == "exit") _exit(0);
  }
};

}  // namespace

MUSTER_WORKLOAD(Counting)
