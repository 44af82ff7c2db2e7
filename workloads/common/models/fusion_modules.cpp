#include "workloads/common/models/fusion_modules.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;
using Features = std::vector<Tensor>;

constexpr double kDropout = 0.2;
constexpr std::uint32_t kDropoutSite = 0;
constexpr std::uint32_t kEncoderSites = 1;
constexpr int kEncoderLayers = 2;
constexpr int kHeads = 8;

Tensor sum(const Features& x) {
  Tensor result = x[0];
  for (std::size_t i = 1; i < x.size(); ++i) result = result + x[i];
  return result;
}

Tensor product(const Features& x) {
  Tensor result = x[0];
  for (std::size_t i = 1; i < x.size(); ++i) result = result * x[i];
  return result;
}

Tensor product_and_sum(const Features& x) { return product(x) + sum(x); }

Tensor product_of_shifted(const Features& x) {
  Features shifted;
  for (const Tensor& one : x) shifted.push_back(one + 1);
  return product(shifted);
}

Tensor joined(const Features& x) { return torch::cat(x, 1); }

Tensor sequence(const Features& x) { return torch::stack(x, 1); }

constexpr const char* kTransformer = "TransformerBase";
constexpr const char* kConcatenation = "concatenation";
constexpr std::pair<const char*, Tensor (*)(const Features&)> kCombinations[] = {
    {"multiplicative", product}, {"multiplicativeAddition", product_and_sum},
    {kTransformer, sequence},    {kConcatenation, joined},
    {"simpleAddition", sum},     {"multiplicativeShifted", product_of_shifted}};

auto combination_called(const std::string& name) {
  for (const auto& [known, combine] : kCombinations) {
    if (name == known) return combine;
  }
  throw Error(ExitCode::config, "no fusion is called '" + name + "'",
              "use one of those that the manifest lists");
}

}  // namespace

FusionModule::FusionModule(const std::string& name, const std::vector<std::int64_t>& widths,
                           const FusionOptions& options, std::uint64_t seed)
    : combine_(combination_called(name)), dropout_(seed) {
  if (widths.empty() || *std::min_element(widths.begin(), widths.end()) < 1 || options.common_width < 0 ||
      options.hidden < 0) {
    throw Error(ExitCode::config, "a fusion needs at least one expert, and widths above 0",
                "give every expert's number of features");
  }
  const std::int64_t d =
      options.common_width > 0 ? options.common_width : *std::max_element(widths.begin(), widths.end());
  const std::int64_t hidden = options.hidden > 0 ? options.hidden : d;
  auto projections = std::make_shared<torch::nn::Module>();
  auto norms = std::make_shared<torch::nn::Module>();
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const std::string index = std::to_string(i);
    projections_.emplace_back(nullptr);
    if (widths[i] != d) {
      projections_.back() = projections->register_module(index, Classifier(widths[i], d, true));
    }
    norms_.push_back(norms->register_module(index, torch::nn::LayerNorm(torch::nn::LayerNormOptions({d}))));
  }
  register_module("projections", projections);
  register_module("norms", norms);
  if (name == kTransformer) {
    encoder_ = register_module("transformer", TransformerEncoder(d, kHeads, hidden, kEncoderLayers));
  }
  const auto experts = static_cast<std::int64_t>(widths.size());
  auto mlp = std::make_shared<torch::nn::Module>();
  first_ = mlp->register_module("0", Classifier(name == kConcatenation ? experts * d : d, hidden, true));
  last_ = mlp->register_module("3", Classifier(hidden, d, true));
  register_module("mlp", mlp);
}

void FusionModule::begin(std::uint64_t seed) {
  initialise(*this, seed);
  if (encoder_) encoder_->begin(seed);
}

Tensor FusionModule::forward(const Features& features) {
  MUSTER_ASSERT(features.size() == norms_.size());
  const auto type = last_->weight.scalar_type();
  Features normalised;
  for (std::size_t i = 0; i < features.size(); ++i) {
    Tensor x = features[i].to(type);
    if (projections_[i]) x = projections_[i](x);
    normalised.push_back(norms_[i](x));
  }
  Tensor x = combine_(normalised);
  if (encoder_) x = encoder_(x, dropout_, kEncoderSites).mean(1);
  x = torch::relu(first_(x));
  if (is_training()) x = dropout_(x, kDropout, kDropoutSite);
  return last_(x);
}

const std::vector<std::string>& fusion_module_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& entry : kCombinations) all.emplace_back(entry.first);
    return all;
  }();
  return names;
}

std::shared_ptr<FusionModule> make_fusion_module(const std::string& name,
                                                 const std::vector<std::int64_t>& widths,
                                                 const FusionOptions& options, std::uint64_t seed) {
  auto module = std::make_shared<FusionModule>(name, widths, options, seed);
  module->begin(seed);
  return module;
}

}  // namespace muster::workloads
