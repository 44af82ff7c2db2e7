#include "workloads/common/image_training/gradient_strategy.hpp"

#include <utility>

#include "core/error.hpp"
#include "workloads/common/exchange/sync_batch_norm.hpp"
#include "workloads/common/parameter_specs.hpp"

namespace muster::workloads {
namespace {

constexpr const char* kBuckets = "buckets";

const std::vector<std::pair<std::string, ExchangeAlgorithm>>& algorithms() {
  static const std::vector<std::pair<std::string, ExchangeAlgorithm>> known{
      {"library", ExchangeAlgorithm::library},
      {"ring", ExchangeAlgorithm::ring},
      {"tree", ExchangeAlgorithm::tree},
      {"parameter_server", ExchangeAlgorithm::parameter_server}};
  return known;
}

}  // namespace

ExchangeAlgorithm algorithm_of(const std::string& name) {
  for (const auto& [known, algorithm] : algorithms()) {
    if (known == name) return algorithm;
  }
  throw Error(ExitCode::config, "'" + name + "' is no exchange algorithm",
              "use library, ring, tree or parameter_server");
}

ParameterSpec algorithm_spec(const char* default_value, const char* help) {
  std::vector<std::string> names;
  for (const auto& [name, algorithm] : algorithms()) names.push_back(name);
  return choice("exchange.algorithm", default_value, help, std::move(names));
}

std::vector<ParameterSpec> gradient_parameter_specs() {
  std::vector<ParameterSpec> specs{
      flag("sync_bn", false, "batch normalisation over all ranks' batches"),
      algorithm_spec("library", "how gradients travel"),
      number("exchange.bucket_mb", 4, "MiB", "gradients that travel together", 0.001)};
  for (ParameterSpec& more : compression_parameter_specs()) specs.push_back(std::move(more));
  return specs;
}

GradientOptions read_gradient_options(const Task& task, ImageParameters& parameters, bool even_none) {
  const Parameters& values = task.parameters;
  GradientOptions options;
  options.exchange.algorithm = algorithm_of(values.at("exchange.algorithm").as_string());
  options.exchange.bucket_mb = values.at("exchange.bucket_mb").as_float();
  options.sync_bn = values.at("sync_bn").as_bool();
  options.compression = read_compression(task, options.exchange.algorithm, parameters, even_none);
  if (options.sync_bn && options.compression) {
    throw Error(ExitCode::config, "sync_bn and a compressor would use the ranks' connection at the same time",
                "use one of them");
  }
  return options;
}

BatchNormFunction GradientStrategy::batch_norm(Communicator& communicator) {
  if (!options_.sync_bn || communicator.size() == 1) return {};
  return [&communicator](const torch::Tensor& input, const torch::Tensor& weight, const torch::Tensor& bias,
                         const torch::Tensor& mean, const torch::Tensor& var,
                         const BatchNormOptions& options) {
    return sync_batch_norm(communicator, input, weight, bias, mean, var, {options.epsilon, options.momentum});
  };
}

void GradientStrategy::begin(const TrainingParts& parts, const LoadedCheckpoint* checkpoint) {
  parts_.emplace(parts);
  collectives_.emplace(collectives_of(parts));
  const bool looks_at_gradients =
      options_.compression && options_.compression->granularity == Granularity::automatic && !checkpoint;
  if (!looks_at_gradients) make_exchange(checkpoint, {});
}

void GradientStrategy::make_exchange(const LoadedCheckpoint* checkpoint,
                                     const std::vector<torch::Tensor>& first_gradients) {
  const std::vector<torch::Tensor> parameters = parts_->network.parameters();
  ExchangeOptions options = options_.exchange;
  if (checkpoint) {
    const auto buckets = checkpoint->metadata.find(kBuckets);
    if (buckets != checkpoint->metadata.end())
      options.buckets = bucket_assignment_from(buckets->second, parameters.size());
  }
  if (options_.compression) {
    compressed_ =
        checkpoint ? std::make_unique<CompressedGradients>(*parts_, *options_.compression, *checkpoint)
                   : std::make_unique<CompressedGradients>(*parts_, *options_.compression, first_gradients);
    compressed_->install(options);
  }
  exchange_ = std::make_unique<GradientExchange>(*collectives_, parameters, options);
}

double GradientStrategy::backward(const torch::Tensor& loss) {
  if (!exchange_) {
    make_exchange(nullptr, torch::autograd::grad({loss}, parts_->network.parameters(), {}, true));
  }
  Communicator& communicator = parts_->context.communicator();
  const auto sums = sums_beside_backward(communicator, {loss}, [&] {
    if (compressed_) compressed_->before_backward();
    exchange_->backward(loss);
  });
  return sums[0] / communicator.size();
}

std::vector<MetricTable> GradientStrategy::tables() const {
  return options_.compression ? compression_tables() : std::vector<MetricTable>{};
}

Traffic GradientStrategy::traffic(const Communicator& all) const {
  return collectives_ ? collectives_->traffic() : all.traffic();
}

double GradientStrategy::exposed_seconds() {
  return compressed_ ? compressed_->exposed_seconds() : exchange_->take_times().exposed_seconds;
}

void GradientStrategy::after_step(const StepPlace& place) {
  if (compressed_) compressed_->after_step(place);
}

void GradientStrategy::before_test() {
  if (options_.sync_bn) return;
  std::vector<torch::Tensor> statistics = parts_->network.buffers();
  if (!statistics.empty()) broadcast_from_first(*collectives_, statistics);
}

StrategyState GradientStrategy::state() const {
  StrategyState state;
  const BucketAssignment buckets = exchange_->buckets();
  if (!buckets.buckets.empty()) state.metadata[kBuckets] = to_text(buckets);
  if (compressed_) compressed_->add_to(state);
  return state;
}

}  // namespace muster::workloads
