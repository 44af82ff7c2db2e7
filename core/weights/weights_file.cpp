#include "core/weights/weights_file.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "core/error.hpp"
#include "core/mapped_file.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

/// A header's length of less than 2^56 and then a JSON object.
bool looks_like_safetensors(std::span<const std::byte> bytes) {
  return bytes.size() > 8 && bytes[7] == std::byte{0} && bytes[8] == std::byte{'{'};
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    const int more = lead < 0x80 ? 0 : lead >= 0xC2 && lead < 0xE0 ? 1 : lead >= 0xE0 && lead < 0xF0 ? 2 : 3;
    if (lead >= 0xF5 || (lead >= 0x80 && lead < 0xC2)) return false;
    std::uint32_t point = more == 0 ? lead : lead & (0x3FU >> more);
    for (int k = 0; k < more; ++k, ++i) {
      if (i == text.size() || (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return false;
      point = point << 6 | (static_cast<unsigned char>(text[i]) & 0x3FU);
    }
    const bool overlong = (more == 2 && point < 0x800) || (more == 3 && point < 0x10000);
    if (overlong || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return false;
  }
  return true;
}

/// Names are printed on terminals and written into JSON.
void check_names(const std::vector<TensorView>& tensors, const fs::path& file) {
  for (const TensorView& tensor : tensors) {
    const bool plain = std::none_of(tensor.name.begin(), tensor.name.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (tensor.name == "__metadata__" || !plain || !is_utf8(tensor.name))
      throw Error(ExitCode::data, "a tensor has a name that is no plain text", "name it anew",
                  SourcePlace{file});
  }
}

}  // namespace

const char* to_string(WeightsFormat format) {
  switch (format) {
    case WeightsFormat::safetensors:
      return "safetensors";
    case WeightsFormat::torch_zip:
      return "torch.save, zip";
    case WeightsFormat::torch_series:
      return "torch.save before 1.6";
  }
  return "?";
}

WeightsContent read_weights(std::span<const std::byte> bytes, const fs::path& file) {
  WeightsContent content;
  if (looks_like_torch_zip(bytes)) {
    content.format = WeightsFormat::torch_zip;
    content.torch = read_torch_zip(bytes, file);
  } else if (looks_like_torch_series(bytes)) {
    content.format = WeightsFormat::torch_series;
    content.torch = read_torch_series(bytes, file);
  } else if (looks_like_safetensors(bytes) || file.extension() == ".safetensors") {
    SafetensorsContent read = read_safetensors(bytes, file);
    content.torch.tensors = std::move(read.tensors);
    content.metadata = std::move(read.metadata);
  } else {
    throw Error(ExitCode::data, "it is neither a .safetensors file nor one that torch.save wrote",
                "give a .safetensors, .pth, .pt or .th", SourcePlace{file});
  }
  check_names(content.torch.tensors, file);
  return content;
}

struct WeightsFile::Mapping {
  fs::path path;
  MappedFile file;
  WeightsContent content;

  explicit Mapping(const fs::path& given)
      : path(given), file(given), content(read_weights(file.bytes(), given)) {}
};

WeightsFile::WeightsFile(const fs::path& file) : mapping_(std::make_unique<Mapping>(file)) {}
WeightsFile::~WeightsFile() = default;
WeightsFile::WeightsFile(WeightsFile&&) noexcept = default;
WeightsFile& WeightsFile::operator=(WeightsFile&&) noexcept = default;

const fs::path& WeightsFile::path() const { return mapping_->path; }
WeightsFormat WeightsFile::format() const { return mapping_->content.format; }
const std::vector<TensorView>& WeightsFile::tensors() const { return mapping_->content.torch.tensors; }
const std::map<std::string, std::string>& WeightsFile::metadata() const { return mapping_->content.metadata; }
const std::string& WeightsFile::entry() const { return mapping_->content.torch.entry; }

}  // namespace muster
