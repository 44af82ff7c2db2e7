#include "workloads/common/data/numpy_bytes.hpp"

#include <string_view>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

constexpr std::string_view kNames[] = {"numpy.core.multiarray._reconstruct",
                                       "numpy._core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype",
                                       "_codecs.encode"};
constexpr const char* kAdvice =
    "it must be a batch of CIFAR's Python layout; fetch it again, or use the binary layout";

[[noreturn]] void refuse(const std::string& place, const std::string& why) {
  throw Error(ExitCode::data, "cannot read '" + place + "': " + why, kAdvice);
}

bool is_byte_dtype(const PickleValue& value) {
  const PickleObject* object = value.object();
  if (!object || object->callee != "numpy.dtype" || object->arguments->empty()) return false;
  const std::string_view* type = (*object->arguments)[0].text();
  return type && (*type == "u1" || *type == "|u1");
}

// Python 3 writes bytes in protocol 2 as text whose code points are the bytes.
Bytes latin1(std::string_view utf8, const std::string& place) {
  Bytes out;
  out.reserve(utf8.size());
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto c = static_cast<unsigned char>(utf8[i]);
    if (c < 0x80) {
      out.push_back(c);
    } else if ((c == 0xC2 || c == 0xC3) && i + 1 < utf8.size()) {
      out.push_back(static_cast<std::uint8_t>((c & 3) << 6 | (static_cast<unsigned char>(utf8[++i]) & 0x3F)));
    } else {
      refuse(place, "bytes are encoded in an unknown way");
    }
  }
  return out;
}

Bytes bytes_of(const PickleValue& value, const std::string& place) {
  if (const std::string_view* text = value.text()) return {text->begin(), text->end()};
  const PickleObject* object = value.object();
  if (!object || object->callee != "_codecs.encode" || object->arguments->size() != 2 ||
      !(*object->arguments)[0].text()) {
    refuse(place, "an array has no bytes");
  }
  return latin1(*(*object->arguments)[0].text(), place);
}

}  // namespace

PickleRules batch_pickle_rules(const std::string& place) { return {place, kNames, kAdvice}; }

NumpyBytes numpy_bytes(const PickleValue& value, const std::string& place) {
  const PickleObject* object = value.object();
  if (!object || !object->callee.ends_with("._reconstruct"))
    refuse(place, "there is something else than an array");
  // Version, shape, dtype, whether column-major, content.
  const PickleList* state = object->state.list();
  const PickleList* shape = state && state->size() == 5 ? (*state)[1].list() : nullptr;
  if (!shape || !is_byte_dtype((*state)[2]) || !(*state)[3].boolean() || *(*state)[3].boolean())
    refuse(place, "an array is not of row-major bytes");
  NumpyBytes array{{}, bytes_of((*state)[4], place)};
  std::uint64_t elements = 1;
  for (const PickleValue& extent : *shape) {
    if (!extent.integer() || *extent.integer() < 0 || *extent.integer() > (1 << 30) ||
        elements > array.data.size()) {
      refuse(place, "an array has another size than its shape says");
    }
    array.shape.push_back(*extent.integer());
    elements *= static_cast<std::uint64_t>(*extent.integer());
  }
  if (elements != array.data.size()) refuse(place, "an array has another size than its shape says");
  return array;
}

}  // namespace muster::workloads
