#include "tests/workloads/cuda/device_of_test.hpp"

extern "C" const muster::workloads::DeviceCompression* muster_device_compression();

namespace muster::testing {

std::string missing_device() { return {}; }
const workloads::DeviceCompression& device_compression() { return *muster_device_compression(); }
std::int64_t many_elements() { return 40'001; }

}  // namespace muster::testing
