// A fuzzer of the unpickler with the names that CIFAR's pickles need. `./dev prove weights-fuzz` builds and
// runs it.
#include <string_view>

#include "core/weights/pickle.hpp"
#include "tests/core/fuzz/reading.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster;
  constexpr std::string_view kNames[] = {"numpy.core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype",
                                         "_codecs.encode"};
  fuzz::expect_data_error([&] { Pickle(fuzz::bytes_of(data, size), {"x", kNames}); });
  return 0;
}
