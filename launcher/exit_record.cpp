#include "launcher/exit_record.hpp"

#include <nlohmann/json.hpp>

#include "core/durable_file.hpp"
#include "core/error.hpp"

namespace muster {

std::string exit_record_to_json(const ExitRecord& record) {
  nlohmann::ordered_json json{{"exit_code", record.exit_code},
                              {"signal", record.signal},
                              {"started", record.started},
                              {"ended", record.ended}};
  if (record.lost_ranks) json["lost_ranks"] = true;
  if (record.never_started) json["never_started"] = true;
  return json.dump() + "\n";
}

std::optional<ExitRecord> read_exit_record(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  const std::string text = read_text(file);
  try {
    const auto json = nlohmann::json::parse(text);
    return ExitRecord{json.at("exit_code").get<int>(),  json.at("signal").get<int>(),
                      json.at("started").get<double>(), json.at("ended").get<double>(),
                      json.value("lost_ranks", false),  json.value("never_started", false)};
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitCode::storage, std::string("an exit record is damaged: ") + error.what(),
                "remove the file", SourcePlace{file});
  }
}

}  // namespace muster
