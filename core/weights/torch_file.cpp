#include "core/weights/torch_file.hpp"

#include <cstring>
#include <map>
#include <set>
#include <string_view>

#include "core/error.hpp"
#include "core/weights/pickle.hpp"
#include "core/weights/torch_tensors.hpp"
#include "core/weights/zip_entries.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;
using Bytes = std::span<const std::byte>;

/// 0x1950a86a20f9469cfc6c, with which a series begins, little endian.
constexpr std::string_view kSeriesMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr std::int64_t kSeriesVersion = 1001;

std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Element counts that pickles and the series of storages must agree on.
std::map<std::string_view, TorchStorage> storages_of(const Pickle& pickle, const fs::path& file) {
  std::map<std::string_view, TorchStorage> storages;
  for (const PickleReference& reference : pickle.references()) {
    const TorchStorage storage = torch_storage_of(reference, file);
    const auto [known, is_new] = storages.emplace(storage.key, storage);
    if (!is_new && (known->second.elements != storage.elements || known->second.dtype != storage.dtype))
      refuse_torch_file(file, "storage '" + std::string(storage.key) + "' is described in two ways");
  }
  return storages;
}

}  // namespace

bool looks_like_torch_zip(Bytes bytes) { return text_of(bytes).starts_with("PK\x03\x04"); }

bool looks_like_torch_series(Bytes bytes) {
  return bytes.size() > 14 && text_of(bytes)[0] == '\x80' && text_of(bytes).substr(2, 2) == "\x8a\x0a" &&
         text_of(bytes).substr(4, 10) == kSeriesMagic;
}

TorchTensors read_torch_zip(Bytes bytes, const fs::path& file) {
  const auto entries = read_zip_entries(bytes, file);
  std::string folder;
  for (const auto& [name, entry] : entries) {
    const std::size_t slash = name.find('/');
    if (slash != std::string::npos && name.substr(slash) == "/data.pkl") folder = name.substr(0, slash + 1);
  }
  if (folder.empty()) refuse_torch_file(file, "it is a zip file, but none that torch.save wrote");
  const auto order = entries.find(folder + "byteorder");
  if (order != entries.end() && text_of(order->second.bytes) != "little")
    refuse_torch_file(file, "it was written on a big-endian machine");
  const ZipEntry& data = entries.at(folder + "data.pkl");
  check_crc(folder + "data.pkl", data, file);
  const Pickle pickle(data.bytes, torch_pickle_rules(file));
  if (pickle.size() != data.bytes.size()) refuse_torch_file(file, "there are bytes after its pickle");

  std::map<std::string_view, Bytes> storages;
  for (const PickleReference& reference : pickle.references()) {
    const TorchStorage storage = torch_storage_of(reference, file);
    const std::string name = folder + "data/" + std::string(storage.key);
    const auto entry = entries.find(name);
    if (entry == entries.end()) refuse_torch_file(file, "its storage '" + name + "' is missing");
    if (entry->second.bytes.size() < storage.bytes())
      refuse_torch_file(file, "its storage '" + name + "' is cut");
    if (storages.emplace(storage.key, entry->second.bytes).second) check_crc(name, entry->second, file);
  }
  return collect_torch_tensors(pickle.value(), storages, bytes.size(), file);
}

TorchTensors read_torch_series(Bytes bytes, const fs::path& file) {
  const PickleRules rules = torch_pickle_rules(file);
  std::size_t at = 0;
  const auto rest = [&] { return bytes.subspan(at); };
  const Pickle magic(rest(), rules);
  at += magic.size();
  const Pickle version(rest(), rules);
  at += version.size();
  const Pickle system(rest(), rules);
  at += system.size();
  if (!magic.value().large_integer() || magic.value().large_integer()->bytes != kSeriesMagic ||
      !version.value().integer() || *version.value().integer() != kSeriesVersion) {
    refuse_torch_file(file, "it does not begin as torch.save's files do");
  }
  const PickleValue* little = system.value().dict() ? system.value().dict()->find("little_endian") : nullptr;
  if (!little || !little->boolean() || !*little->boolean())
    refuse_torch_file(file, "it was written on a big-endian machine");
  const Pickle pickle(rest(), rules);
  at += pickle.size();
  const Pickle keys(rest(), rules);
  at += keys.size();
  if (!keys.value().list()) refuse_torch_file(file, "the list of its storages is damaged");

  const auto known = storages_of(pickle, file);
  std::map<std::string_view, Bytes> storages;
  for (const PickleValue& key : *keys.value().list()) {
    const auto storage = key.text() ? known.find(*key.text()) : known.end();
    if (storage == known.end()) refuse_torch_file(file, "it lists a storage that no tensor has");
    const std::string what = "storage '" + std::string(storage->first) + "'";
    std::uint64_t elements = 0;
    if (rest().size() < sizeof elements) refuse_torch_file(file, what + " is missing");
    std::memcpy(&elements, rest().data(), sizeof elements);
    at += sizeof elements;
    if (elements != storage->second.elements)
      refuse_torch_file(file, what + " has another size than it says");
    if (storage->second.bytes() > rest().size()) refuse_torch_file(file, what + " is cut");
    if (!storages.emplace(storage->first, rest().first(storage->second.bytes())).second)
      refuse_torch_file(file, what + " is there twice");
    at += storage->second.bytes();
  }
  if (at != bytes.size()) refuse_torch_file(file, "there are bytes after its last storage");
  return collect_torch_tensors(pickle.value(), storages, bytes.size(), file);
}

}  // namespace muster
