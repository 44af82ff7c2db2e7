/// NVML as far as muster calls it, with $FAKE_NVML_GPUS GPUs; "none": a driver that does not start. GPU 2 is
/// one that a batch system hides from this process; GPU 1 is cut into $FAKE_NVML_SLICES slices (else it is
/// whole) and does not tell its energy; that of the others grows by $FAKE_NVML_ENERGY millijoules with each
/// reading. Slices tell of their memory alone.

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kNotSupported = 3;
constexpr int kNoPermission = 4;
constexpr int kNotFound = 6;
constexpr int kHidden = 2;
constexpr int kSlice = 100;  // and those after it
constexpr unsigned kMostSlices = 7;

const char* wanted() {
  const char* text = std::getenv("FAKE_NVML_GPUS");
  return text == nullptr ? "none" : text;
}

int slices() {
  const char* text = std::getenv("FAKE_NVML_SLICES");
  return text == nullptr ? 0 : std::atoi(text);
}

int index_of(void* device) { return static_cast<int>(reinterpret_cast<long>(device)) - 1; }

void* device_at(int index) { return reinterpret_cast<void*>(static_cast<long>(index) + 1); }

}  // namespace

extern "C" {

struct Memory {
  unsigned long long total, free, used;
};
struct Utilisation {
  unsigned gpu, memory;
};
struct PciInfo {
  char legacy_id[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char id[32];
};

int nvmlInit_v2() { return std::strcmp(wanted(), "none") == 0 ? 9 : 0; }
int nvmlShutdown() { return 0; }
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(std::atoi(wanted()));
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  if (index == kHidden) return kNoPermission;
  *device = device_at(static_cast<int>(index));
  return 0;
}
int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  if (std::strncmp(uuid, "MIG-fake-", 9) == 0) {
    if (std::atoi(uuid + 9) >= slices()) return kNotFound;
    *device = device_at(kSlice + std::atoi(uuid + 9));
    return 0;
  }
  if (std::strncmp(uuid, "GPU-fake-", 9) != 0) return kNotFound;
  const int index = std::atoi(uuid + 9);
  if (index >= std::atoi(wanted())) return kNotFound;
  *device = device_at(index);
  return 0;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void* slice, void** device) {
  if (index_of(slice) < kSlice) return kNotFound;
  *device = device_at(1);
  return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(void* device, unsigned* count) {
  *count = index_of(device) == 1 && slices() > 0 ? kMostSlices : 0;
  return 0;
}
/// With gaps, as after slices were destroyed.
int nvmlDeviceGetMigDeviceHandleByIndex(void*, unsigned index, void** slice) {
  const int number = static_cast<int>(index) / 2;
  if (index % 2 == 1 || number >= slices()) return kNotFound;
  *slice = device_at(kSlice + number);
  return 0;
}
int nvmlDeviceGetName(void* device, char* text, unsigned size) {
  std::snprintf(text, size, "Fake GPU %d", index_of(device));
  return 0;
}
int nvmlDeviceGetUUID(void* device, char* text, unsigned size) {
  const int index = index_of(device);
  if (index >= kSlice) {
    std::snprintf(text, size, "MIG-fake-%d", index - kSlice);
  } else {
    std::snprintf(text, size, "GPU-fake-%d", index);
  }
  return 0;
}
int nvmlDeviceGetMemoryInfo(void*, Memory* memory) {
  *memory = {1024, 1000, 24};
  return 0;
}
int nvmlDeviceGetPciInfo_v3(void* device, PciInfo* place) {
  *place = {};
  place->bus = 0x17U + static_cast<unsigned>(index_of(device));
  return 0;
}
int nvmlDeviceGetUtilizationRates(void* device, Utilisation* percent) {
  if (index_of(device) >= kSlice) return kNotSupported;
  *percent = {87, 12};
  return 0;
}
int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
  if (index_of(device) >= kSlice) return kNotSupported;
  *milliwatts = 412'500;
  return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  if (index_of(device) == 1 || index_of(device) >= kSlice) return kNotSupported;
  static unsigned long long counter = 35'250;
  *millijoules = counter;
  if (const char* step = std::getenv("FAKE_NVML_ENERGY")) counter += std::strtoull(step, nullptr, 10);
  return 0;
}
}
