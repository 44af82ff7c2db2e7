#include "core/value.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "core/error.hpp"

namespace muster {

namespace {

[[noreturn]] void throw_kind(const char* wanted, const Value& value) {
  throw Error(ExitCode::internal,
              std::string("a parameter is read as ") + wanted + " but holds the " + value.kind() + " " +
                  value.canonical(),
              "the workload's schema and the code that reads the parameter disagree");
}

std::string quote(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (value == 0) return "0.0";  // -0.0 equals 0.0, so their text must too
  std::array<char, 40> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), result.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

bool Value::as_bool() const {
  if (!is_bool()) throw_kind("a boolean", *this);
  return std::get<bool>(data_);
}

std::int64_t Value::as_int() const {
  if (!is_int()) throw_kind("an integer", *this);
  return std::get<std::int64_t>(data_);
}

double Value::as_float() const {
  if (is_int()) return static_cast<double>(std::get<std::int64_t>(data_));
  if (!is_float()) throw_kind("a float", *this);
  return std::get<double>(data_);
}

const std::string& Value::as_string() const {
  if (!is_string()) throw_kind("a string", *this);
  return std::get<std::string>(data_);
}

const Value::List& Value::as_list() const {
  if (!is_list()) throw_kind("a list", *this);
  return std::get<List>(data_);
}

const char* Value::kind() const {
  if (is_bool()) return "boolean";
  if (is_int()) return "integer";
  if (is_float()) return "float";
  if (is_string()) return "string";
  return "list";
}

std::string Value::canonical() const {
  if (is_bool()) return std::get<bool>(data_) ? "true" : "false";
  if (is_int()) return std::to_string(std::get<std::int64_t>(data_));
  if (is_float()) return float_text(std::get<double>(data_));
  if (is_string()) return quote(std::get<std::string>(data_));
  std::string text = "[";
  for (const Value& element : std::get<List>(data_)) {
    if (text.size() > 1) text += ", ";
    text += element.canonical();
  }
  return text + "]";
}

std::string Value::text() const { return is_string() ? std::get<std::string>(data_) : canonical(); }

}  // namespace muster
