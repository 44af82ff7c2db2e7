// A fuzzer of everything that reads files of others' making: weights of all formats, and pickles of CIFAR's.
// tests/core/torch_files.py writes seeds. Run: build-fuzz/tests/core/fuzz_weights CORPUS (libFuzzer's
// options).
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "core/error.hpp"
#include "core/weights/pickle.hpp"
#include "core/weights/weights_file.hpp"

namespace {

/// Every byte of every tensor must be there.
void touch(const muster::WeightsContent& content) {
  volatile unsigned sum = 0;
  for (const muster::TensorView& tensor : content.torch.tensors) {
    std::uint64_t size = muster::size_of(tensor.dtype);
    for (const std::int64_t extent : tensor.shape) size *= static_cast<std::uint64_t>(extent);
    if (size != tensor.bytes.size()) std::abort();
    for (const std::byte byte : tensor.bytes) sum = sum + static_cast<unsigned>(byte);
  }
}

template <class Read>
void expect_data_error(const Read& read) {
  try {
    read();
  } catch (const muster::Error& error) {
    if (error.code() != muster::ExitCode::data) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  expect_data_error([&] { touch(muster::read_weights(bytes, "x")); });
  constexpr std::string_view kNames[] = {"numpy.core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype",
                                         "_codecs.encode"};
  expect_data_error([&] { muster::Pickle(bytes, {"x", kNames}); });
  return 0;
}
