#include "launcher/gpu_probe.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <memory>
#include <sstream>

namespace muster {

namespace {

/// The few calls of NVML's C interface that we need; every one returns 0 on success.
class Nvml {
 public:
  Nvml() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    if (library_ == nullptr) return;
    started_ = load(init_, "nvmlInit_v2") && load(shutdown_, "nvmlShutdown") &&
               load(count_, "nvmlDeviceGetCount_v2") && load(handle_, "nvmlDeviceGetHandleByIndex_v2") &&
               load(name_, "nvmlDeviceGetName") && load(uuid_, "nvmlDeviceGetUUID") &&
               load(memory_, "nvmlDeviceGetMemoryInfo") && init_() == 0;
  }
  ~Nvml() {
    if (started_) shutdown_();
    if (library_ != nullptr) dlclose(library_);
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  std::vector<FoundGpu> gpus() const {
    std::vector<FoundGpu> found;
    unsigned count = 0;
    if (!started_ || count_(&count) != 0) return found;
    for (unsigned index = 0; index < count; ++index) {
      FoundGpu gpu;
      void* device = nullptr;
      char text[128] = {};
      Memory memory{};
      if (handle_(index, &device) == 0) {
        if (name_(device, text, sizeof text) == 0) gpu.name = text;
        if (uuid_(device, text, sizeof text) == 0) gpu.uuid = text;
        if (memory_(device, &memory) == 0) gpu.memory = static_cast<double>(memory.total);
      }
      found.push_back(gpu);
    }
    return found;
  }

 private:
  struct Memory {
    unsigned long long total, free, used;
  };

  template <typename Function>
  bool load(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(dlsym(library_, name));
    return function != nullptr;
  }

  void* library_ = nullptr;
  bool started_ = false;
  int (*init_)() = nullptr;
  int (*shutdown_)() = nullptr;
  int (*count_)(unsigned*) = nullptr;
  int (*handle_)(unsigned, void**) = nullptr;
  int (*name_)(void*, char*, unsigned) = nullptr;
  int (*uuid_)(void*, char*, unsigned) = nullptr;
  int (*memory_)(void*, Memory*) = nullptr;
};

}  // namespace

std::vector<FoundGpu> probe_gpus() { return Nvml().gpus(); }

std::vector<std::string> gpu_slots(std::size_t found, const std::optional<std::string>& visible,
                                   std::optional<int> declared) {
  std::vector<std::string> slots;
  if (visible) {
    std::istringstream items(*visible);
    for (std::string item; std::getline(items, item, ',');) {
      // CUDA ends its list at the first entry that cannot be one.
      if (item.empty() || item == "-1" || item == "NoDevFiles") break;
      slots.push_back(item);
    }
  } else {
    for (std::size_t index = 0; index < found; ++index) slots.push_back(std::to_string(index));
  }
  if (!declared) return slots;
  const auto wanted = static_cast<std::size_t>(*declared);
  if (slots.size() > wanted) slots.resize(wanted);
  for (int index = 0; slots.size() < wanted; ++index) {
    const std::string name = std::to_string(index);
    if (std::find(slots.begin(), slots.end(), name) == slots.end()) slots.push_back(name);
  }
  return slots;
}

}  // namespace muster
