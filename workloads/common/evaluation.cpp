#include "workloads/common/evaluation.hpp"

#include <cmath>
#include <numeric>

#include "core/error.hpp"
#include "workloads/common/sampling.hpp"

namespace muster::workloads {
namespace {

constexpr std::size_t kLoss = 0, kSamples = 1, kInTop5 = 2, kConfusion = 3;

// Pixel (y, x) of the result is pixel (y + by, x + by) of the images, which go on beyond their border as
// mirrored.
torch::Tensor translated(const torch::Tensor& images, std::int64_t by) {
  const auto places = [&](std::int64_t side) {
    const torch::Tensor at = (torch::arange(side, torch::TensorOptions(images.device())) + by).abs();
    return side - 1 - (side - 1 - at).abs();
  };
  return images.index_select(2, places(images.size(2))).index_select(3, places(images.size(3)));
}

torch::Tensor mirrored_mean(Network& network, const torch::Tensor& images) {
  return (network.forward(images) + network.forward(images.flip(3))) / 2;
}

}  // namespace

std::int64_t Evaluation::classes() const {
  return std::llround(std::sqrt(static_cast<double>(confusion.size())));
}

std::int64_t Evaluation::right() const {
  const auto side = static_cast<std::size_t>(classes());
  std::int64_t count = 0;
  for (std::size_t c = 0; c < side; ++c) count += confusion[c * side + c];
  return count;
}

double Evaluation::accuracy() const {
  return samples > 0 ? static_cast<double>(right()) / static_cast<double>(samples) : 0;
}

double Evaluation::top5_accuracy() const {
  return samples > 0 ? static_cast<double>(in_top5) / static_cast<double>(samples) : 0;
}

std::vector<double> Evaluation::class_accuracy() const {
  const auto side = static_cast<std::size_t>(classes());
  std::vector<double> shares(side);
  for (std::size_t c = 0; c < side; ++c) {
    const auto row = confusion.begin() + static_cast<std::ptrdiff_t>(c * side);
    const auto total = std::accumulate(row, row + static_cast<std::ptrdiff_t>(side), std::int64_t{0});
    shares[c] = total > 0 ? static_cast<double>(confusion[c * side + c]) / static_cast<double>(total) : 0;
  }
  return shares;
}

EvaluationSums::EvaluationSums(std::int64_t classes)
    : classes_(classes), sums_(kConfusion + static_cast<std::size_t>(classes * classes), 0.0) {}

void EvaluationSums::add(const torch::Tensor& logits, const torch::Tensor& labels) {
  namespace functional = torch::nn::functional;
  const auto exact = logits.to(torch::kCPU, torch::kFloat64);
  sums_[kLoss] +=
      functional::cross_entropy(exact, labels, functional::CrossEntropyFuncOptions().reduction(torch::kSum))
          .item<double>();
  sums_[kSamples] += static_cast<double>(labels.numel());
  const auto likelier = (exact > exact.gather(1, labels.unsqueeze(1))).sum(1);
  sums_[kInTop5] += static_cast<double>((likelier < 5).sum().item<std::int64_t>());
  const auto predicted = exact.argmax(1);
  const auto* guess = predicted.const_data_ptr<std::int64_t>();
  const auto* truth = labels.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < labels.numel(); ++i)
    sums_[kConfusion + static_cast<std::size_t>(truth[i] * classes_ + guess[i])] += 1;
}

Evaluation EvaluationSums::over_all_ranks(Communicator* communicator) const {
  std::vector<double> sums = sums_;
  if (communicator) communicator->all_reduce(sums.data(), sums.size(), DType::f64, ReduceOp::sum)->wait();
  Evaluation result;
  result.samples = std::llround(sums[kSamples]);
  result.loss = result.samples > 0 ? sums[kLoss] / sums[kSamples] : 0;
  result.in_top5 = std::llround(sums[kInTop5]);
  for (std::size_t i = kConfusion; i < sums.size(); ++i) result.confusion.push_back(std::llround(sums[i]));
  return result;
}

EvaluationViews evaluation_views_from(const std::string& name) {
  if (name == "none") return EvaluationViews::none;
  if (name == "mirror") return EvaluationViews::mirror;
  if (name == "mirror+translate") return EvaluationViews::mirror_and_translate;
  throw Error(ExitCode::config, "images cannot be tested in '" + name + "' views",
              "use none, mirror or mirror+translate");
}

torch::Tensor logits_over(Network& network, const torch::Tensor& images, EvaluationViews views) {
  if (views == EvaluationViews::none) return network.forward(images);
  const torch::Tensor straight = mirrored_mean(network, images);
  if (views == EvaluationViews::mirror) return straight;
  const torch::Tensor aside =
      (mirrored_mean(network, translated(images, -1)) + mirrored_mean(network, translated(images, 1))) / 2;
  return (straight + aside) / 2;
}

Evaluation evaluate(Network& network, const ImageSet& set, const BatchMaker& batches, std::int64_t classes,
                    std::int64_t batch, Communicator* communicator, EvaluationViews views) {
  MUSTER_ASSERT(batch > 0);
  const torch::NoGradGuard no_grad;
  const Evaluating evaluating(network);
  const ShardRange shard = evaluation_shard(set.size(), communicator ? communicator->rank() : 0,
                                            communicator ? communicator->size() : 1);
  EvaluationSums sums(classes);
  for (std::int64_t begin = shard.begin; begin < shard.end; begin += batch) {
    const std::int64_t end = std::min(begin + batch, shard.end);
    sums.add(logits_over(network, batches.evaluation_batch(set, begin, end), views),
             set.labels.slice(0, begin, end));
  }
  return sums.over_all_ranks(communicator);
}

}  // namespace muster::workloads
