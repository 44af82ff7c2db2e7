// The fusion modules beside PyTorch's own layers, here and in Python.
#include "workloads/common/models/fusion_modules.hpp"

#include <gtest/gtest.h>

#include "tests/workloads/data_files.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;
using Widths = std::vector<std::int64_t>;

std::vector<Tensor> features_of(const Widths& widths, std::int64_t images, torch::Dtype type) {
  torch::manual_seed(6);
  std::vector<Tensor> features;
  for (const auto width : widths) features.push_back(torch::randn({images, width}, type));
  return features;
}

/// LayerNorms and biases begin at ones and zeros, which would hide a mistake.
void perturb(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(7);
  for (Tensor parameter : module.parameters()) {
    if (parameter.dim() == 1) parameter.add_(0.2 * torch::randn_like(parameter));
  }
}

/// The definition in PyTorch's C++ layers, without dropout.
Tensor by_definition(const std::string& name, FusionModule& module, const std::vector<Tensor>& features,
                     std::int64_t hidden) {
  const auto p = module.named_parameters();
  std::vector<Tensor> x;
  for (std::size_t i = 0; i < features.size(); ++i) {
    const std::string index = std::to_string(i);
    const auto* weight = p.find("projections." + index + ".weight");
    const Tensor projected =
        weight ? torch::linear(features[i], *weight, p["projections." + index + ".bias"]) : features[i];
    x.push_back(torch::layer_norm(projected, {projected.size(1)}, p["norms." + index + ".weight"],
                                  p["norms." + index + ".bias"], 1e-5));
  }
  const Tensor all = torch::stack(x);
  Tensor joined;
  if (name == "multiplicative") joined = all.prod(0);
  if (name == "multiplicativeAddition") joined = all.prod(0) + all.sum(0);
  if (name == "simpleAddition") joined = all.sum(0);
  if (name == "multiplicativeShifted") joined = (1 + all).prod(0);
  if (name == "concatenation") joined = torch::cat(x, 1);
  if (name == "TransformerBase") {
    const auto layer = torch::nn::TransformerEncoderLayerOptions(all.size(2), 8).dim_feedforward(hidden);
    torch::nn::TransformerEncoder encoder(torch::nn::TransformerEncoderOptions(layer, 2));
    encoder->to(all.scalar_type());
    encoder->eval();
    for (const auto& own : encoder->named_parameters()) {
      const torch::NoGradGuard no_grad;
      Tensor target = own.value();
      target.copy_(p["transformer." + own.key()]);
    }
    joined = encoder(all).mean(0);
  }
  return torch::linear(torch::relu(torch::linear(joined, p["mlp.0.weight"], p["mlp.0.bias"])),
                       p["mlp.3.weight"], p["mlp.3.bias"]);
}

TEST(FusionModules, AreWhatTheyAreDefinedAs) {
  const torch::NoGradGuard no_grad;
  for (const auto& name : fusion_module_names()) {
    for (const Widths& widths : {Widths{32, 32, 32, 32}, Widths{40, 24, 16}}) {
      const FusionOptions options{.hidden = 56};
      const auto module = make_fusion_module(name, widths, options, 2);
      module->to(torch::kFloat64);
      module->eval();
      perturb(*module);
      const auto features = features_of(widths, 5, torch::kFloat64);
      const Tensor fused = module->forward(features);
      EXPECT_EQ(fused.sizes(), (Widths{5, widths[0]}));
      EXPECT_EQ(module->fused_width(), widths[0]);
      EXPECT_LT((fused - by_definition(name, *module, features, 56)).abs().max().item<double>(), 1e-12)
          << name;
    }
  }
}

TEST(FusionModules, ProjectOnlyWhereWidthsDiffer) {
  const auto names = [](const Widths& widths, std::int64_t common_width) {
    std::vector<std::string> found;
    for (const auto& item : make_fusion_module("simpleAddition", widths, {.common_width = common_width}, 0)
                                ->named_parameters()) {
      if (item.key().starts_with("projections.") && item.key().ends_with("weight"))
        found.push_back(item.key());
    }
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names({16, 16}, 0), Names{});
  EXPECT_EQ(names({16, 8, 16}, 0), Names{"projections.1.weight"});
  EXPECT_EQ(names({16, 16}, 8), (Names{"projections.0.weight", "projections.1.weight"}));
}

TEST(FusionModules, DropOutBySampleAndEpochAlone) {
  const torch::NoGradGuard no_grad;
  for (const char* name : {"multiplicative", "TransformerBase"}) {
    const auto module = make_fusion_module(name, {32, 32}, {}, 3);
    const auto features = features_of({32, 32}, 4, torch::kFloat32);
    const auto fused = [&](const std::vector<std::int64_t>& samples, std::int64_t epoch, const Tensor& rows) {
      module->begin_batch(samples, epoch);
      return module->forward({features[0].index_select(0, rows), features[1].index_select(0, rows)});
    };
    const Tensor in_order = fused({5, 9, 2, 7}, 1, torch::tensor({0, 1, 2, 3}));
    const Tensor turned = fused({7, 2, 9, 5}, 1, torch::tensor({3, 2, 1, 0})).flip(0);
    EXPECT_LT((turned - in_order).abs().max().item<double>(), 1e-5) << name;
    const Tensor half = fused({5, 9}, 1, torch::tensor({0, 1}));
    EXPECT_LT((half - in_order.slice(0, 0, 2)).abs().max().item<double>(), 1e-5) << name;
    EXPECT_TRUE(torch::equal(in_order, fused({5, 9, 2, 7}, 1, torch::tensor({0, 1, 2, 3})))) << name;
    EXPECT_GT((fused({5, 9, 2, 7}, 2, torch::tensor({0, 1, 2, 3})) - in_order).abs().max().item<double>(),
              1e-3)
        << name;
  }
}

TEST(FusionModules, BeginWithTheWeightsOfTheirSeed) {
  const auto weights = [](std::uint64_t seed) {
    return make_fusion_module("TransformerBase", {16, 16}, {}, seed)->named_parameters();
  };
  const auto a = weights(1), b = weights(1), c = weights(2);
  for (const auto& item : a) {
    EXPECT_TRUE(torch::equal(item.value(), b[item.key()])) << item.key();
    if (item.value().dim() == 2) {
      EXPECT_FALSE(torch::equal(item.value(), c[item.key()])) << item.key();
    }
  }
  const auto* in = a.find("transformer.layers.1.self_attn.in_proj_weight");
  EXPECT_NEAR(in->abs().max().item<double>(), std::sqrt(6.0 / (48 + 16)), 0.01);
}

TEST(FusionModules, ComputeInTheTypeOfTheirParameters) {
  const auto features = features_of({16, 16}, 3, torch::kBFloat16);
  const auto module = make_fusion_module("concatenation", {16, 16}, {}, 1);
  module->eval();
  EXPECT_EQ(module->forward(features).scalar_type(), torch::kFloat32);
  module->to(torch::kFloat64);
  EXPECT_EQ(module->forward(features).scalar_type(), torch::kFloat64);
}

TEST(FusionModules, RefuseWhatCannotBeFused) {
  const auto refusal = [](const std::string& name, const Widths& widths) {
    return testing::error_thrown_by([&] { make_fusion_module(name, widths, {}, 0); }).code();
  };
  EXPECT_EQ(refusal("additive", {16, 16}), ExitCode::config);
  EXPECT_EQ(refusal("multiplicative", {}), ExitCode::config);
  EXPECT_EQ(refusal("multiplicative", {16, 0}), ExitCode::config);
  EXPECT_EQ(refusal("TransformerBase", {20, 20}), ExitCode::config);
}

// A pass without and one with dropout, for tests/peers/check_fusion_modules.py.
void write_case(const std::filesystem::path& file, const std::string& name, const Widths& widths,
                const FusionOptions& options, bool fp64) {
  const auto type = fp64 ? torch::kFloat64 : torch::kFloat32;
  const std::uint64_t seed = 8;
  const auto module = make_fusion_module(name, widths, options, seed);
  module->to(type);
  perturb(*module);
  NamedTensors record;
  for (const auto& [key, tensor] : named_parameters(*module))
    record.emplace_back("start." + key, tensor.detach().clone());
  const std::vector<std::int64_t> samples{3, 14, 15, 92, 65};
  const auto images = static_cast<std::int64_t>(samples.size());
  auto features = features_of(widths, images, type);
  const std::int64_t d = module->fused_width(), hidden = options.hidden > 0 ? options.hidden : d;
  const Tensor cotangent = torch::randn({images, d}, type);
  record.emplace_back("cotangent", cotangent);
  for (std::size_t i = 0; i < features.size(); ++i) {
    record.emplace_back("features." + std::to_string(i), features[i].clone());
    features[i].requires_grad_();
  }
  const auto length = static_cast<std::int64_t>(widths.size());
  const std::int64_t layer_units[] = {8 * length * length, length * d, length * hidden, length * d};
  const auto mask = [&](std::uint32_t site, std::int64_t units, double rate) {
    record.emplace_back("mask." + std::to_string(site),
                        dropout_mask(samples, 11, units, rate, seed, type, site));
  };
  mask(0, hidden, 0.2);
  for (std::uint32_t site = 1; name == "TransformerBase" && site <= 8; ++site)
    mask(site, layer_units[(site - 1) % 4], 0.1);
  for (const bool training : {false, true}) {
    module->train(training);
    module->zero_grad();
    for (Tensor& one : features) one.mutable_grad() = Tensor();
    module->begin_batch(samples, 11);
    const Tensor output = module->forward(features);
    (output * cotangent).sum().backward();
    const std::string prefix = training ? "training." : "evaluation.";
    record.emplace_back(prefix + "output", output.detach());
    for (const auto& [key, parameter] : named_parameters(*module))
      record.emplace_back(prefix + "gradient." + key, parameter.grad().clone());
    for (std::size_t i = 0; i < features.size(); ++i)
      record.emplace_back(prefix + "gradient.features." + std::to_string(i), features[i].grad().clone());
  }
  write_safetensors(file, TensorViews(record).views(),
                    {{"fusion", name},
                     {"experts", std::to_string(widths.size())},
                     {"d", std::to_string(d)},
                     {"hidden", std::to_string(hidden)},
                     {"precision", fp64 ? "fp64" : "fp32"}});
}

class PeerPythonFuses : public ::testing::TestWithParam<std::string> {};

TEST_P(PeerPythonFuses, ToTheSameVectorsAndGradients) {
  const char* python = std::getenv("MUSTER_PEER_PYTHON");
  if (!python) GTEST_SKIP() << "needs a Python with torch: set MUSTER_PEER_PYTHON";
  std::string command =
      std::string(python) + " " + MUSTER_SOURCE_DIR + "/tests/peers/check_fusion_modules.py";
  const auto folder = testing::fresh_folder();
  const auto add = [&](const Widths& widths, const FusionOptions& options, bool fp64) {
    const auto file = folder / (std::to_string(widths.size()) + (fp64 ? "fp64" : "fp32") +
                                std::to_string(options.hidden) + ".safetensors");
    write_case(file, GetParam(), widths, options, fp64);
    command += " " + file.string();
  };
  for (const bool fp64 : {true, false}) {
    add({64, 64, 64, 64}, {}, fp64);
    add({1024, 512, 640, 1024}, {.hidden = 96}, fp64);
    add({24, 40}, {.common_width = 32, .hidden = 48}, fp64);
  }
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(FusionModules, PeerPythonFuses, ::testing::ValuesIn(fusion_module_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace muster::workloads
