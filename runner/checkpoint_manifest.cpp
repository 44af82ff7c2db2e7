#include "runner/checkpoint_manifest.hpp"

#include <nlohmann/json.hpp>

#include "core/checksum.hpp"
#include "core/error.hpp"

namespace muster {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;

[[noreturn]] void throw_damaged(const std::string& why) {
  throw Error(ExitCode::checkpoint, "manifest.json is damaged: " + why, "the checkpoint before it is used");
}

Json body_of(const CheckpointManifest& manifest) {
  Json files = Json::object();
  for (const auto& [name, file] : manifest.files)
    files[name] = {{"bytes", file.bytes}, {"xxh3_128", file.checksum}};
  return Json{{"format", kFormat},
              {"step", manifest.step},
              {"attempt", manifest.attempt},
              {"ranks", manifest.ranks},
              {"metric_rows", manifest.metric_rows},
              {"metadata", manifest.metadata},
              {"files", files}};
}

}  // namespace

std::string manifest_to_json(const CheckpointManifest& manifest) {
  // Metadata may hold any bytes; JSON text may not. Escaping beyond ASCII keeps what is valid and refuses the
  // rest.
  try {
    const std::string body = body_of(manifest).dump(1, ' ', true);
    return "{\n\"xxh3_128\": \"" + checksum128(body) + "\",\n\"checkpoint\": " + body + "\n}\n";
  } catch (const Json::exception&) {
    throw Error(ExitCode::internal, "a checkpoint's metadata is not UTF-8 text",
                "keep binary state in a tensor of the checkpoint");
  }
}

CheckpointManifest manifest_from_json(const std::string& text) {
  static const std::string kStart = "{\n\"xxh3_128\": \"";
  static const std::string kMiddle = "\",\n\"checkpoint\": ";
  static const std::string kEnd = "\n}\n";
  constexpr std::size_t kHexDigits = 32;
  const std::size_t head = kStart.size() + kHexDigits + kMiddle.size();
  if (text.size() < head + kEnd.size() || !text.starts_with(kStart) || !text.ends_with(kEnd) ||
      text.compare(kStart.size() + kHexDigits, kMiddle.size(), kMiddle) != 0)
    throw_damaged("it does not look like one");
  const std::string body = text.substr(head, text.size() - head - kEnd.size());
  if (text.compare(kStart.size(), kHexDigits, checksum128(body)) != 0)
    throw_damaged("its checksum is another");
  try {
    const Json json = Json::parse(body);
    if (json.at("format").get<int>() != kFormat)
      throw_damaged("it has format " + json.at("format").dump() + ", this muster reads " +
                    std::to_string(kFormat));
    CheckpointManifest manifest;
    manifest.step = json.at("step").get<std::int64_t>();
    manifest.attempt = json.at("attempt").get<int>();
    manifest.ranks = json.at("ranks").get<int>();
    manifest.metric_rows = json.at("metric_rows").get<std::map<std::string, std::uint64_t>>();
    manifest.metadata = json.at("metadata").get<std::map<std::string, std::string>>();
    for (const auto& [name, file] : json.at("files").items())
      manifest.files[name] = {file.at("bytes").get<std::uint64_t>(), file.at("xxh3_128").get<std::string>()};
    return manifest;
  } catch (const Json::exception& error) {
    throw_damaged(error.what());
  }
}

}  // namespace muster
