#pragma once
/// Reads the pickles in which CIFAR's Python layout comes: dicts of strings, numbers, lists and byte arrays.
/// An allow-list, not an unpickler: nothing is imported or called. The four names that numpy's arrays need
/// (`ndarray`, `dtype`, `_reconstruct`, and `_codecs.encode`) are understood as data; any other name is
/// refused.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "workloads/common/data/archive.hpp"

namespace muster::workloads {

class PickleValue;
using PickleList = std::vector<PickleValue>;
using PickleDict = std::map<std::string, PickleValue>;

/// A numpy array of bytes (dtype u1), in row-major order.
struct PickleArray {
  std::vector<std::int64_t> shape;
  Bytes data;
};

/// What stands on the reader's stack only: a mark, and the names that are understood.
enum class PickleToken { mark, reconstruct, ndarray, dtype, encode };

/// A value; strings and byte strings are one kind. Containers are shared, as in Python.
class PickleValue {
 public:
  std::variant<std::monostate, bool, std::int64_t, std::string, std::shared_ptr<PickleList>,
               std::shared_ptr<PickleDict>, std::shared_ptr<PickleArray>, PickleToken>
      data;

  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&data); }
  const std::string* text() const { return std::get_if<std::string>(&data); }
  const PickleList* list() const { return held<PickleList>(); }
  const PickleDict* dict() const { return held<PickleDict>(); }
  const PickleArray* array() const { return held<PickleArray>(); }

 private:
  template <class T>
  const T* held() const {
    const auto* pointer = std::get_if<std::shared_ptr<T>>(&data);
    return pointer ? pointer->get() : nullptr;
  }
};

/// Protocols 0 to 4 as far as such files use them. `place` names the file in messages.
/// Throws Error(data) for an opcode or name outside the list, and for a pickle that ends early.
PickleValue read_pickle(const Bytes& bytes, const std::string& place);

}  // namespace muster::workloads
