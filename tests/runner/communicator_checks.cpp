#include "communicator_checks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>

#include "runner/comm/algorithms.hpp"
#include "runner/comm/half_float.hpp"

namespace muster::checks {
namespace {

const std::size_t kCounts[] = {0, 1, 2, 3, 5, 7, 64, 1000, 4099, 100003};

void put(std::vector<std::byte>& buffer, std::size_t index, DType type, double value) {
  std::byte* at = buffer.data() + index * size_of(type);
  const auto store = [&](auto v) { std::memcpy(at, &v, sizeof v); };
  switch (type) {
    case DType::u8:
      return store(static_cast<std::uint8_t>(value));
    case DType::i8:
      return store(static_cast<std::int8_t>(value));
    case DType::i16:
      return store(static_cast<std::int16_t>(value));
    case DType::i32:
      return store(static_cast<std::int32_t>(value));
    case DType::i64:
      return store(static_cast<std::int64_t>(value));
    case DType::f32:
      return store(static_cast<float>(value));
    case DType::f64:
      return store(value);
    case DType::f16:
      return store(f16_from_f32(static_cast<float>(value)));
    case DType::bf16:
      return store(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16));
    case DType::boolean:
      return store(static_cast<std::uint8_t>(value != 0));
  }
}

/// Small whole numbers, so that every type holds every sum exactly.
double value_of(int rank, std::size_t index) {
  return static_cast<double>((index * 7 + static_cast<std::size_t>(rank) * 5) % 11);
}

std::vector<std::byte> input(int rank, std::size_t count, DType type) {
  std::vector<std::byte> buffer(count * size_of(type));
  for (std::size_t i = 0; i < count; ++i) put(buffer, i, type, value_of(rank, i));
  return buffer;
}

template <typename Combine>
std::vector<std::byte> expected(int ranks, std::size_t count, DType type, Combine combine) {
  std::vector<std::byte> buffer(count * size_of(type));
  for (std::size_t i = 0; i < count; ++i) {
    const auto term = [&](int r) {
      return type == DType::boolean ? double(value_of(r, i) != 0) : value_of(r, i);
    };
    double total = term(0);
    for (int r = 1; r < ranks; ++r) total = combine(total, term(r));
    put(buffer, i, type, total);
  }
  return buffer;
}

bool all_ranks_hold_the_same(Communicator& communicator, const std::vector<std::byte>& buffer) {
  const auto n = static_cast<std::size_t>(communicator.size());
  std::vector<std::byte> all(n * buffer.size());
  communicator.all_gather(buffer.data(), buffer.size(), all.data())->wait();
  for (std::size_t r = 0; r < n; ++r)
    if (!std::equal(buffer.begin(), buffer.end(),
                    all.begin() + static_cast<std::ptrdiff_t>(r * buffer.size())))
      return false;
  return true;
}

}  // namespace

void sums_are_right(Communicator& communicator, DType type, ExchangeAlgorithm algorithm) {
  for (const std::size_t count : kCounts) {
    auto buffer = input(communicator.rank(), count, type);
    communicator.all_reduce(buffer.data(), count, type, ReduceOp::sum, algorithm)->wait();
    const auto right = expected(communicator.size(), count, type, [](double a, double b) { return a + b; });
    EXPECT_TRUE(buffer == right) << "count " << count << ", type " << static_cast<int>(type);
  }
}

void minimum_and_maximum_are_right(Communicator& communicator, DType type, ExchangeAlgorithm algorithm) {
  for (const std::size_t count : kCounts) {
    auto low = input(communicator.rank(), count, type);
    auto high = low;
    communicator.all_reduce(low.data(), count, type, ReduceOp::minimum, algorithm)->wait();
    communicator.all_reduce(high.data(), count, type, ReduceOp::maximum, algorithm)->wait();
    EXPECT_TRUE(
        low == expected(communicator.size(), count, type, [](double a, double b) { return std::min(a, b); }));
    EXPECT_TRUE(high == expected(communicator.size(), count, type,
                                 [](double a, double b) { return std::max(a, b); }));
  }
}

void nan_wins_and_negative_zero_is_below_zero(Communicator& communicator, ExchangeAlgorithm algorithm) {
  const bool last = communicator.rank() == communicator.size() - 1;
  float values[3] = {last ? std::numeric_limits<float>::quiet_NaN() : 1.0F, last ? -0.0F : 0.0F,
                     last ? 0.0F : -0.0F};
  communicator.all_reduce(values, 3, DType::f32, ReduceOp::minimum, algorithm)->wait();
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_TRUE(std::signbit(values[1]));
  if (communicator.size() > 1) {
    EXPECT_TRUE(std::signbit(values[2]));
  }
}

void results_are_bitwise_the_same(Communicator& communicator, DType type, ExchangeAlgorithm algorithm) {
  for (const std::size_t count : {std::size_t{17}, std::size_t{1001}, std::size_t{50021}}) {
    std::mt19937 generator(static_cast<unsigned>(communicator.rank() + 1));
    std::normal_distribution<double> normal;
    std::vector<std::byte> buffer(count * size_of(type));
    for (std::size_t i = 0; i < count; ++i) put(buffer, i, type, normal(generator));
    communicator.all_reduce(buffer.data(), count, type, ReduceOp::sum, algorithm)->wait();
    EXPECT_TRUE(all_ranks_hold_the_same(communicator, buffer)) << "count " << count;
  }
}

void bytes_follow_the_formula(Communicator& communicator, ExchangeAlgorithm algorithm) {
  const int n = communicator.size();
  const int rank = communicator.rank();
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{1}, std::size_t{12}, std::size_t{1003}, std::size_t{600000}}) {
    const std::uint64_t message = count * size_of(DType::f32);
    std::vector<float> buffer(count, 1.0F);
    const Traffic before = communicator.traffic();
    communicator.all_reduce(buffer.data(), count, DType::f32, ReduceOp::sum, algorithm)->wait();
    const Traffic after = communicator.traffic();
    const std::uint64_t sent = after.bytes_sent - before.bytes_sent;
    const std::uint64_t received = after.bytes_received - before.bytes_received;
    EXPECT_EQ(after.payload_bytes - before.payload_bytes, message);
    std::uint64_t total_sent = sent;
    communicator.all_reduce(&total_sent, 1, DType::i64, ReduceOp::sum, algorithm)->wait();
    std::uint64_t expected_total = 2 * static_cast<std::uint64_t>(n - 1) * message;
    if (algorithm == ExchangeAlgorithm::ring) {
      if (count % static_cast<std::size_t>(n) == 0) {
        EXPECT_EQ(sent, expected_total / static_cast<std::uint64_t>(n));
        EXPECT_EQ(received, expected_total / static_cast<std::uint64_t>(n));
      }
    } else if (algorithm == ExchangeAlgorithm::parameter_server) {
      const std::uint64_t own = (rank == 0) ? static_cast<std::uint64_t>(n - 1) * message : message;
      EXPECT_EQ(sent, n == 1 ? 0 : own);
      EXPECT_EQ(received, n == 1 ? 0 : own);
    } else if (algorithm == ExchangeAlgorithm::library) {
      expected_total = 0;
      EXPECT_EQ(received, 0U);
    }
    EXPECT_EQ(total_sent, expected_total) << "count " << count;
  }
}

void gathers_keep_rank_order(Communicator& communicator) {
  const auto n = static_cast<std::size_t>(communicator.size());
  const auto rank = static_cast<std::size_t>(communicator.rank());
  std::vector<std::size_t> bytes_of(n);
  for (std::size_t r = 0; r < n; ++r) bytes_of[r] = r * 1003 % 2005;
  const std::vector<std::uint8_t> own(bytes_of[rank], static_cast<std::uint8_t>(rank + 1));
  std::vector<std::uint8_t> right;
  for (std::size_t r = 0; r < n; ++r)
    right.insert(right.end(), bytes_of[r], static_cast<std::uint8_t>(r + 1));
  std::vector<std::uint8_t> out(right.size());
  communicator.all_gather_v(own.data(), out.data(), bytes_of)->wait();
  EXPECT_EQ(out, right);

  std::vector<std::int64_t> ids(n, -1);
  ids[rank] = static_cast<std::int64_t>(rank) * 10;
  communicator.all_gather(&ids[rank], sizeof ids[0], ids.data())->wait();  // In place.
  for (std::size_t r = 0; r < n; ++r) EXPECT_EQ(ids[r], static_cast<std::int64_t>(r) * 10);
}

void reduce_scatter_keeps_the_own_piece(Communicator& communicator) {
  const auto n = static_cast<std::size_t>(communicator.size());
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{13}, std::size_t{70001}}) {
    const auto in = input(communicator.rank(), n * count, DType::f32);
    std::vector<std::byte> out(count * sizeof(float));
    communicator.reduce_scatter(in.data(), out.data(), count, DType::f32, ReduceOp::sum)->wait();
    const auto sums =
        expected(communicator.size(), n * count, DType::f32, [](double a, double b) { return a + b; });
    EXPECT_TRUE(std::equal(out.begin(), out.end(),
                           sums.begin() + communicator.rank() * static_cast<std::ptrdiff_t>(out.size())));
  }
}

void broadcast_comes_from_its_root(Communicator& communicator) {
  for (int root = 0; root < communicator.size(); ++root) {
    std::vector<int> data(3001, communicator.rank() == root ? 1000 + root : -1);
    communicator.broadcast(data.data(), data.size() * sizeof(int), root)->wait();
    EXPECT_TRUE(std::ranges::all_of(data, [&](int v) { return v == 1000 + root; }));
  }
}

void many_collectives_complete_in_order(Communicator& communicator) {
  constexpr int kMany = 200;
  std::vector<std::vector<std::int64_t>> buffers;
  for (int k = 0; k < kMany; ++k) buffers.emplace_back(static_cast<std::size_t>(1 + k * 13), k);
  std::vector<PendingWork> pending;
  for (auto& buffer : buffers)
    pending.push_back(communicator.all_reduce(
        buffer.data(), buffer.size(), DType::i64, ReduceOp::sum,
        pending.size() % 2 == 0 ? ExchangeAlgorithm::library : ExchangeAlgorithm::ring));
  pending.back()->wait();
  for (int k = 0; k < kMany; ++k) {
    EXPECT_TRUE(pending[static_cast<std::size_t>(k)]->done());
    EXPECT_EQ(buffers[static_cast<std::size_t>(k)].back(), k * communicator.size());
  }
}

void barrier_waits_for_all(Communicator& communicator) {
  for (int late = 0; late < communicator.size(); ++late) {
    const auto start = std::chrono::steady_clock::now();
    communicator.barrier();
    if (communicator.rank() == late) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    communicator.barrier();
    EXPECT_GE(std::chrono::steady_clock::now() - start,
              std::chrono::milliseconds(communicator.size() > 1 ? 19 : 0));
  }
}

void split_orders_by_key(Communicator& communicator) {
  const int colour = communicator.rank() % 2;
  const auto part = communicator.split(colour, -communicator.rank());
  const int members = (communicator.size() + (colour == 0 ? 1 : 0)) / 2;
  ASSERT_EQ(part->size(), members);
  EXPECT_EQ(part->rank(), members - 1 - communicator.rank() / 2);
  int sum = communicator.rank();
  int right = 0;
  for (int r = colour; r < communicator.size(); r += 2) right += r;
  part->all_reduce(&sum, 1, DType::i32, ReduceOp::sum)->wait();
  EXPECT_EQ(sum, right);
  const std::uint64_t before = communicator.traffic().bytes_sent;
  part->all_reduce(&sum, 1, DType::i32, ReduceOp::sum, ExchangeAlgorithm::tree)->wait();
  EXPECT_EQ(communicator.traffic().bytes_sent, before);
}

void long_messages_arrive_whole(Communicator& communicator, ExchangeAlgorithm algorithm) {
  const std::size_t count = 3'000'001;
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(value_of(communicator.rank(), i));
  communicator.all_reduce(values.data(), count, DType::f32, ReduceOp::sum, algorithm)->wait();
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) {
    double right = 0;
    for (int r = 0; r < communicator.size(); ++r) right += value_of(r, i);
    wrong += values[i] != static_cast<float>(right);
  }
  EXPECT_EQ(wrong, 0U);
}

}  // namespace muster::checks
