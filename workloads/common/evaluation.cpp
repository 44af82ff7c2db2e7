#include "workloads/common/evaluation.hpp"

#include <cmath>
#include <numeric>

#include "core/error.hpp"
#include "workloads/common/sampling.hpp"

namespace muster::workloads {
namespace {

// Puts a network into evaluation mode for as long as it lives.
class Evaluating {
 public:
  explicit Evaluating(Network& network) : network_(network), was_training_(network.is_training()) {
    network_.eval();
  }
  ~Evaluating() { network_.train(was_training_); }
  Evaluating(const Evaluating&) = delete;
  Evaluating& operator=(const Evaluating&) = delete;

 private:
  Network& network_;
  bool was_training_;
};

}  // namespace

std::int64_t Evaluation::classes() const {
  return std::llround(std::sqrt(static_cast<double>(confusion.size())));
}

double Evaluation::accuracy() const {
  const auto side = static_cast<std::size_t>(classes());
  std::int64_t right = 0;
  for (std::size_t c = 0; c < side; ++c) right += confusion[c * side + c];
  return samples > 0 ? static_cast<double>(right) / static_cast<double>(samples) : 0;
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

Evaluation evaluate(Network& network, const ImageSet& set, const BatchMaker& batches, std::int64_t classes,
                    std::int64_t batch, Communicator* communicator) {
  MUSTER_ASSERT(batch > 0);
  const torch::NoGradGuard no_grad;
  const Evaluating evaluating(network);
  const auto device = network.parameters().front().device();
  const ShardRange shard = evaluation_shard(set.size(), communicator ? communicator->rank() : 0,
                                            communicator ? communicator->size() : 1);

  // One fp64 message: the loss's sum, then the counts (exact to 2^53): in the top five, confusion.
  std::vector<double> sums(static_cast<std::size_t>(2 + classes * classes), 0.0);
  for (std::int64_t begin = shard.begin; begin < shard.end; begin += batch) {
    const std::int64_t end = std::min(begin + batch, shard.end);
    const auto labels = set.labels.slice(0, begin, end);
    const auto logits = network.forward(batches.evaluation_batch(set, begin, end).to(device))
                            .to(torch::kCPU, torch::kFloat64);
    sums[0] += torch::nn::functional::cross_entropy(
                   logits, labels, torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum))
                   .item<double>();
    const auto likelier = (logits > logits.gather(1, labels.unsqueeze(1))).sum(1);
    sums[1] += static_cast<double>((likelier < 5).sum().item<std::int64_t>());
    const auto predicted = logits.argmax(1);
    const auto* guess = predicted.const_data_ptr<std::int64_t>();
    const auto* truth = labels.const_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < end - begin; ++i)
      sums[static_cast<std::size_t>(2 + truth[i] * classes + guess[i])] += 1;
  }
  if (communicator) communicator->all_reduce(sums.data(), sums.size(), DType::f64, ReduceOp::sum)->wait();

  Evaluation result;
  result.samples = set.size();
  result.loss = set.size() > 0 ? sums[0] / static_cast<double>(set.size()) : 0;
  result.in_top5 = std::llround(sums[1]);
  for (std::size_t i = 2; i < sums.size(); ++i) result.confusion.push_back(std::llround(sums[i]));
  return result;
}

}  // namespace muster::workloads
