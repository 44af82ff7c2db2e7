/// NVML as far as muster calls it, with $FAKE_NVML_GPUS GPUs; "none": a driver that does not start. GPU 2 is
/// one that a batch system hides from this process; GPU 1 has a slice and does not tell its energy.

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kNotSupported = 3;
constexpr int kNoPermission = 4;
constexpr int kNotFound = 6;
constexpr int kHidden = 2;
constexpr int kSlice = 100;

const char* wanted() {
  const char* text = std::getenv("FAKE_NVML_GPUS");
  return text == nullptr ? "none" : text;
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
  if (std::strcmp(uuid, "MIG-fake") == 0) {
    *device = device_at(kSlice);
    return 0;
  }
  if (std::strncmp(uuid, "GPU-fake-", 9) != 0) return kNotFound;
  const int index = std::atoi(uuid + 9);
  if (index >= std::atoi(wanted())) return kNotFound;
  *device = device_at(index);
  return 0;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void* slice, void** device) {
  if (index_of(slice) != kSlice) return kNotFound;
  *device = device_at(1);
  return 0;
}
int nvmlDeviceGetName(void* device, char* text, unsigned size) {
  std::snprintf(text, size, "Fake GPU %d", index_of(device));
  return 0;
}
int nvmlDeviceGetUUID(void* device, char* text, unsigned size) {
  std::snprintf(text, size, "GPU-fake-%d", index_of(device));
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
int nvmlDeviceGetUtilizationRates(void*, Utilisation* percent) {
  *percent = {87, 12};
  return 0;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
  *milliwatts = 412'500;
  return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  if (index_of(device) == 1) return kNotSupported;
  *millijoules = 35'250;
  return 0;
}
}
