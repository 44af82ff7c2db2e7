#include "workloads/common/exchange/gradient_compression.hpp"

#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>

#include "core/error.hpp"
#include "workloads/common/exchange/communicator_backend.hpp"
#include "workloads/common/exchange/device_packer.hpp"
#include "workloads/common/time_mark.hpp"

namespace muster::workloads {
namespace {

struct Bucket {
  struct Gradient {
    std::size_t layer;
    std::int64_t place;  ///< elements from the buffer's first
  };
  at::Tensor buffer;
  std::vector<Gradient> gradients;
  std::optional<c10::Event> full;  ///< of a GPU's, on the backward pass's stream
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

/// Where gradients are compressed, and what for.
struct GradientCompression::Place {
  c10::Device gradients;
  const DeviceCompression* kernels = nullptr;  ///< null: in host memory
  std::string name;

  Place(c10::Device device, const JoinOptions& options, const std::filesystem::path& module)
      : gradients(device), name("CPU") {
    if (device.is_cpu() || !packs_on_device(options)) return;
    try {
      kernels = &load_device_compression(module);
      name = "GPU";
    } catch (const Error& error) {
      name += std::string(", since ") + error.what();
    }
  }
  MakePacker packer(const DrawSource& source) const {
    if (!kernels) return make_host_packer;
    return [this, source](Compressor& forms, const std::vector<Layer>& layers, const JoinOptions& options) {
      return make_device_packer(*kernels, gradients, source, forms, layers, options);
    };
  }
};

class GradientCompression::Worker {
 public:
  Worker(Communicator& communicator, const NamedTensors& parameters, const JoinedParameters& joined,
         const JoinOptions& options, const std::filesystem::path& kernels)
      : place(parameters.front().second.device(), options, kernels),
        joiner(communicator, layers_of(parameters, joined), options,
               place.packer({options.seed, communicator.rank()})),
        joined_(joined) {
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
  double exposed_seconds() const { return last_end_ ? last_end_->seconds_since(*last_start_) : 0; }

  Place place;
  GradientJoiner joiner;

 private:
  void work();
  void join(const Bucket& bucket);

  JoinedParameters joined_;
  std::unordered_map<const void*, std::size_t> layer_of_;  ///< by a parameter's place in memory
  std::vector<std::int64_t> elements_;                     ///< of each parameter
  std::optional<TimeMark> last_start_, last_end_;
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
  const c10::Device device = buffer.device();
  Bucket job{
      buffer, {}, {}, c10::make_intrusive<c10::ivalue::Future>(c10::TensorType::get(), devices_of(buffer))};
  const std::vector<at::Tensor> gradients = bucket.getGradients();
  const std::vector<at::Tensor> parameters = bucket.getParameters();
  const std::size_t first = layer_of_.at(parameters.front().const_data_ptr());
  if (!joined_.empty() && first + 1 == joiner.layers().size()) {
    MUSTER_ASSERT(job.buffer.numel() == joiner.layers().back().elements);
    job.gradients.push_back({first, 0});
  } else {
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      MUSTER_ASSERT(gradients[i].is_contiguous());
      const std::int64_t place = gradients[i].storage_offset() - buffer.storage_offset();
      job.gradients.push_back({layer_of_.at(parameters[i].const_data_ptr()), place});
    }
  }
  if (!device.is_cpu()) {
    job.full.emplace(device.type());
    job.full->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  }
  const auto joined = job.joined;
  last_start_.emplace(device);
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return joined;
}

void GradientCompression::Worker::work() {
  // What is put on a GPU goes on a stream of its own, beside the backward pass's.
  c10::OptionalStreamGuard stream;
  const c10::Device device = place.gradients;
  if (!device.is_cpu())
    stream.reset_stream(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device));
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const Bucket job = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    try {
      if (job.full) job.full->block(*stream.current_stream());
      join(job);
      last_end_.emplace(device);
      job.joined->markCompleted(job.buffer);
    } catch (...) {
      last_end_.reset();
      job.joined->setError(std::current_exception());
    }
    lock.lock();
  }
}

void GradientCompression::Worker::join(const Bucket& bucket) {
  const at::NoGradGuard no_grad;
  const at::Tensor gradients = place.kernels ? bucket.buffer : bucket.buffer.cpu();
  std::vector<ReadyGradient> ready;
  for (const auto& [layer, first] : bucket.gradients)
    ready.push_back({layer, gradients.mutable_data_ptr<float>() + first});
  joiner.join(ready);
  if (!gradients.is_same(bucket.buffer)) bucket.buffer.copy_(gradients);
}

GradientCompression::GradientCompression(Communicator& communicator, const NamedTensors& parameters,
                                         const JoinedParameters& joined, const JoinOptions& options,
                                         const std::filesystem::path& kernels)
    : worker_(std::make_unique<Worker>(communicator, parameters, joined, options, kernels)) {}

GradientCompression::~GradientCompression() = default;

void GradientCompression::install(ExchangeOptions& options) { worker_->install(options); }

void GradientCompression::begin_step(std::int64_t step, double ratio, bool measure_error) {
  worker_->joiner.begin_step(step, ratio, measure_error);
}

const StepCompression& GradientCompression::figures() { return worker_->joiner.figures(); }

const std::string& GradientCompression::place() const { return worker_->place.name; }

double GradientCompression::exposed_seconds() const { return worker_->exposed_seconds(); }

const std::vector<Layer>& GradientCompression::layers() const { return worker_->joiner.layers(); }

NamedTensors GradientCompression::state() {
  const c10::Device device = worker_->place.kernels ? worker_->place.gradients : c10::Device(c10::kCPU);
  NamedTensors tensors;
  for (const auto& [name, values] : worker_->joiner.state())
    tensors.emplace_back(name, view_of(values.data(), static_cast<std::int64_t>(values.size()), device));
  return tensors;
}

}  // namespace muster::workloads
