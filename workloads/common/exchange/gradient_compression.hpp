#pragma once
/// Compressed gradients for a GradientExchange, as a comm hook.

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "runner/communicator.hpp"
#include "workloads/common/compression/gradient_joiner.hpp"
#include "workloads/common/cuda/load_kernels.hpp"
#include "workloads/common/exchange/gradient_exchange.hpp"
#include "workloads/common/sgd.hpp"

namespace muster::workloads {

/// Indices of the parameters, ascending, whose gradients are compressed as one once the backward pass has
/// ended; each other one is compressed by itself.
using JoinedParameters = std::vector<std::size_t>;

/// The gradients as layers for a compressor, each by itself. Throws Error(config) for parameters that are not
/// fp32.
std::vector<Layer> gradient_layers(const NamedTensors& parameters);
JoinedParameters all_joined(const NamedTensors& parameters);

/// Compresses, exchanges and averages one network's gradients on a thread of its own, so that the backward
/// pass goes on. While one runs, that thread alone may use `communicator`: SyncBN cannot go with it. Every
/// rank makes it over the same parameters, and a GradientExchange that must not outlive it. Gradients on a
/// GPU are compressed there where the method has kernels, on a stream of its own; else copies of them in host
/// memory are.
class GradientCompression {
 public:
  /// `kernels` is loaded where it is wanted; without it the CPU compresses. Throws Error(config) for options
  /// that do not go together, or parameters that are not fp32.
  GradientCompression(Communicator& communicator, const NamedTensors& parameters,
                      const JoinedParameters& joined, const JoinOptions& options,
                      const std::filesystem::path& kernels = device_kernels_file());
  ~GradientCompression();
  GradientCompression(const GradientCompression&) = delete;
  GradientCompression& operator=(const GradientCompression&) = delete;

  /// Sets the hook and, where gradients are joined, the buckets.
  void install(ExchangeOptions& options);

  /// Before each backward pass; see GradientJoiner.
  void begin_step(std::int64_t step, double ratio, bool measure_error);

  /// "CPU", or "GPU", and why not there.
  const std::string& place() const;

  /// Of the newest backward pass, once it has ended.
  const StepCompression& figures();
  /// From the last bucket's being full to its arrival.
  double exposed_seconds() const;
  /// What is compressed as one, in the parameters' order; those that are joined are the last.
  const std::vector<Layer>& layers() const;

  /// This rank's, for a checkpoint: views of GradientJoiner::state. Write into them to restore.
  NamedTensors state();

 private:
  struct Place;
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace muster::workloads
