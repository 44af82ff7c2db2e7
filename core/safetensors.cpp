#include "core/safetensors.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>

#include "core/checksum.hpp"
#include "core/error.hpp"
#include "core/mapped_file.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little, "tensors are copied as they lie in memory");

constexpr std::pair<DType, const char*> kNames[] = {
    {DType::u8, "U8"},   {DType::i8, "I8"},       {DType::i16, "I16"},   {DType::i32, "I32"},
    {DType::i64, "I64"}, {DType::f16, "F16"},     {DType::bf16, "BF16"}, {DType::f32, "F32"},
    {DType::f64, "F64"}, {DType::boolean, "BOOL"}};
constexpr std::uint64_t kLongestHeader = 100'000'000;  // as the format's own library has it
constexpr const char* kMetadataKey = "__metadata__";

std::optional<DType> dtype_from(const std::string& name) {
  for (const auto& [type, candidate] : kNames) {
    if (name == candidate) return type;
  }
  return std::nullopt;
}

/// Bytes of a tensor; nullopt for a negative dimension or one that overflows.
std::optional<std::uint64_t> byte_count(DType type, const std::vector<std::int64_t>& shape) {
  std::uint64_t count = size_of(type);
  for (const std::int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(count, static_cast<std::uint64_t>(extent), &count))
      return std::nullopt;
  }
  return count;
}

/// A file that is being written; removed unless finished.
class OutputFile {
 public:
  explicit OutputFile(fs::path path) : path_(std::move(path)) {
    descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor_ < 0) throw_storage_error(path_, "write", errno);
  }
  ~OutputFile() {
    if (descriptor_ < 0) return;
    close(descriptor_);
    unlink(path_.c_str());
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes) {
    checksum_.add(bytes);
    while (!bytes.empty()) {
      const ssize_t written =
          ::write(descriptor_, bytes.data(), std::min<std::size_t>(bytes.size(), 1U << 30));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) throw_storage_error(path_, "write", errno);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  std::string finish() {
    if (fsync(descriptor_) != 0) throw_storage_error(path_, "sync", errno);
    if (close(std::exchange(descriptor_, -1)) != 0) throw_storage_error(path_, "write", errno);
    return checksum_.hex();
  }

 private:
  fs::path path_;
  int descriptor_ = -1;
  StreamingChecksum checksum_;
};

[[noreturn]] void throw_damaged(const fs::path& file, const std::string& why) {
  throw Error(ExitCode::data, "not a whole safetensors file: " + why, "write or download it again",
              SourcePlace{file});
}

/// JSON that refuses a key given twice, which nlohmann would silently take the last of.
Json parse_header(const fs::path& file, std::string_view text) {
  std::set<std::string> names;
  std::string repeated;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second)
      repeated = parsed.get<std::string>();
    return true;
  };
  Json header;
  try {
    header = Json::parse(text, watch);
  } catch (const Json::exception& error) {
    throw_damaged(file, std::string("its header is no JSON: ") + error.what());
  }
  if (!header.is_object()) throw_damaged(file, "its header is no JSON object");
  if (!repeated.empty()) throw_damaged(file, "tensor '" + repeated + "' is there twice");
  return header;
}

struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

std::pair<TensorView, Extent> parse_tensor(const fs::path& file, const std::string& name, const Json& json,
                                           std::span<const std::byte> data) {
  const std::string where = "tensor '" + name + "' ";
  TensorView view;
  view.name = name;
  std::vector<std::uint64_t> offsets;
  std::string type_name;
  try {
    type_name = json.at("dtype").get<std::string>();
    for (const Json& extent : json.at("shape")) {
      if (!extent.is_number_unsigned())
        throw_damaged(file, where + "has a shape that is not of whole numbers");
      view.shape.push_back(extent.get<std::int64_t>());
    }
    for (const Json& offset : json.at("data_offsets")) {
      if (!offset.is_number_unsigned()) throw_damaged(file, where + "has offsets that are not whole numbers");
      offsets.push_back(offset.get<std::uint64_t>());
    }
  } catch (const Json::exception& error) {
    throw_damaged(file, where + "is described wrongly: " + error.what());
  }
  const auto type = dtype_from(type_name);
  if (!type)
    throw Error(ExitCode::data,
                where + "has the element type '" + type_name + "', which muster does not read",
                "convert it to F32", SourcePlace{file});
  view.dtype = *type;
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    throw_damaged(file, where + "has offsets that are no range");
  if (offsets[1] > data.size()) throw_damaged(file, where + "ends behind the end of the file");
  const auto size = byte_count(view.dtype, view.shape);
  if (!size || *size != offsets[1] - offsets[0])
    throw_damaged(file, where + "has another size than its shape");
  view.bytes = data.subspan(offsets[0], offsets[1] - offsets[0]);
  return {view, {offsets[0], offsets[1]}};
}

}  // namespace

const char* safetensors_name_of(DType type) {
  for (const auto& [candidate, name] : kNames) {
    if (candidate == type) return name;
  }
  return "?";
}

std::string write_safetensors(const fs::path& file, const std::vector<TensorView>& tensors,
                              const std::map<std::string, std::string>& metadata) {
  // Wide elements first, so that each tensor is aligned to its element wherever the file is mapped.
  std::vector<const TensorView*> ordered;
  for (const TensorView& tensor : tensors) ordered.push_back(&tensor);
  std::stable_sort(ordered.begin(), ordered.end(), [](const TensorView* a, const TensorView* b) {
    return size_of(a->dtype) > size_of(b->dtype);
  });
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  std::uint64_t offset = 0;
  for (const TensorView* tensor : ordered) {
    MUSTER_ASSERT(byte_count(tensor->dtype, tensor->shape) == tensor->bytes.size());
    MUSTER_ASSERT(tensor->name != kMetadataKey && !header.contains(tensor->name));
    header[tensor->name] = Json{{"dtype", safetensors_name_of(tensor->dtype)},
                                {"shape", tensor->shape},
                                {"data_offsets", {offset, offset + tensor->bytes.size()}}};
    offset += tensor->bytes.size();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t header_size = text.size();

  OutputFile output(file);
  output.write(std::as_bytes(std::span(&header_size, 1)));
  output.write(std::as_bytes(std::span(text)));
  for (const TensorView* tensor : ordered) output.write(tensor->bytes);
  return output.finish();
}

SafetensorsContent read_safetensors(std::span<const std::byte> bytes, const fs::path& file) {
  std::uint64_t header_size = 0;
  if (bytes.size() < sizeof header_size) throw_damaged(file, "it is shorter than 8 bytes");
  std::memcpy(&header_size, bytes.data(), sizeof header_size);
  if (header_size > kLongestHeader || header_size > bytes.size() - sizeof header_size)
    throw_damaged(file, "its header ends behind the end of the file");
  const auto text = bytes.subspan(sizeof header_size, header_size);
  const auto data = bytes.subspan(sizeof header_size + header_size);
  const Json header = parse_header(file, {reinterpret_cast<const char*>(text.data()), text.size()});

  SafetensorsContent content;
  std::vector<std::pair<TensorView, Extent>> found;
  for (const auto& [name, json] : header.items()) {
    if (name != kMetadataKey) {
      found.push_back(parse_tensor(file, name, json, data));
      continue;
    }
    if (!json.is_object()) throw_damaged(file, "its metadata is no JSON object");
    for (const auto& [key, value] : json.items()) {
      if (!value.is_string()) throw_damaged(file, "its metadata holds more than text");
      content.metadata[key] = value.get<std::string>();
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.begin, a.second.end) < std::pair(b.second.begin, b.second.end);
  });
  std::uint64_t end = 0;
  for (auto& [view, extent] : found) {
    if (extent.begin < end) throw_damaged(file, "tensor '" + view.name + "' overlaps another");
    if (extent.begin > end) throw_damaged(file, "there is a hole before tensor '" + view.name + "'");
    end = extent.end;
    content.tensors.push_back(std::move(view));
  }
  if (end != data.size()) throw_damaged(file, "there are bytes after the last tensor");
  return content;
}

struct SafetensorsFile::Mapping {
  MappedFile file;
  SafetensorsContent content;
  std::map<std::string, std::size_t> index;

  explicit Mapping(const fs::path& path) : file(path), content(read_safetensors(file.bytes(), path)) {
    for (std::size_t i = 0; i < content.tensors.size(); ++i) index[content.tensors[i].name] = i;
  }
};

SafetensorsFile::SafetensorsFile(const fs::path& file) : mapping_(std::make_unique<Mapping>(file)) {}
SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;

const std::vector<TensorView>& SafetensorsFile::tensors() const { return mapping_->content.tensors; }

const TensorView* SafetensorsFile::find(const std::string& name) const {
  const auto found = mapping_->index.find(name);
  return found == mapping_->index.end() ? nullptr : &mapping_->content.tensors[found->second];
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return mapping_->content.metadata;
}

std::string SafetensorsFile::checksum() const { return checksum128(mapping_->file.bytes()); }

}  // namespace muster
