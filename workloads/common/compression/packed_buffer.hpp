#pragma once
/// Bytes that grow without being cleared first.

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace muster::workloads {

/// A vector of trivial elements whose new ones are undefined. Memory is kept when it shrinks.
template <class Element>
class GrowingBuffer {
 public:
  std::size_t size() const { return size_; }
  Element* data() { return data_.get(); }
  const Element* data() const { return data_.get(); }
  std::span<const Element> part(std::size_t first, std::size_t count) const {
    return {data_.get() + first, count};
  }

  void clear() { size_ = 0; }
  /// Keeps what is there; returns the first new element.
  Element* extend(std::size_t count) {
    if (size_ + count > capacity_) {
      const std::size_t grown = size_ + count + (size_ + count) / 4;
      auto moved = std::make_unique_for_overwrite<Element[]>(grown);
      if (size_ > 0) std::memcpy(moved.get(), data_.get(), size_ * sizeof(Element));
      data_ = std::move(moved);
      capacity_ = grown;
    }
    size_ += count;
    return data_.get() + size_ - count;
  }
  /// Gives back the last ones.
  void drop(std::size_t count) { size_ -= count; }
  Element* resize(std::size_t count) {
    clear();
    return extend(count);
  }

 private:
  std::unique_ptr<Element[]> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

using PackedBuffer = GrowingBuffer<std::byte>;

}  // namespace muster::workloads
