#pragma once
/// The k largest of n keys, exactly, in two passes over them.

#include <cstdint>
#include <span>

#include "workloads/common/compression/packed_buffer.hpp"

namespace muster::workloads {

/// n keys of 32 bits, each with a word that goes with it.
class Keys {
 public:
  virtual ~Keys() = default;
  virtual std::int64_t size() const = 0;
  /// Of a word.
  virtual std::uint32_t key_of(std::uint32_t word) const = 0;
  /// See CompressionKernels::collect.
  virtual std::int64_t collect(std::uint32_t floor, std::int64_t capacity, std::uint32_t* index,
                               std::uint32_t* word) = 0;
  virtual std::int64_t window(std::uint32_t low, std::uint32_t high, std::int64_t capacity,
                              std::uint32_t* word, std::int64_t* above) = 0;
  virtual std::int64_t count(std::uint32_t floor) = 0;
  /// Between which keys the k-th largest probably lies; a guess that is wrong costs time alone.
  struct Bracket {
    std::uint32_t low, high;
  };
  virtual Bracket guess(std::int64_t k) = 0;
};

/// Keeps its memory for the next call.
class Selection {
 public:
  /// Finds the 0 < k <= n largest; of equal keys those of the lowest index. index() and words() are in order
  /// of the index.
  void select(Keys& keys, std::int64_t k);

  std::span<const std::uint32_t> index() const { return index_.part(0, kept_); }
  std::span<const std::uint32_t> words() const { return words_.part(0, kept_); }

 private:
  std::uint32_t threshold_of(Keys& keys, std::int64_t k);
  void drop_ties(const Keys& keys, std::uint32_t threshold, std::int64_t k);

  GrowingBuffer<std::uint32_t> index_, words_;
  std::size_t kept_ = 0;
};

}  // namespace muster::workloads
