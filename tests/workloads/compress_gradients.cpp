/// Compresses a file of floats in several steps: compress_gradients INPUT OUTPUT METHOD [NAME=VALUE...]
/// Writes what each step's packed form stands for, and prints a line "packed bytes, closed form or -1, kept".

#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "workloads/common/compression/compressor.hpp"

namespace {

using namespace muster::workloads;

int run(const std::vector<std::string>& arguments) {
  std::ifstream input(arguments.at(0), std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(input), {}};
  std::vector<float> gradient(bytes.size() / sizeof(float));
  if (!gradient.empty()) std::memcpy(gradient.data(), bytes.data(), gradient.size() * sizeof(float));

  std::map<std::string, double> given{{"seed", 1},  {"rank", 0}, {"layer", 0},  {"first", 0},
                                      {"steps", 1}, {"rows", 1}, {"ratio", 0.5}};
  for (std::size_t i = 3; i < arguments.size(); ++i) {
    const auto equals = arguments[i].find('=');
    given[arguments[i].substr(0, equals)] = std::stod(arguments[i].substr(equals + 1));
  }
  CompressionOptions options{.method = arguments.at(2), .ratio = given["ratio"]};
  options.unbiased = given["unbiased"] != 0;
  if (given.contains("threshold")) options.threshold = given["threshold"];
  if (given.contains("levels")) options.levels = static_cast<std::int64_t>(given["levels"]);
  options.clip = given["clip"];
  options.bucket = static_cast<std::int64_t>(given["bucket"]);
  if (given.contains("powersgd_rank")) options.rank = static_cast<std::int64_t>(given["powersgd_rank"]);
  const auto compressor =
      make_compressor(options, static_cast<std::uint64_t>(given["seed"]), static_cast<int>(given["rank"]));

  const Layer layer{"conv1.weight", static_cast<std::uint32_t>(given["layer"]),
                    static_cast<std::int64_t>(gradient.size()), static_cast<std::int64_t>(given["rows"])};
  std::ofstream output(arguments.at(1), std::ios::binary);
  PackedBuffer packed;
  std::vector<float> dense(gradient.size());
  for (int step = 0; step < static_cast<int>(given["steps"]); ++step) {
    packed.clear();
    compressor->begin_step(static_cast<std::uint32_t>(given["first"]) + static_cast<std::uint32_t>(step),
                           given["ratio"]);
    const float scale = compressor->agrees_on_scale() ? compressor->own_scale(layer, gradient.data()) : 0;
    compressor->first_round(layer, gradient.data(), packed);
    compressor->take_first_round(layer, packed.part(0, packed.size()), 1);
    packed.clear();
    const std::int64_t kept = compressor->compress(layer, gradient.data(), scale, packed);
    std::fill(dense.begin(), dense.end(), 0.0F);
    compressor->decompress_add(layer, packed.part(0, packed.size()), scale, 1, dense.data());
    output.write(reinterpret_cast<const char*>(dense.data()),
                 static_cast<std::streamsize>(dense.size() * sizeof(float)));
    const auto closed = compressor->packed_bytes(layer);
    std::printf("%zu %lld %lld\n", packed.size(), closed ? static_cast<long long>(*closed) : -1LL,
                static_cast<long long>(kept));
  }
  return output.good() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run({arguments + 1, arguments + count});
  } catch (const muster::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
