#include "workloads/common/exchange/communicator_backend.hpp"

#include <ATen/ATen.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

/// A c10d work that is its future. `between_gpus`, where there is one, is what the stream must still wait
/// for.
class FutureWork : public c10d::Work {
 public:
  FutureWork(int rank, c10d::OpType type, c10::intrusive_ptr<c10::ivalue::Future> future,
             PendingWork between_gpus = nullptr)
      : c10d::Work(rank, type), future_(std::move(future)), between_gpus_(std::move(between_gpus)) {}

  bool isCompleted() override { return future_->completed(); }
  bool isSuccess() const override { return future_->completed() && !future_->hasError(); }
  std::exception_ptr exception() const override { return future_->exception_ptr(); }
  void synchronize() override { wait(kNoTimeout); }
  bool wait(std::chrono::milliseconds) override {
    future_->waitAndThrow();
    if (between_gpus_) between_gpus_->wait();
    return true;
  }
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return future_; }
  std::vector<at::Tensor> result() override { return future_->value().toTensorVector(); }

 private:
  c10::intrusive_ptr<c10::ivalue::Future> future_;
  PendingWork between_gpus_;
};

ReduceOp reduce_op(const c10d::ReduceOp& op) {
  switch (op.op_) {
    case c10d::ReduceOp::SUM:
      return ReduceOp::sum;
    case c10d::ReduceOp::MIN:
      return ReduceOp::minimum;
    case c10d::ReduceOp::MAX:
      return ReduceOp::maximum;
    default:
      break;
  }
  throw Error(ExitCode::internal, "this backend reduces by sum, minimum and maximum only",
              "choose one of them in the comm hook");
}

const at::Tensor& only(const std::vector<at::Tensor>& tensors) {
  MUSTER_ASSERT(tensors.size() == 1);
  return tensors.front();
}

c10::intrusive_ptr<c10::ivalue::Future> future_of(const std::vector<at::Tensor>& tensors) {
  // All are in one memory: a rank has one GPU.
  return c10::make_intrusive<c10::ivalue::Future>(
      c10::ListType::create(c10::TensorType::get()),
      tensors.empty() ? std::vector<c10::Device>{} : devices_of(tensors.front()));
}

}  // namespace

/// Waits for works in their order on a thread of its own, and completes their futures.
class CommunicatorBackend::Completion {
 public:
  Completion() : thread_([this] { run(); }) {}
  ~Completion() {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  /// `tensors` are the future's value and stay alive with it; `afterwards` runs before the future completes.
  c10::intrusive_ptr<c10d::Work> add(int rank, c10d::OpType type, PendingWork work,
                                     std::vector<at::Tensor> tensors,
                                     std::function<void()> afterwards = nullptr) {
    auto future = future_of(tensors);
    {
      std::lock_guard lock(mutex_);
      queue_.push_back({std::move(work), std::move(tensors), std::move(afterwards), future});
    }
    wake_.notify_one();
    return c10::make_intrusive<FutureWork>(rank, type, std::move(future));
  }

 private:
  struct Entry {
    PendingWork work;
    std::vector<at::Tensor> tensors;
    std::function<void()> afterwards;
    c10::intrusive_ptr<c10::ivalue::Future> future;
  };

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (queue_.empty()) return;
      Entry entry = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      try {
        entry.work->wait();
        if (entry.afterwards) entry.afterwards();
        entry.future->markCompleted(c10::IValue(std::move(entry.tensors)));
      } catch (...) {
        entry.future->setErrorIfNeeded(std::current_exception());
      }
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Entry> queue_;
  bool closing_ = false;
  std::thread thread_;
};

CommunicatorBackend::CommunicatorBackend(TensorCollectives collectives, ExchangeAlgorithm algorithm)
    : c10d::Backend(collectives.rank(), collectives.size()),
      collectives_(std::move(collectives)),
      algorithm_(algorithm),
      completion_(std::make_unique<Completion>()) {}

CommunicatorBackend::~CommunicatorBackend() = default;

c10::intrusive_ptr<c10d::Work> CommunicatorBackend::add(c10d::OpType type, bool between_gpus,
                                                        PendingWork work, std::vector<at::Tensor> tensors,
                                                        std::function<void()> afterwards) {
  if (!between_gpus)
    return completion_->add(rank_, type, std::move(work), std::move(tensors), std::move(afterwards));
  if (afterwards) {
    work->wait();
    afterwards();
  }
  auto future = future_of(tensors);
  future->markCompleted(c10::IValue(std::move(tensors)));
  return c10::make_intrusive<FutureWork>(rank_, type, std::move(future), std::move(work));
}

c10::intrusive_ptr<c10d::Work> CommunicatorBackend::allreduce(std::vector<at::Tensor>& tensors,
                                                              const c10d::AllreduceOptions& options) {
  last_start_.emplace(only(tensors).device());
  auto work = collectives_.all_reduce(only(tensors), reduce_op(options.reduceOp), algorithm_);
  return add(c10d::OpType::ALLREDUCE, collectives_.between_gpus(tensors.front(), algorithm_), std::move(work),
             tensors);
}

c10::intrusive_ptr<c10d::Work> CommunicatorBackend::broadcast(std::vector<at::Tensor>& tensors,
                                                              const c10d::BroadcastOptions& options) {
  last_start_.emplace(only(tensors).device());
  auto work = collectives_.broadcast(only(tensors), static_cast<int>(options.rootRank));
  return add(c10d::OpType::BROADCAST, collectives_.between_gpus(tensors.front()), std::move(work), tensors);
}

c10::intrusive_ptr<c10d::Work> CommunicatorBackend::allgather(std::vector<std::vector<at::Tensor>>& outputs,
                                                              std::vector<at::Tensor>& inputs,
                                                              const c10d::AllgatherOptions&) {
  const at::Tensor input = only(inputs).contiguous();
  MUSTER_ASSERT(outputs.size() == 1 && static_cast<int>(outputs[0].size()) == size_);
  std::vector<std::int64_t> shape{size_};
  shape.insert(shape.end(), input.sizes().begin(), input.sizes().end());
  const at::Tensor gathered = at::empty(shape, input.options());
  last_start_.emplace(input.device());
  auto work = collectives_.all_gather(input, gathered);
  return add(c10d::OpType::ALLGATHER, collectives_.between_gpus(input), std::move(work), outputs[0],
             [input, gathered, list = outputs[0]] {
               at::NoGradGuard no_grad;
               for (std::size_t r = 0; r < list.size(); ++r) {
                 list[r].copy_(gathered[static_cast<std::int64_t>(r)]);
               }
             });
}

c10::intrusive_ptr<c10d::Work> CommunicatorBackend::_allgather_base(at::Tensor& output, at::Tensor& input,
                                                                    const c10d::AllgatherOptions&) {
  last_start_.emplace(input.device());
  auto work = collectives_.all_gather(input, output);
  return add(c10d::OpType::_ALLGATHER_BASE, collectives_.between_gpus(input), std::move(work), {output},
             [input] {});
}

c10::intrusive_ptr<c10d::Work> CommunicatorBackend::_reduce_scatter_base(
    at::Tensor& output, at::Tensor& input, const c10d::ReduceScatterOptions& options) {
  last_start_.emplace(input.device());
  auto work = collectives_.reduce_scatter(input, output, reduce_op(options.reduceOp));
  return add(c10d::OpType::_REDUCE_SCATTER_BASE, collectives_.between_gpus(input), std::move(work), {output},
             [input] {});
}

c10::intrusive_ptr<c10d::Work> CommunicatorBackend::barrier(const c10d::BarrierOptions&) {
  collectives_.host().barrier();
  auto future = future_of({});
  future->markCompleted(c10::IValue(std::vector<at::Tensor>{}));
  return c10::make_intrusive<FutureWork>(rank_, c10d::OpType::BARRIER, std::move(future));
}

std::vector<c10::Device> devices_of(const at::Tensor& tensor) {
  if (tensor.is_cpu()) return {};
  return {tensor.device()};
}

c10::intrusive_ptr<c10d::ProcessGroup> make_process_group(
    const c10::intrusive_ptr<CommunicatorBackend>& backend) {
  auto group = c10::make_intrusive<c10d::ProcessGroup>(backend->getRank(), backend->getSize());
  for (const c10::DeviceType memory : {c10::DeviceType::CPU, c10::DeviceType::CUDA})
    group->setBackend(memory, c10d::ProcessGroup::BackendType::CUSTOM,
                      c10::intrusive_ptr<c10d::Backend>(backend));
  group->setDefaultBackend(c10d::ProcessGroup::BackendType::CUSTOM);
  return group;
}

}  // namespace muster::workloads
