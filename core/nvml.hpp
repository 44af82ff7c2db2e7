#pragma once
/// What the NVIDIA driver tells of its GPUs, without linking CUDA: NVML is loaded where it is there.

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace muster {

struct FoundGpu {
  std::string name;   ///< "NVIDIA H200"
  std::string uuid;   ///< "GPU-...", or "MIG-..." of a slice
  std::string pci;    ///< as sysfs spells it: "0000:17:00.0"
  double memory = 0;  ///< bytes
};

/// Of one moment; what a GPU does not tell is missing.
struct GpuReading {
  std::optional<double> memory_used;  ///< bytes, of all processes
  std::optional<double>
      utilisation;               ///< part of the last sampling period (up to a second) in which it computed
  std::optional<double> power;   ///< watts
  std::optional<double> energy;  ///< joules since the driver was loaded
};

/// By CUDA_VISIBLE_DEVICES' rules: a number counts `gpus` from 0, a text is the beginning of a UUID.
std::optional<FoundGpu> gpu_named(const std::vector<FoundGpu>& gpus, const std::string& name);

/// The driver for the length of a scope. Where it is not there, or does not start, it shows no GPU; nothing
/// throws. One thread at a time.
class Nvml {
 public:
  Nvml();
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  /// Those that this process may use, in PCI bus order, as CUDA_DEVICE_ORDER=PCI_BUS_ID counts them.
  std::vector<FoundGpu> gpus() const;
  /// What can be given to a rank, as CUDA_VISIBLE_DEVICES names it: numbers; where a GPU is cut into slices
  /// (MIG) the UUIDs of its slices, and of the GPUs beside it, since CUDA counts them otherwise then.
  std::vector<std::string> slots() const;
  /// As gpu_named, and slices by their whole UUID; those have their GPU's name and address.
  std::optional<FoundGpu> find(const std::string& name) const;
  /// nullopt where there is no such GPU.
  std::optional<GpuReading> read(const std::string& uuid) const;

 private:
  struct Library;
  std::unique_ptr<Library> library_;  // Null: no driver.
};

}  // namespace muster
