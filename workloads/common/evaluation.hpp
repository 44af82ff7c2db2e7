#pragma once
/// How good a network is on a set of images.

#include <cstdint>
#include <string>
#include <vector>

#include "runner/communicator.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/models/network.hpp"

namespace muster::workloads {

struct Evaluation {
  std::int64_t samples = 0;
  double loss = 0;                      ///< mean cross-entropy
  std::vector<std::int64_t> confusion;  ///< [true class][predicted class], row-major, counts

  std::int64_t in_top5 = 0;  ///< samples whose class is among the five likeliest

  std::int64_t right() const;                  ///< samples whose most likely class is theirs
  double accuracy() const;                     ///< share of samples
  double top5_accuracy() const;                ///< share of samples
  std::vector<double> class_accuracy() const;  ///< share of each class's samples; 0 for a class without any
  std::int64_t classes() const;
};

/// Adds up what one classifier says of batches. The sums are whole numbers but for the loss, so that ranks'
/// may be added in any order.
class EvaluationSums {
 public:
  explicit EvaluationSums(std::int64_t classes);
  /// `logits` [n, classes] of any type and device, `labels` int64 [n] on the CPU.
  void add(const torch::Tensor& logits, const torch::Tensor& labels);
  /// Collective: over all ranks, in one message. `communicator` may be null: alone.
  Evaluation over_all_ranks(Communicator* communicator) const;

 private:
  std::int64_t classes_;
  std::vector<double> sums_;  ///< loss, samples, in the top five, then the confusion matrix
};

/// As what a network sees each image that it is tested on, and answers with the mean of its logits.
enum class EvaluationViews {
  none,                 ///< as it is
  mirror,               ///< and mirrored left to right
  mirror_and_translate  ///< these two; and, of half the weight, both one pixel up and left, and down and
                        ///< right
};

/// Throws Error(config) for an unknown name: "none", "mirror", "mirror+translate".
EvaluationViews evaluation_views_from(const std::string& name);

/// `images` [n, 3, height, width] to logits [n, classes]. Translated images show their own mirrored border.
torch::Tensor logits_over(Network& network, const torch::Tensor& images, EvaluationViews views);

/// Puts a module into evaluation mode for as long as it lives.
class Evaluating {
 public:
  explicit Evaluating(torch::nn::Module& module) : module_(module), was_training_(module.is_training()) {
    module_.eval();
  }
  ~Evaluating() { module_.train(was_training_); }
  Evaluating(const Evaluating&) = delete;
  Evaluating& operator=(const Evaluating&) = delete;

 private:
  torch::nn::Module& module_;
  bool was_training_;
};

/// Every sample of the set once, over all ranks: each takes its shard, and counts are summed. Every rank must
/// call this and gets the same result. The network is put into evaluation mode and back; the set's
/// images are where it is. `communicator` may be null: alone. A NaN in the logits shows as a loss of NaN.
Evaluation evaluate(Network& network, const ImageSet& set, const BatchMaker& batches, std::int64_t classes,
                    std::int64_t batch, Communicator* communicator,
                    EvaluationViews views = EvaluationViews::none);

}  // namespace muster::workloads
