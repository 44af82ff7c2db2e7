#include "launcher/command_weights.hpp"

#include <CLI/CLI.hpp>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/weights/weights_file.hpp"
#include "launcher/text_table.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct WeightsOptions {
  std::string file;
  std::string output;
  bool json = false;
  bool overwrite = false;
};

std::string shape_text(const TensorView& tensor) {
  std::string text;
  for (const std::int64_t extent : tensor.shape) text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text.empty() ? "-" : text;
}

std::int64_t elements_of(const TensorView& tensor) {
  return static_cast<std::int64_t>(tensor.bytes.size() / size_of(tensor.dtype));
}

void print_json(const WeightsFile& file) {
  Json json{{"file", file.path().string()},
            {"format", to_string(file.format())},
            {"entry", file.entry()},
            {"metadata", file.metadata()},
            {"tensors", Json::array()}};
  for (const TensorView& tensor : file.tensors())
    json["tensors"].push_back({{"name", tensor.name},
                               {"dtype", safetensors_name_of(tensor.dtype)},
                               {"shape", tensor.shape},
                               {"bytes", tensor.bytes.size()}});
  std::printf("%s\n", json.dump(1, ' ', false, Json::error_handler_t::replace).c_str());
}

void inspect(const WeightsOptions& options) {
  const WeightsFile file(options.file);
  if (options.json) return print_json(file);
  std::int64_t elements = 0;
  std::size_t bytes = 0;
  TextTable table({"tensor", "type", "shape"});
  for (const TensorView& tensor : file.tensors()) {
    table.add_row({tensor.name, safetensors_name_of(tensor.dtype), shape_text(tensor)});
    elements += elements_of(tensor);
    bytes += tensor.bytes.size();
  }
  std::printf("%s", table.text().c_str());
  std::printf("%zu tensors, %" PRId64 " elements, %zu bytes; %s%s\n", file.tensors().size(), elements, bytes,
              to_string(file.format()),
              file.entry().empty() ? "" : (", below '" + file.entry() + "'").c_str());
}

/// Written aside and renamed, so that a file of that name is always whole.
void convert(const WeightsOptions& options) {
  const WeightsFile file(options.file);
  const fs::path output = options.output;
  if (!options.overwrite && fs::exists(output))
    throw Error(ExitCode::usage, "'" + output.string() + "' is there already",
                "choose another name, or give --overwrite");
  auto metadata = file.metadata();
  metadata.emplace("format", "pt");
  fs::path aside = output;
  aside += ".tmp";
  write_safetensors(aside, file.tensors(), metadata);
  std::error_code failed;
  fs::rename(aside, output, failed);
  if (failed) throw_storage_error(output, "rename into place", failed.value());
  std::printf("%s: %zu tensors\n", output.c_str(), file.tensors().size());
}

}  // namespace

void add_weights_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<WeightsOptions>();
  CLI::App* command = app.add_subcommand(
      "weights", "Look into files of weights (.safetensors, .pth, .pt, .th); runs nothing in them");
  command->footer("Example: muster weights inspect resnet34.pth");
  command->require_subcommand(1);
  CLI::App* inspecting = command->add_subcommand("inspect", "List the tensors of a file");
  inspecting->footer("Example: muster weights inspect resnet34.pth");
  inspecting->add_option("FILE", options->file, "A .safetensors, .pth, .pt or .th")->required();
  inspecting->add_flag("--json", options->json, "Print JSON");
  inspecting->callback([options, &exit_code] {
    inspect(*options);
    exit_code = static_cast<int>(ExitCode::ok);
  });
  CLI::App* converting = command->add_subcommand("convert", "Write a file's tensors as .safetensors");
  converting->footer("Example: muster weights convert resnet34.pth resnet34.safetensors");
  converting->add_option("FILE", options->file, "A .safetensors, .pth, .pt or .th")->required();
  converting->add_option("OUTPUT", options->output, "The .safetensors to write")->required();
  converting->add_flag("--overwrite", options->overwrite, "Replace OUTPUT where it is there");
  converting->callback([options, &exit_code] {
    convert(*options);
    exit_code = static_cast<int>(ExitCode::ok);
  });
}

}  // namespace muster
