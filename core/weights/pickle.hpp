#pragma once
/// Reads Python's pickles as data. Nothing is imported and nothing is called: a pickle's names must be on the
/// caller's list, and what would have been a call is kept as its callee's name and its arguments.
/// Format: docs.python.org/3/library/pickletools.html.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace muster {

struct PickleDict;
struct PickleObject;
struct PickleReference;
class PickleValue;
using PickleList = std::vector<PickleValue>;

/// "module.attribute", one of the allowed.
struct PickleName {
  std::string_view full;
};

/// A whole number of more than 64 bits, little endian, two's complement.
struct PickleLong {
  std::string_view bytes;
};

/// A value of a Pickle, and valid as long as it and its bytes. Strings and byte strings are one kind, lists
/// and tuples another. Containers may hold themselves, as in Python: follow them to a known depth alone.
class PickleValue {
 public:
  std::variant<std::monostate, bool, std::int64_t, double, std::string_view, PickleName, PickleLong,
               PickleList*, PickleDict*, PickleObject*, PickleReference*>
      data;

  const bool* boolean() const { return std::get_if<bool>(&data); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&data); }
  const std::string_view* text() const { return std::get_if<std::string_view>(&data); }
  const PickleLong* large_integer() const { return std::get_if<PickleLong>(&data); }
  const PickleList* list() const { return held<PickleList>(); }
  const PickleDict* dict() const { return held<PickleDict>(); }
  const PickleObject* object() const { return held<PickleObject>(); }
  const PickleReference* reference() const { return held<PickleReference>(); }
  bool is_name(std::string_view full) const;

 private:
  template <class T>
  const T* held() const {
    const auto* pointer = std::get_if<T*>(&data);
    return pointer ? *pointer : nullptr;
  }
};

/// In the pickle's order. A text is a key once.
struct PickleDict {
  std::vector<std::pair<PickleValue, PickleValue>> items;
  std::map<std::string_view, std::size_t> index;  ///< of the keys that are texts

  const PickleValue* find(std::string_view key) const;  ///< nullptr where there is none
};

/// What a call would have made: `callee`(arguments…), then its state and its items.
struct PickleObject {
  std::string_view callee;
  const PickleList* arguments = nullptr;  ///< never null in a Pickle
  PickleValue state;
  PickleDict items;
};

/// What lies outside of the pickle, as torch's storages do.
struct PickleReference {
  PickleValue id;
};

/// What the pickle may name, and how its reader explains itself.
struct PickleRules {
  std::string place;                        ///< names the file in messages
  std::span<const std::string_view> names;  ///< "module.attribute"; outlives the Pickle
  std::string advice = "write or fetch it again";
};

/// Protocols 2 to 4, as far as data need them. Not to be moved: values point into it.
class Pickle {
 public:
  /// Reads the pickle with which `bytes` begin; they must outlive this. Throws Error(data) for a name that is
  /// not allowed, an opcode that data do not need, a key given twice, a pickle that ends early or is of more
  /// than four million values.
  Pickle(std::span<const std::byte> bytes, const PickleRules& rules);
  Pickle(const Pickle&) = delete;
  Pickle& operator=(const Pickle&) = delete;

  const PickleValue& value() const { return value_; }
  std::size_t size() const { return size_; }  ///< bytes of it
  const std::deque<PickleReference>& references() const { return references_; }

 private:
  friend class Unpickler;
  PickleValue value_;
  std::size_t size_ = 0;
  std::deque<PickleList> lists_;
  std::deque<PickleDict> dicts_;
  std::deque<PickleObject> objects_;
  std::deque<PickleReference> references_;
};

}  // namespace muster
