#include "workloads/common/data/dataset.hpp"

#include "workloads/common/data/cifar.hpp"
#include "workloads/common/data/synthetic.hpp"

namespace muster::workloads {
namespace {

ImageSet first_of(const ImageSet& set, std::int64_t count) {
  if (count == 0 || count >= set.size()) return set;
  return {set.images.narrow(0, 0, count), set.labels.narrow(0, 0, count)};
}

}  // namespace

Dataset load_dataset(const DatasetOptions& options) {
  if (options.path == "synthetic") {
    SyntheticOptions synthetic;
    synthetic.classes = options.classes;
    synthetic.seed = options.seed;
    if (options.samples > 0) synthetic.train_images = options.samples;
    if (options.test_samples > 0) synthetic.test_images = options.test_samples;
    return make_synthetic(synthetic);
  }
  Dataset data = load_cifar(options.path);
  data.train = first_of(data.train, options.samples);
  data.test = first_of(data.test, options.test_samples);
  return data;
}

}  // namespace muster::workloads
