#include "workloads/common/exchange/gradient_compression.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <numeric>
#include <thread>
#include <unordered_map>
#include <utility>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

using Clock = std::chrono::steady_clock;

struct Bucket {
  at::Tensor buffer;
  at::Tensor host;  ///< the same, or a copy of what is in a GPU's memory
  std::vector<ReadyGradient> gradients;
  c10::intrusive_ptr<c10::ivalue::Future> joined;
};

/// Those by themselves, then what is joined.
std::vector<Layer> layers_of(const NamedTensors& parameters, const JoinedParameters& joined) {
  std::vector<Layer> layers;
  Layer group{joined.size() == parameters.size() ? "the entire model" : "the joined layers", 0, 0, 1};
  for (const Layer& layer : gradient_layers(parameters)) {
    if (!std::binary_search(joined.begin(), joined.end(), layer.index)) {
      layers.push_back(layer);
      continue;
    }
    if (group.elements == 0) group.index = layer.index;
    group.elements += layer.elements;
  }
  if (!joined.empty()) layers.push_back(group);
  return layers;
}

}  // namespace

std::vector<Layer> gradient_layers(const NamedTensors& parameters) {
  std::vector<Layer> layers;
  for (const auto& [name, parameter] : parameters) {
    if (parameter.scalar_type() != at::kFloat || !parameter.is_contiguous()) {
      throw Error(ExitCode::config, "compressors take fp32 gradients",
                  "use precision = \"fp32\" or \"bf16\"");
    }
    layers.push_back({name, static_cast<std::uint32_t>(layers.size()), parameter.numel(),
                      parameter.dim() > 1 ? parameter.size(0) : 1});
  }
  return layers;
}

JoinedParameters all_joined(const NamedTensors& parameters) {
  JoinedParameters all(parameters.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

class GradientCompression::Worker {
 public:
  Worker(Communicator& communicator, const NamedTensors& parameters, const JoinedParameters& joined,
         const JoinOptions& options)
      : joiner(communicator, layers_of(parameters, joined), options), joined_(joined) {
    if (!joined.empty() && options.compressor.method == "powersgd") {
      throw Error(ExitCode::config, "powersgd factors each layer's matrix", "use granularity = layerwise");
    }
    std::size_t alone = 0;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const bool is_joined = std::binary_search(joined.begin(), joined.end(), i);
      layer_of_.emplace(parameters[i].second.const_data_ptr(),
                        is_joined ? joiner.layers().size() - 1 : alone++);
      elements_.push_back(parameters[i].second.numel());
    }
    thread_ = std::thread([this] { work(); });
  }
  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void install(ExchangeOptions& options);
  c10::intrusive_ptr<c10::ivalue::Future> take(c10d::GradBucket& bucket);
  double exposed_seconds() const { return std::chrono::duration<double>(last_end_ - last_start_).count(); }

  GradientJoiner joiner;

 private:
  void work();

  JoinedParameters joined_;
  std::unordered_map<const void*, std::size_t> layer_of_;  ///< by a parameter's place in memory
  std::vector<std::int64_t> elements_;                     ///< of each parameter
  Clock::time_point last_start_, last_end_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Bucket> queue_;
  bool closing_ = false;
  std::thread thread_;
};

namespace {

using BucketTaker = std::function<c10::intrusive_ptr<c10::ivalue::Future>(c10d::GradBucket&)>;

class CompressionHook : public c10d::CppCommHookInterface<BucketTaker> {
 public:
  using CppCommHookInterface::CppCommHookInterface;
  c10::intrusive_ptr<c10::ivalue::Future> runHook(c10d::GradBucket& bucket) override {
    return state_(bucket);
  }
};

}  // namespace

void GradientCompression::Worker::install(ExchangeOptions& options) {
  options.hook = [this](const auto&) {
    return std::make_unique<CompressionHook>([this](c10d::GradBucket& bucket) { return take(bucket); });
  };
  if (joined_.empty()) return;
  // The joined ones in the parameters' order in the last bucket, held: it is full when the backward pass has
  // ended. The others before it, as gradients become ready.
  BucketAssignment held{.buckets = {{}}, .settled = true};
  double bytes = 0;
  for (std::size_t i = elements_.size(); i-- > 0;) {
    if (std::binary_search(joined_.begin(), joined_.end(), i)) continue;
    if (bytes > options.bucket_mb * (1 << 20)) {
      held.buckets.emplace_back();
      bytes = 0;
    }
    held.buckets.back().push_back(i);
    bytes += 4 * static_cast<double>(elements_[i]);
  }
  if (!held.buckets.back().empty()) held.buckets.emplace_back();
  held.buckets.back() = joined_;
  options.buckets = std::move(held);
}

c10::intrusive_ptr<c10::ivalue::Future> GradientCompression::Worker::take(c10d::GradBucket& bucket) {
  const at::Tensor buffer = bucket.getBuffer();
  std::vector<c10::Device> gpus;
  if (!buffer.is_cpu()) gpus.push_back(buffer.device());
  Bucket job{buffer,
             buffer.cpu(),
             {},
             c10::make_intrusive<c10::ivalue::Future>(c10::TensorType::get(), std::move(gpus))};
  const std::vector<at::Tensor> gradients = bucket.getGradients();
  const std::vector<at::Tensor> parameters = bucket.getParameters();
  const std::size_t first = layer_of_.at(parameters.front().const_data_ptr());
  if (!joined_.empty() && first + 1 == joiner.layers().size()) {
    MUSTER_ASSERT(job.buffer.numel() == joiner.layers().back().elements);
    job.gradients.push_back({first, job.host.data_ptr<float>()});
  } else {
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      MUSTER_ASSERT(gradients[i].is_contiguous());
      const std::int64_t place = gradients[i].storage_offset() - buffer.storage_offset();
      job.gradients.push_back(
          {layer_of_.at(parameters[i].const_data_ptr()), job.host.data_ptr<float>() + place});
    }
  }
  const auto joined = job.joined;
  last_start_ = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return joined;
}

void GradientCompression::Worker::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const Bucket job = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    try {
      joiner.join(job.gradients);
      const at::NoGradGuard no_grad;
      if (!job.host.is_same(job.buffer)) job.buffer.copy_(job.host);
      last_end_ = Clock::now();
      job.joined->markCompleted(job.buffer);
    } catch (...) {
      last_end_ = Clock::now();
      job.joined->setError(std::current_exception());
    }
    lock.lock();
  }
}

GradientCompression::GradientCompression(Communicator& communicator, const NamedTensors& parameters,
                                         const JoinedParameters& joined, const JoinOptions& options)
    : worker_(std::make_unique<Worker>(communicator, parameters, joined, options)) {}

GradientCompression::~GradientCompression() = default;

void GradientCompression::install(ExchangeOptions& options) { worker_->install(options); }

void GradientCompression::begin_step(std::int64_t step, double ratio, bool measure_error) {
  worker_->joiner.begin_step(step, ratio, measure_error);
}

const StepCompression& GradientCompression::figures() { return worker_->joiner.figures(); }

double GradientCompression::exposed_seconds() const { return worker_->exposed_seconds(); }

const std::vector<Layer>& GradientCompression::layers() const { return worker_->joiner.layers(); }

NamedTensors GradientCompression::state() {
  NamedTensors tensors;
  for (const auto& [name, values] : worker_->joiner.state()) {
    tensors.emplace_back(name, at::from_blob(values->data(), {static_cast<std::int64_t>(values->size())}));
  }
  return tensors;
}

}  // namespace muster::workloads
