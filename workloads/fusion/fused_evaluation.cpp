#include "workloads/fusion/fused_evaluation.hpp"

#include <algorithm>

#include "workloads/common/sampling.hpp"

namespace muster::workloads {

FusedEvaluation evaluate_fused(FusionNetwork& network, const ImageSet& set, const BatchMaker& batches,
                               std::int64_t classes, std::int64_t batch, Communicator* communicator) {
  const torch::NoGradGuard no_grad;
  const Evaluating evaluating(network);
  const ShardRange shard = evaluation_shard(set.size(), communicator ? communicator->rank() : 0,
                                            communicator ? communicator->size() : 1);
  EvaluationSums global(classes), fused(classes), experts_mean(classes);
  std::vector<EvaluationSums> experts(network.experts().size(), EvaluationSums(classes));
  for (std::int64_t begin = shard.begin; begin < shard.end; begin += batch) {
    const std::int64_t end = std::min(begin + batch, shard.end);
    const torch::Tensor labels = set.labels.slice(0, begin, end);
    const FusionLogits logits = network.forward(batches.evaluation_batch(set, begin, end));
    global.add(logits.global, labels);
    fused.add(logits.both_paths(), labels);
    experts_mean.add(logits.experts_mean(), labels);
    for (std::size_t i = 0; i < experts.size(); ++i) experts[i].add(logits.experts[i], labels);
  }
  FusedEvaluation result{.global = global.over_all_ranks(communicator),
                         .fused = fused.over_all_ranks(communicator),
                         .experts_mean = experts_mean.over_all_ranks(communicator),
                         .experts = {}};
  for (const EvaluationSums& sums : experts) result.experts.push_back(sums.over_all_ranks(communicator));
  return result;
}

}  // namespace muster::workloads
