// A fuzzer of what reads .safetensors. `./dev prove weights-fuzz` builds and runs it.
#include "tests/core/fuzz/reading.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster;
  fuzz::expect_data_error([&] { fuzz::touch(read_weights(fuzz::bytes_of(data, size), "x.safetensors")); });
  return 0;
}
