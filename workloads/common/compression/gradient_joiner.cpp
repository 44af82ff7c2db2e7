#include "workloads/common/compression/gradient_joiner.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <utility>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

void check(const JoinOptions& options) {
  const std::string& method = options.compressor.method;
  if (method == "powersgd" && options.transport == CompressedTransport::dense) {
    throw Error(ExitCode::config, "powersgd averages factors, not gradients", "give it transport = packed");
  }
  const bool sparse = method == "topk" || method == "randomk" || method == "thresholdv";
  if (options.momentum != 0 && !(sparse && options.error_feedback)) {
    throw Error(ExitCode::config, "momentum correction is about elements that are held back and sent later",
                "use it with topk, randomk or thresholdv and error_feedback = true");
  }
}

}  // namespace

GradientJoiner::GradientJoiner(Communicator& communicator, std::vector<Layer> layers,
                               const JoinOptions& options, const MakePacker& make_packer)
    : communicator_(communicator),
      options_(options),
      layers_(std::move(layers)),
      compressor_(make_compressor(options.compressor, options.seed, communicator.rank())) {
  check(options_);
  packer_ = make_packer(*compressor_, layers_, options_);
  begin_step(0, options_.compressor.ratio, false);
}

void GradientJoiner::begin_step(std::int64_t step, double ratio, bool measure) {
  figures_ = {};
  figures_.layers.resize(layers_.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) figures_.layers[i].elements = layers_[i].elements;
  compressor_->begin_step(static_cast<std::uint32_t>(step), ratio);
  packer_->begin_step(static_cast<std::uint32_t>(step), ratio, measure, figures_);
}

const StepCompression& GradientJoiner::figures() {
  packer_->complete_figures();
  return figures_;
}

std::vector<std::pair<std::string, std::span<float>>> GradientJoiner::state() {
  const std::vector<float*> residuals = packer_->residuals(), velocities = packer_->velocities();
  std::vector<std::pair<std::string, std::span<float>>> all;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const auto count = static_cast<std::size_t>(layers_[i].elements);
    if (options_.error_feedback)
      all.emplace_back("residual." + layers_[i].name, std::span(residuals[i], count));
    if (options_.momentum != 0)
      all.emplace_back("velocity." + layers_[i].name, std::span(velocities[i], count));
  }
  for (const auto& [layer, values] : compressor_->state(layers_))
    all.emplace_back("compressor." + layers_[layer].name, std::span(*values));
  return all;
}

void GradientJoiner::wait_for(const PendingWork& pending) {
  const auto start = std::chrono::steady_clock::now();
  pending->wait();
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
  figures_.exchange_seconds += waited.count();
}

void GradientJoiner::all_gather(const void* mine, void* all, const std::vector<std::size_t>& bytes_of) {
  wait_for(communicator_.all_gather_v(mine, all, bytes_of));
}

void GradientJoiner::all_reduce(void* data, std::size_t count, DType type) {
  wait_for(communicator_.all_reduce(data, count, type, ReduceOp::sum, options_.algorithm));
  figures_.closed_form +=
      all_reduce_bytes(options_.algorithm, count, size_of(type), communicator_.rank(), communicator_.size());
}

std::vector<float> GradientJoiner::agreed_scales(const std::vector<ReadyGradient>& ready) {
  std::vector<float> scales(ready.size());
  if (!compressor_->agrees_on_scale()) return scales;
  const std::vector<float> mine = packer_->own_scales();
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  std::vector<float> all(ready.size() * ranks);
  const std::vector<std::size_t> bytes_of(ranks, ready.size() * sizeof(float));
  all_gather(mine.data(), all.data(), bytes_of);
  figures_.closed_form += all_gather_bytes(bytes_of, communicator_.rank());
  for (std::size_t i = 0; i < all.size(); ++i) {
    float& scale = scales[i % scales.size()];
    scale = std::max(scale, all[i]);
  }
  return scales;
}

void GradientJoiner::sum_first_round(const std::vector<ReadyGradient>& ready) {
  std::size_t expected = 0;
  for (const ReadyGradient& one : ready) expected += compressor_->first_round_bytes(layers_[one.layer]);
  if (expected == 0) return;
  PackedBuffer& sums = gathered_;
  sums.clear();
  packer_->first_round(sums);
  MUSTER_ASSERT(sums.size() == expected);
  all_reduce(sums.data(), expected / sizeof(float), DType::f32);
  packer_->take_first_round(sums, share());
}

void GradientJoiner::join_dense(const std::vector<ReadyGradient>& ready,
                                const std::vector<std::size_t>& own_bytes) {
  packer_->unpack(own_, own_bytes, 1);
  std::size_t count = 0;
  for (const ReadyGradient& one : ready) {
    MUSTER_ASSERT(one.gradient == ready.front().gradient + count);
    count += static_cast<std::size_t>(layers_[one.layer].elements);
  }
  all_reduce(ready.front().gradient, count, DType::f32);
  if (communicator_.size() > 1) packer_->scale(share());
}

void GradientJoiner::join_gathered(const std::vector<ReadyGradient>& ready,
                                   const std::vector<std::size_t>& own_bytes) {
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  std::vector<std::size_t> sizes;  // of ready[i] on rank r at r * ready.size() + i
  std::vector<std::size_t> expected(ranks);
  bool told = true;
  for (const ReadyGradient& one : ready) told &= compressor_->packed_bytes(layers_[one.layer]).has_value();
  if (told) {
    for (std::size_t r = 0; r < ranks; ++r) sizes.insert(sizes.end(), own_bytes.begin(), own_bytes.end());
  } else {
    // How many elements each rank keeps, then they themselves.
    std::vector<std::uint32_t> mine, all(ready.size() * ranks);
    for (const std::size_t bytes : own_bytes) mine.push_back(static_cast<std::uint32_t>(bytes / 8));
    const std::vector<std::size_t> bytes_of(ranks, ready.size() * sizeof(std::uint32_t));
    all_gather(mine.data(), all.data(), bytes_of);
    figures_.closed_form += all_gather_bytes(bytes_of, communicator_.rank());
    for (const std::uint32_t kept : all) sizes.push_back(std::size_t{kept} * 8);
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) expected[i / ready.size()] += sizes[i];
  MUSTER_ASSERT(expected[static_cast<std::size_t>(communicator_.rank())] == own_.size());
  gathered_.resize(std::accumulate(expected.begin(), expected.end(), std::size_t{0}));
  all_gather(own_.data(), gathered_.data(), expected);
  figures_.closed_form += all_gather_bytes(expected, communicator_.rank());
  packer_->unpack(gathered_, sizes, 1);
  if (ranks > 1) packer_->scale(share());
}

void GradientJoiner::join_summed(const std::vector<std::size_t>& own_bytes) {
  const DType type = compressor_->summed_type();
  all_reduce(own_.data(), own_.size() / size_of(type), type);
  packer_->unpack(own_, own_bytes, share());
}

void GradientJoiner::join(const std::vector<ReadyGradient>& ready) {
  const Traffic before = communicator_.traffic();
  packer_->take_up(ready);
  const std::vector<float> scales = agreed_scales(ready);
  sum_first_round(ready);
  own_.clear();
  const std::vector<std::size_t> own_bytes = packer_->pack(scales, own_);
  for (std::size_t i = 0; i < ready.size(); ++i) {
    const Layer& layer = layers_[ready[i].layer];
    MUSTER_ASSERT(own_bytes[i] == compressor_->packed_bytes(layer).value_or(own_bytes[i]));
    figures_.layers[ready[i].layer].packed_bytes =
        static_cast<std::int64_t>(own_bytes[i] + compressor_->first_round_bytes(layer) +
                                  (compressor_->agrees_on_scale() ? sizeof(float) : 0));
  }
  if (options_.transport == CompressedTransport::dense) {
    join_dense(ready, own_bytes);
  } else if (compressor_->joining() == Joining::gathered) {
    join_gathered(ready, own_bytes);
  } else {
    join_summed(own_bytes);
  }
  const Traffic after = communicator_.traffic();
  figures_.counted += {after.bytes_sent - before.bytes_sent, after.bytes_received - before.bytes_received};
}

}  // namespace muster::workloads
