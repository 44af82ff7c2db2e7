#pragma once
/// Parameter values: what a TOML file, a task file and a workload exchange.

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace muster {

/// One parameter's value. Integers and floats stay apart; a list holds values of one kind.
class Value {
 public:
  using List = std::vector<Value>;

  Value() : data_(false) {}
  Value(bool v) : data_(v) {}                      // NOLINT(google-explicit-constructor)
  Value(int v) : data_(std::int64_t{v}) {}         // NOLINT(google-explicit-constructor)
  Value(std::int64_t v) : data_(v) {}              // NOLINT(google-explicit-constructor)
  Value(double v) : data_(v) {}                    // NOLINT(google-explicit-constructor)
  Value(std::string v) : data_(std::move(v)) {}    // NOLINT(google-explicit-constructor)
  Value(const char* v) : data_(std::string(v)) {}  // NOLINT(google-explicit-constructor)
  Value(List v) : data_(std::move(v)) {}           // NOLINT(google-explicit-constructor)

  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_int() const { return std::holds_alternative<std::int64_t>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_list() const { return std::holds_alternative<List>(data_); }

  /// Each throws Error(internal) where the value is of another kind; as_float takes integers too.
  bool as_bool() const;
  std::int64_t as_int() const;
  double as_float() const;
  const std::string& as_string() const;
  const List& as_list() const;

  /// "boolean", "integer", "float", "string", "list": as error messages name it.
  const char* kind() const;

  /// Canonical text: floats in shortest round-trip form and never spelled like an integer, strings
  /// JSON-quoted. Equal values give equal text on every machine; task ids hash it.
  std::string canonical() const;

  /// Text for a person or a command's argument: as canonical, strings unquoted.
  std::string text() const;

  bool operator==(const Value&) const = default;

 private:
  std::variant<bool, std::int64_t, double, std::string, List> data_;
};

/// Parameters by dotted name ("exchange.algorithm").
using Parameters = std::map<std::string, Value>;

}  // namespace muster
