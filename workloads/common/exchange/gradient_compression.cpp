#include "workloads/common/exchange/gradient_compression.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

using Clock = std::chrono::steady_clock;

struct Bucket {
  at::Tensor buffer;
  std::vector<ReadyGradient> gradients;
  c10::intrusive_ptr<c10::ivalue::Future> joined;
};

std::vector<Layer> layers_of(const NamedTensors& parameters, Granularity granularity) {
  std::vector<Layer> layers;
  Layer whole{"the entire model", 0, 0, 1};
  for (const auto& [name, parameter] : parameters) {
    if (parameter.scalar_type() != at::kFloat || !parameter.is_contiguous() || !parameter.is_cpu()) {
      throw Error(ExitCode::config, "compressors take fp32 gradients in host memory",
                  "use precision = \"fp32\" or \"bf16\"");
    }
    layers.push_back({name, static_cast<std::uint32_t>(layers.size()), parameter.numel(),
                      parameter.dim() > 1 ? parameter.size(0) : 1});
    whole.elements += parameter.numel();
  }
  if (granularity == Granularity::entire_model) return {whole};
  return layers;
}

}  // namespace

class GradientCompression::Worker {
 public:
  Worker(Communicator& communicator, const NamedTensors& parameters, Granularity granularity,
         const JoinOptions& options)
      : joiner(communicator, layers_of(parameters, granularity), options), granularity_(granularity) {
    if (granularity == Granularity::entire_model && options.compressor.method == "powersgd") {
      throw Error(ExitCode::config, "powersgd factors each layer's matrix", "use granularity = layerwise");
    }
    for (const auto& [name, parameter] : parameters) {
      indices_.emplace(parameter.const_data_ptr(), indices_.size());
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

  Granularity granularity_;
  std::unordered_map<const void*, std::size_t> indices_;
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
  if (granularity_ == Granularity::layerwise) return;
  // One bucket in the parameters' order, held: it is full when the backward pass has ended.
  BucketAssignment one{.buckets = {{}}, .settled = true};
  for (std::size_t i = 0; i < indices_.size(); ++i) one.buckets.front().push_back(i);
  options.buckets = std::move(one);
}

c10::intrusive_ptr<c10::ivalue::Future> GradientCompression::Worker::take(c10d::GradBucket& bucket) {
  Bucket job{bucket.getBuffer(), {}, c10::make_intrusive<c10::ivalue::Future>(c10::TensorType::get())};
  if (granularity_ == Granularity::entire_model) {
    MUSTER_ASSERT(job.buffer.numel() == joiner.layers().front().elements);
    job.gradients.push_back({0, job.buffer.data_ptr<float>()});
  } else {
    const std::vector<at::Tensor> gradients = bucket.getGradients();
    const std::vector<at::Tensor> parameters = bucket.getParameters();
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      MUSTER_ASSERT(gradients[i].is_contiguous());
      job.gradients.push_back({indices_.at(parameters[i].const_data_ptr()), gradients[i].data_ptr<float>()});
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
                                         Granularity granularity, const JoinOptions& options)
    : worker_(std::make_unique<Worker>(communicator, parameters, granularity, options)) {}

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
