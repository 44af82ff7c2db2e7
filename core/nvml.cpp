#include "core/nvml.hpp"

#include <dlfcn.h>

#include <charconv>
#include <cstdio>

namespace muster {

namespace {

/// NVML's own layouts, from its reference: https://docs.nvidia.com/deploy/nvml-api
struct Memory {
  unsigned long long total, free, used;
};
struct Utilisation {
  unsigned gpu, memory;  // percent
};
struct PciInfo {
  char legacy_id[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char id[32];
};

using Device = void*;

}  // namespace

std::optional<FoundGpu> gpu_named(const std::vector<FoundGpu>& gpus, const std::string& name) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error == std::errc() && end == name.data() + name.size())
    return index < gpus.size() ? std::optional(gpus[index]) : std::nullopt;
  for (const FoundGpu& gpu : gpus)
    if (!name.empty() && gpu.uuid.starts_with(name)) return gpu;
  return std::nullopt;
}

/// The few calls of NVML's C interface that we need; every one returns 0 on success. Those that an old driver
/// may lack are null there.
struct Nvml::Library {
  Library() : handle(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    if (handle == nullptr) return;
    load(pci, "nvmlDeviceGetPciInfo_v3");
    load(by_uuid, "nvmlDeviceGetHandleByUUID");
    load(slice_parent, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle");
    load(most_slices, "nvmlDeviceGetMaxMigDeviceCount");
    load(slice_by_index, "nvmlDeviceGetMigDeviceHandleByIndex");
    load(utilisation, "nvmlDeviceGetUtilizationRates");
    load(power, "nvmlDeviceGetPowerUsage");
    load(energy, "nvmlDeviceGetTotalEnergyConsumption");
    started = load(init, "nvmlInit_v2") && load(shutdown, "nvmlShutdown") &&
              load(count, "nvmlDeviceGetCount_v2") && load(by_index, "nvmlDeviceGetHandleByIndex_v2") &&
              load(name, "nvmlDeviceGetName") && load(uuid, "nvmlDeviceGetUUID") &&
              load(memory, "nvmlDeviceGetMemoryInfo") && init() == 0;
  }
  ~Library() {
    if (started) shutdown();
    if (handle != nullptr) dlclose(handle);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  template <typename Function>
  bool load(Function*& function, const char* symbol) {
    function = reinterpret_cast<Function*>(dlsym(handle, symbol));
    return function != nullptr;
  }

  FoundGpu describe(Device device) const {
    FoundGpu gpu;
    char text[128] = {};
    if (name(device, text, sizeof text) == 0) gpu.name = text;
    if (uuid(device, text, sizeof text) == 0) gpu.uuid = text;
    Memory bytes{};
    if (memory(device, &bytes) == 0) gpu.memory = static_cast<double>(bytes.total);
    PciInfo place{};
    if (pci != nullptr && pci(device, &place) == 0) {
      std::snprintf(text, sizeof text, "%04x:%02x:%02x.0", place.domain, place.bus, place.device);
      gpu.pci = text;
    }
    return gpu;
  }

  std::optional<Device> device_of(const std::string& whole_uuid) const {
    Device device = nullptr;
    if (by_uuid == nullptr || by_uuid(whole_uuid.c_str(), &device) != 0) return std::nullopt;
    return device;
  }

  /// Those that this process may use.
  std::vector<Device> devices() const {
    std::vector<Device> found;
    unsigned number = 0;
    if (count(&number) != 0) return found;
    for (unsigned index = 0; index < number; ++index) {
      Device device = nullptr;
      // The driver counts GPUs that a batch system hides from this process, and gives no handle to them.
      if (by_index(index, &device) == 0) found.push_back(device);
    }
    return found;
  }

  /// How many slices it can have at the most; 0 where it is not in MIG mode.
  unsigned places_of_slices(Device device) const {
    unsigned most = 0;
    const bool told = most_slices != nullptr && slice_by_index != nullptr && most_slices(device, &most) == 0;
    return told ? most : 0;
  }

  void* handle = nullptr;
  bool started = false;
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*by_index)(unsigned, Device*) = nullptr;
  int (*by_uuid)(const char*, Device*) = nullptr;
  int (*slice_parent)(Device, Device*) = nullptr;
  int (*most_slices)(Device, unsigned*) = nullptr;  // 0 where MIG is off
  int (*slice_by_index)(Device, unsigned, Device*) = nullptr;
  int (*name)(Device, char*, unsigned) = nullptr;
  int (*uuid)(Device, char*, unsigned) = nullptr;
  int (*memory)(Device, Memory*) = nullptr;
  int (*pci)(Device, PciInfo*) = nullptr;
  int (*utilisation)(Device, Utilisation*) = nullptr;
  int (*power)(Device, unsigned*) = nullptr;             // milliwatts
  int (*energy)(Device, unsigned long long*) = nullptr;  // millijoules
};

Nvml::Nvml() : library_(std::make_unique<Library>()) {
  if (!library_->started) library_.reset();
}

Nvml::~Nvml() = default;

std::vector<FoundGpu> Nvml::gpus() const {
  std::vector<FoundGpu> found;
  if (library_ == nullptr) return found;
  for (const Device device : library_->devices()) found.push_back(library_->describe(device));
  return found;
}

std::vector<std::string> Nvml::slots() const {
  std::vector<std::string> numbers, uuids;
  if (library_ == nullptr) return numbers;
  bool any_slices = false;
  for (const Device device : library_->devices()) {
    numbers.push_back(std::to_string(numbers.size()));
    const unsigned places = library_->places_of_slices(device);
    if (places == 0) uuids.push_back(library_->describe(device).uuid);
    for (unsigned place = 0; place < places; ++place) {
      Device slice = nullptr;
      if (library_->slice_by_index(device, place, &slice) == 0)
        uuids.push_back(library_->describe(slice).uuid);
    }
    any_slices = any_slices || places > 0;
  }
  return any_slices ? uuids : numbers;
}

std::optional<FoundGpu> Nvml::find(const std::string& name) const {
  if (library_ == nullptr) return std::nullopt;
  if (!name.starts_with("MIG-")) return gpu_named(gpus(), name);
  const auto slice = library_->device_of(name);
  Device whole = nullptr;
  if (!slice || library_->slice_parent == nullptr || library_->slice_parent(*slice, &whole) != 0)
    return std::nullopt;
  FoundGpu gpu = library_->describe(whole);
  gpu.uuid = name;
  gpu.memory = library_->describe(*slice).memory;
  return gpu;
}

std::optional<GpuReading> Nvml::read(const std::string& uuid) const {
  if (library_ == nullptr) return std::nullopt;
  const auto device = library_->device_of(uuid);
  if (!device) return std::nullopt;
  GpuReading reading;
  Memory bytes{};
  if (library_->memory(*device, &bytes) == 0) reading.memory_used = static_cast<double>(bytes.used);
  Utilisation percent{};
  if (library_->utilisation != nullptr && library_->utilisation(*device, &percent) == 0)
    reading.utilisation = percent.gpu / 100.0;
  unsigned milliwatts = 0;
  if (library_->power != nullptr && library_->power(*device, &milliwatts) == 0)
    reading.power = milliwatts / 1000.0;
  unsigned long long millijoules = 0;
  if (library_->energy != nullptr && library_->energy(*device, &millijoules) == 0)
    reading.energy = static_cast<double>(millijoules) / 1000.0;
  return reading;
}

}  // namespace muster
