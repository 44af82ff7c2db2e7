#include "workloads/tensor_parallel/exact_strategy.hpp"

#include <sys/resource.h>

#include <array>

#include "core/counted.hpp"
#include "core/error.hpp"
#include "workloads/common/exchange/gradient_exchange.hpp"
#include "workloads/common/metric_columns.hpp"
#include "workloads/common/training_state.hpp"
#include "workloads/tensor_parallel/block_shapes.hpp"

namespace muster::workloads {
namespace {

/// "model.NAME" and "momentum.NAME" are of NAME's shape.
std::string parameter_of(const std::string& name) {
  for (const std::string prefix : {"model.", "momentum."}) {
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  }
  return name;
}

std::int64_t bytes_of(const NamedTensors& tensors) {
  std::int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += static_cast<std::int64_t>(tensor.nbytes());
  return bytes;
}

}  // namespace

Communicator& ExactStrategy::data_ranks(Communicator& all) {
  all_.emplace(all, gpus_);
  const int tp = options_.ranks_per_network == 0 ? all.size() : options_.ranks_per_network;
  if (all.size() % tp != 0) {
    throw Error(ExitCode::config,
                "tp = " + std::to_string(tp) + " ranks a network do not divide " +
                    std::to_string(all.size()) + " ranks",
                "choose a divisor, or 0 for all");
  }
  if (tp < all.size()) tensor_ranks_.emplace(all_->split(all.rank() / tp, all.rank()));
  data_ranks_.emplace(all_->split(all.rank() % tp, all.rank()));
  group_.emplace(tensor_ranks_ ? *tensor_ranks_ : *all_);
  return data_ranks_->host();
}

std::shared_ptr<Network> ExactStrategy::network(const NetworkOptions& options,
                                                const ImageParameters& parameters) {
  const auto whole = whole_start(options, parameters, options_, loaded_);
  const NamedTensors from = named_tensors(*whole);
  shapes_ = shapes_of(from);
  auto part = make_split_resnet(options, *group_);
  part->to(parameters.precision.parameters);
  copy_parts(from, named_tensors(*part), *group_);
  return part;
}

NamedTensors ExactStrategy::to_file(NamedTensors tensors) {
  for (auto& [name, tensor] : tensors) tensor = gather_whole(tensor, shapes_.at(parameter_of(name)), *group_);
  return tensors;
}

void ExactStrategy::from_file(const NamedTensors& tensors, const SafetensorsFile& file) {
  for (const auto& [name, tensor] : tensors) {
    const torch::Tensor whole = torch::empty(shapes_.at(parameter_of(name)), tensor.options());
    restore({{name, whole}}, file);
    copy_part(whole, tensor, *group_);
  }
}

Traffic ExactStrategy::traffic(const Communicator&) const {
  const Traffic sum = all_->traffic() + data_ranks_->traffic();
  return tensor_ranks_ ? sum + tensor_ranks_->traffic() : sum;
}

std::vector<MetricTable> ExactStrategy::tables() const {
  return {
      {"block",
       {whole_column("epoch", "1", "counts from 1"), whole_column("block", "1", "index, from the stem on"),
        real_column("forward_wait_seconds", "s",
                    "rank 0 waiting for the sums after conv2, in the epoch's training steps"),
        real_column("backward_wait_seconds", "s", "rank 0 waiting for the sums of the input's gradient"),
        whole_column("forward_bytes", "B", "of the tensors that were summed after conv2"),
        whole_column("backward_bytes", "B", "of the input gradients that were summed"),
        whole_column("closed_form_forward_bytes", "B",
                     "images * channels * height * width * bytes an element"),
        whole_column("closed_form_backward_bytes", "B", "likewise, of the block's input")}},
      {"memory",
       {whole_column("rank", "1", "index"), whole_column("parameter_bytes", "B", "of this rank's part"),
        whole_column("gradient_bytes", "B", "likewise"), whole_column("optimiser_bytes", "B", "likewise"),
        whole_column("activation_bytes", "B",
                     "images, what the forward pass keeps for the backward pass, and the loss"),
        whole_column("whole_parameter_bytes", "B", "of the network on one rank"),
        whole_column("peak_resident_bytes", "B", "of the process: data, libraries and activations too")}},
  };
}

void ExactStrategy::begin(const TrainingParts& parts, const LoadedCheckpoint*) {
  parts_.emplace(parts);
  blocks_ = split_blocks(parts.network);
  if (!loaded_.empty()) parts.context.log(loaded_);
  parts.context.log("networks held together by " + counted(group_->size(), "rank") + ": " +
                    std::to_string(data_ranks_->size()));
  first_pass_ = std::make_unique<HeldTensors>();
}

std::vector<ExactStrategy::BlockCost> ExactStrategy::costs() const {
  std::vector<BlockCost> costs;
  for (const auto& [name, block] : blocks_) costs.push_back({block->forward_cost(), block->backward_cost()});
  return costs;
}

void ExactStrategy::average_gradients() {
  if (data_ranks_->size() == 1) return;
  std::vector<torch::Tensor> gradients;
  for (const auto& parameter : parts_->network.parameters()) gradients.push_back(parameter.grad());
  average_in_one_message(*data_ranks_, gradients);
}

double ExactStrategy::backward(const torch::Tensor& loss) {
  if (first_pass_) {
    activation_bytes_ = first_pass_->bytes();
    first_pass_.reset();
  }
  TimeSum averaging;
  const auto sums = sums_beside_backward(data_ranks_->host(), {loss}, [&] {
    loss.backward();
    const TimeMark passed(loss.device());
    average_gradients();
    averaging.add(passed, TimeMark(loss.device()));
  });
  double waited = 0;  // With what the forward pass waited, since the step before.
  for (const auto& [name, block] : blocks_)
    waited += block->forward_cost().waits.seconds() + block->backward_cost().waits.seconds();
  exposed_seconds_ = waited - waited_before_ + averaging.seconds();
  waited_before_ = waited;
  return sums[0] / data_ranks_->size();
}

void ExactStrategy::after_step(const StepPlace& place) {
  ++steps_;
  if (place.step % place.steps_per_epoch == 0) append_blocks(place.epoch);
  if (place.step == place.total_steps) append_memory();
}

void ExactStrategy::append_blocks(std::int64_t epoch) {
  const ImageParameters& p = parts_->parameters;
  const auto shapes = block_shapes(p);
  const std::int64_t images = steps_ * p.batch / data_ranks_->size();
  const auto width = static_cast<std::int64_t>(c10::elementSize(p.precision.images));
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    SumCost& forward = blocks_[i].second->forward_cost();
    SumCost& backward = blocks_[i].second->backward_cost();
    const bool sums = group_->size() > 1;
    parts_->context.metrics().append(
        "block",
        {epoch, static_cast<std::int64_t>(i), forward.waits.seconds(), backward.waits.seconds(),
         forward.bytes, backward.bytes, sums ? images * shapes[i].output_elements * width : std::int64_t{0},
         sums ? images * shapes[i].input_elements * width : std::int64_t{0}});
    forward = {};
    backward = {};
  }
  steps_ = 0;
  waited_before_ = 0;
}

void ExactStrategy::append_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const NamedTensors parameters = named_parameters(parts_->network);
  std::int64_t gradients = 0;
  for (const auto& [name, tensor] : parameters)
    gradients += tensor.grad().defined() ? static_cast<std::int64_t>(tensor.grad().nbytes()) : 0;
  std::int64_t whole = 0;
  for (const auto& [name, tensor] : parameters) {
    std::int64_t elements = 1;
    for (const std::int64_t extent : shapes_.at(name)) elements *= extent;
    whole += elements * static_cast<std::int64_t>(tensor.element_size());
  }
  const std::array<std::int64_t, 6> own{
      bytes_of(parameters), gradients, bytes_of(parts_->optimiser.state()),
      activation_bytes_,    whole,     static_cast<std::int64_t>(usage.ru_maxrss) * 1024};
  std::vector<std::int64_t> all(own.size() * static_cast<std::size_t>(all_->size()));
  all_->host().all_gather(own.data(), sizeof own, all.data())->wait();
  for (int r = 0; r < all_->size(); ++r) {
    const auto* row = all.data() + static_cast<std::size_t>(r) * own.size();
    parts_->context.metrics().append("memory",
                                     {std::int64_t{r}, row[0], row[1], row[2], row[3], row[4], row[5]});
  }
}

void ExactStrategy::before_test() { before_test_ = costs(); }

void ExactStrategy::after_test() {
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].second->forward_cost() = before_test_[i].forward;
    blocks_[i].second->backward_cost() = before_test_[i].backward;
  }
}

}  // namespace muster::workloads
