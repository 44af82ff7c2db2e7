#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

#include "runner/comm/algorithms.hpp"

namespace muster {
namespace {

int wrap(int rank, int size) { return ((rank % size) + size) % size; }

/// After it, piece r of rank r's `data` is the sum; the other pieces hold partial sums.
void reduce_scatter_in_place(Transport& transport, std::byte* data, const Pieces& pieces, DType type,
                             ReduceOp op) {
  const int n = transport.size();
  const std::size_t width = size_of(type);
  const int next = wrap(transport.rank() + 1, n);
  const int previous = wrap(transport.rank() - 1, n);
  for (int step = 0; step < n - 1; ++step) {
    const int out = wrap(transport.rank() - step - 1, n);
    const int in = wrap(transport.rank() - step - 2, n);
    transport.exchange_reduce(data + pieces.begin(out) * width, pieces.length(out) * width, next,
                              data + pieces.begin(in) * width, pieces.length(in), type, op, previous);
  }
}

void all_gather_in_place(Transport& transport, std::byte* data, const std::vector<std::size_t>& begins) {
  const int n = transport.size();
  const int next = wrap(transport.rank() + 1, n);
  const int previous = wrap(transport.rank() - 1, n);
  for (int step = 0; step < n - 1; ++step) {
    const auto out = static_cast<std::size_t>(wrap(transport.rank() - step, n));
    const auto in = static_cast<std::size_t>(wrap(transport.rank() - step - 1, n));
    transport.exchange(data + begins[out], begins[out + 1] - begins[out], next, data + begins[in],
                       begins[in + 1] - begins[in], previous);
  }
}

}  // namespace

std::size_t Pieces::begin(int piece) const {
  const auto n = static_cast<std::size_t>(ranks);
  const auto p = static_cast<std::size_t>(piece);
  return (count / n) * p + std::min(p, count % n);
}

void ring_all_reduce(Transport& transport, void* data, std::size_t count, DType type, ReduceOp op) {
  const Pieces pieces{count, transport.size()};
  auto* bytes = static_cast<std::byte*>(data);
  reduce_scatter_in_place(transport, bytes, pieces, type, op);
  std::vector<std::size_t> begins;
  for (int r = 0; r <= transport.size(); ++r) begins.push_back(pieces.begin(r) * size_of(type));
  all_gather_in_place(transport, bytes, begins);
}

void ring_reduce_scatter(Transport& transport, const void* in, void* out, std::size_t count, DType type,
                         ReduceOp op) {
  const auto n = static_cast<std::size_t>(transport.size());
  const std::size_t bytes = count * size_of(type);
  if (bytes == 0) return;
  const auto sums = std::make_unique_for_overwrite<std::byte[]>(n * bytes);
  std::memcpy(sums.get(), in, n * bytes);
  reduce_scatter_in_place(transport, sums.get(), Pieces{count * n, transport.size()}, type, op);
  std::memcpy(out, sums.get() + static_cast<std::size_t>(transport.rank()) * bytes, bytes);
}

void ring_all_gather(Transport& transport, const void* in, void* out,
                     const std::vector<std::size_t>& bytes_of) {
  std::vector<std::size_t> begins(bytes_of.size() + 1, 0);
  std::partial_sum(bytes_of.begin(), bytes_of.end(), begins.begin() + 1);
  auto* bytes = static_cast<std::byte*>(out);
  const auto own = static_cast<std::size_t>(transport.rank());
  if (bytes_of[own] != 0) std::memmove(bytes + begins[own], in, bytes_of[own]);
  all_gather_in_place(transport, bytes, begins);
}

}  // namespace muster
