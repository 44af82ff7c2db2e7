/// NVML as far as muster calls it, with $FAKE_NVML_GPUS GPUs; "none": a driver that does not start.

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

const char* wanted() {
  const char* text = std::getenv("FAKE_NVML_GPUS");
  return text == nullptr ? "none" : text;
}

int index_of(void* device) { return static_cast<int>(reinterpret_cast<long>(device)) - 1; }

}  // namespace

extern "C" {

struct Memory {
  unsigned long long total, free, used;
};

int nvmlInit_v2() { return std::strcmp(wanted(), "none") == 0 ? 9 : 0; }
int nvmlShutdown() { return 0; }
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(std::atoi(wanted()));
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = reinterpret_cast<void*>(static_cast<long>(index) + 1);
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
  *memory = {1024, 1024, 0};
  return 0;
}
}
