#include "core/weights/torch_tensors.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "core/error.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;
using Storages = std::map<std::string_view, std::span<const std::byte>>;

constexpr std::array<std::pair<std::string_view, DType>, 10> kStorageTypes{{
    {"torch.ByteStorage", DType::u8},
    {"torch.CharStorage", DType::i8},
    {"torch.ShortStorage", DType::i16},
    {"torch.IntStorage", DType::i32},
    {"torch.LongStorage", DType::i64},
    {"torch.HalfStorage", DType::f16},
    {"torch.BFloat16Storage", DType::bf16},
    {"torch.FloatStorage", DType::f32},
    {"torch.DoubleStorage", DType::f64},
    {"torch.BoolStorage", DType::boolean},
}};

/// Beyond storages and tensors: what stands in checkpoints beside the weights. All of it is only looked at.
constexpr std::string_view kNames[] = {
    "torch.ByteStorage",
    "torch.CharStorage",
    "torch.ShortStorage",
    "torch.IntStorage",
    "torch.LongStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.FloatStorage",
    "torch.DoubleStorage",
    "torch.BoolStorage",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "torch.device",
    "torch.float16",
    "torch.bfloat16",
    "torch.float32",
    "torch.float64",
    "torch.int64",
    "torch.serialization._get_layout",
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "argparse.Namespace",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "_codecs.encode",
};

/// Tensors may share storages (tied weights), but a small file shall not claim a large memory.
constexpr std::uint64_t kMostSharing = 16;
/// A dict may be named often, but to look through them all shall stay linear in the file's size.
constexpr std::size_t kMostEntries = 4'000'000;
constexpr std::size_t kMostDimensions = 5;
constexpr std::int64_t kLongestExtent = std::int64_t{1} << 40;

struct Strided {
  std::uint64_t offset = 0;  ///< elements
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> strides;

  std::uint64_t elements() const {
    return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
  }
  bool empty() const { return std::find(shape.begin(), shape.end(), 0) != shape.end(); }
  bool row_major() const {
    std::uint64_t step = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
      if (shape[i] != 1 && strides[i] != step) return false;
      step *= shape[i];
    }
    return true;
  }
};

std::vector<std::uint64_t> extents_of(const PickleValue& value, const std::string& what,
                                      const fs::path& file) {
  const PickleList* list = value.list();
  if (const PickleObject* object = value.object(); object && object->callee == "torch.Size") {
    list = object->arguments->size() == 1 ? (*object->arguments)[0].list() : nullptr;
  }
  if (!list || list->size() > kMostDimensions) refuse_torch_file(file, what + " has an odd shape");
  std::vector<std::uint64_t> extents;
  for (const PickleValue& extent : *list) {
    if (!extent.integer() || *extent.integer() < 0 || *extent.integer() > kLongestExtent)
      refuse_torch_file(file, what + " has an odd shape");
    extents.push_back(static_cast<std::uint64_t>(*extent.integer()));
  }
  return extents;
}

/// Refuses what reaches beyond the storage's `elements`, and elements that lie on each other.
void check_layout(const Strided& layout, std::uint64_t elements, const std::string& what,
                  const fs::path& file) {
  if (layout.shape.size() != layout.strides.size()) refuse_torch_file(file, what + " has an odd shape");
  if (layout.offset > elements) refuse_torch_file(file, what + " begins behind its storage");
  if (layout.empty()) return;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> by_stride;
  for (std::size_t i = 0; i < layout.shape.size(); ++i) {
    if (layout.shape[i] > 1) by_stride.emplace_back(layout.strides[i], layout.shape[i]);
  }
  std::sort(by_stride.begin(), by_stride.end());
  std::uint64_t reach = 1;  // elements from the first to the last, so far
  for (const auto& [stride, extent] : by_stride) {
    if (stride < reach)
      refuse_torch_file(file, what + " has elements that share memory: clone it before it is saved");
    std::uint64_t span = 0;
    if (__builtin_mul_overflow(extent - 1, stride, &span) || __builtin_add_overflow(reach, span, &reach))
      refuse_torch_file(file, what + " is larger than its storage");
  }
  if (reach > elements - layout.offset) refuse_torch_file(file, what + " is larger than its storage");
}

std::vector<std::byte> row_major_copy(const Strided& layout, std::span<const std::byte> storage,
                                      std::size_t width) {
  std::vector<std::byte> copy(layout.elements() * width);
  std::vector<std::uint64_t> at(layout.shape.size(), 0);
  std::uint64_t from = layout.offset;
  for (std::size_t to = 0; to < copy.size(); to += width) {
    std::memcpy(copy.data() + to, storage.data() + from * width, width);
    for (std::size_t i = at.size(); i-- > 0;) {
      from += layout.strides[i];
      if (++at[i] < layout.shape[i]) break;
      from -= layout.strides[i] * layout.shape[i];
      at[i] = 0;
    }
  }
  return copy;
}

/// The arguments of the call that makes a tensor; a parameter is the tensor that it wraps. nullptr for all
/// else.
const PickleList* tensor_arguments(const PickleValue& value) {
  const PickleObject* object = value.object();
  if (object && object->callee == "torch._utils._rebuild_parameter" && !object->arguments->empty())
    object = (*object->arguments)[0].object();
  if (!object) return nullptr;
  const bool tensor =
      object->callee == "torch._utils._rebuild_tensor" || object->callee == "torch._utils._rebuild_tensor_v2";
  return tensor ? object->arguments : nullptr;
}

/// The entries of a dict, or of an OrderedDict; empty for all else.
std::vector<std::pair<std::string_view, const PickleValue*>> entries_of(const PickleValue& value) {
  std::vector<std::pair<std::string_view, const PickleValue*>> entries;
  const PickleDict* dict = value.dict();
  if (const PickleObject* object = value.object(); object && object->callee == "collections.OrderedDict") {
    dict = &object->items;
    // Python 2 gives the pairs to the call.
    const PickleList* pairs = object->arguments->size() == 1 ? (*object->arguments)[0].list() : nullptr;
    for (std::size_t i = 0; pairs && i < pairs->size(); ++i) {
      const PickleList* pair = (*pairs)[i].list();
      if (pair && pair->size() == 2 && (*pair)[0].text())
        entries.emplace_back(*(*pair)[0].text(), &(*pair)[1]);
    }
  }
  if (!dict) return entries;
  for (const auto& [key, item] : dict->items) {
    if (key.text()) entries.emplace_back(*key.text(), &item);
  }
  return entries;
}

using NamedValues = std::vector<std::pair<std::string_view, const PickleValue*>>;

/// The state dict and where it stands.
std::pair<NamedValues, std::string> find_state_dict(const PickleValue& root, const fs::path& file) {
  const auto is_tensor = [](const auto& entry) { return tensor_arguments(*entry.second) != nullptr; };
  const NamedValues top = entries_of(root);
  if (std::any_of(top.begin(), top.end(), is_tensor)) {
    NamedValues tensors;
    std::copy_if(top.begin(), top.end(), std::back_inserter(tensors), is_tensor);
    return {tensors, ""};
  }
  std::vector<std::pair<std::string_view, NamedValues>> found;
  std::size_t entries = 0;
  for (const auto& [name, value] : top) {
    NamedValues inner = entries_of(*value);
    entries += inner.size();
    if (entries > kMostEntries) refuse_torch_file(file, "it names the same dicts again and again");
    if (!inner.empty() && std::all_of(inner.begin(), inner.end(), is_tensor)) found.emplace_back(name, inner);
  }
  if (found.empty()) refuse_torch_file(file, "there is no state dict in it: save model.state_dict()");
  if (found.size() == 1) return {found[0].second, std::string(found[0].first)};
  std::string names;
  for (const std::string_view usual : {"state_dict", "model", "model_state_dict", "net"}) {
    for (const auto& [name, inner] : found) {
      if (name == usual) return {inner, std::string(name)};
    }
  }
  for (const auto& [name, inner] : found) names += (names.empty() ? "'" : ", '") + std::string(name) + "'";
  refuse_torch_file(file, "it holds several state dicts (" + names + "): save the one that is meant");
}

}  // namespace

void refuse_torch_file(const fs::path& file, const std::string& why) {
  throw Error(ExitCode::data, "cannot read the weights: " + why,
              "write it with torch.save(model.state_dict(), …), or as .safetensors", SourcePlace{file});
}

PickleRules torch_pickle_rules(const fs::path& file) {
  return {file.string(), kNames,
          "save model.state_dict() instead of the model, or convert it to .safetensors"};
}

TorchStorage torch_storage_of(const PickleReference& reference, const fs::path& file) {
  const PickleList* id = reference.id.list();
  if (!id || (id->size() != 5 && id->size() != 6) || !(*id)[0].text() || *(*id)[0].text() != "storage" ||
      !(*id)[2].text() || !(*id)[4].integer()) {
    refuse_torch_file(file, "a storage is described in an unknown way");
  }
  if (id->size() == 6 && !std::holds_alternative<std::monostate>((*id)[5].data))
    refuse_torch_file(file, "a storage is a view of another: save it with a newer torch");
  TorchStorage storage;
  const auto type = std::find_if(kStorageTypes.begin(), kStorageTypes.end(),
                                 [&](const auto& known) { return (*id)[1].is_name(known.first); });
  if (type == kStorageTypes.end()) refuse_torch_file(file, "a storage has elements of an unknown type");
  storage.dtype = type->second;
  storage.key = *(*id)[2].text();
  const std::int64_t elements = *(*id)[4].integer();
  if (elements < 0 || elements > (std::int64_t{1} << 48))
    refuse_torch_file(file, "storage '" + std::string(storage.key) + "' has an odd size");
  storage.elements = static_cast<std::uint64_t>(elements);
  return storage;
}

TorchTensors collect_torch_tensors(const PickleValue& root, const Storages& storages, std::uint64_t file_size,
                                   const fs::path& file) {
  TorchTensors result;
  NamedValues state;
  std::tie(state, result.entry) = find_state_dict(root, file);
  std::set<std::string_view> names;
  std::uint64_t total = 0;
  for (const auto& [name, value] : state) {
    const std::string what = "tensor '" + std::string(name) + "'";
    if (!names.insert(name).second) refuse_torch_file(file, what + " is there twice");
    const PickleList& arguments = *tensor_arguments(*value);
    if (arguments.size() < 4 || !arguments[0].reference() || !arguments[1].integer() ||
        *arguments[1].integer() < 0) {
      refuse_torch_file(file, what + " is described in an unknown way");
    }
    const TorchStorage storage = torch_storage_of(*arguments[0].reference(), file);
    const auto bytes = storages.find(storage.key);
    if (bytes == storages.end() || bytes->second.size() < storage.bytes())
      refuse_torch_file(file, "the storage of " + what + " is missing or cut");
    const Strided layout{static_cast<std::uint64_t>(*arguments[1].integer()),
                         extents_of(arguments[2], what, file), extents_of(arguments[3], what, file)};
    check_layout(layout, storage.elements, what, file);
    const std::size_t width = size_of(storage.dtype);
    total += layout.elements() * width;
    if (total > kMostSharing * file_size)
      refuse_torch_file(file, "its tensors name the same bytes again and again");
    TensorView view{std::string(name), storage.dtype, {layout.shape.begin(), layout.shape.end()}, {}};
    if (layout.row_major()) {
      view.bytes = bytes->second.subspan(layout.offset * width, layout.elements() * width);
    } else {
      view.bytes = result.copies.emplace_back(row_major_copy(layout, bytes->second, width));
    }
    result.tensors.push_back(std::move(view));
  }
  return result;
}

}  // namespace muster
