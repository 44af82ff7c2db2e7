/// Gradients that are compressed on a GPU become what they become on CPUs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "tests/workloads/gpu/gpu_of_test.hpp"
#include "tests/workloads/gpu/weights_distance.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/compression/gradient_joiner.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/cuda/load_kernels.hpp"
#include "workloads/common/exchange/device_packer.hpp"
#include "workloads/common/exchange/gradient_compression.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

constexpr std::uint64_t kSeed = 77;

std::vector<Layer> layers() {
  std::vector<Layer> all;
  for (const std::int64_t elements : {1728, 64, 9'001, 1, 513})
    all.push_back(
        {"layer" + std::to_string(all.size()), static_cast<std::uint32_t>(all.size()), elements, 1});
  return all;
}

Tensor gradients_of(int rank, int step) {
  std::mt19937 random(static_cast<unsigned>(1000 * rank + step));
  std::normal_distribution<float> normal(0, 0.002F);
  std::int64_t count = 0;
  for (const Layer& layer : layers()) count += layer.elements;
  Tensor values = torch::empty({count});
  for (std::int64_t i = 0; i < count; ++i) values.mutable_data_ptr<float>()[i] = normal(random);
  return values;
}

class GpuCompressionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = testing::missing_gpus(1);
    if (!missing.empty()) GTEST_SKIP() << missing;
    gpu_ = compute_device(testing::kOneGpu);
    kernels_ = &load_device_compression(device_kernels_file());
  }

  std::unique_ptr<GradientJoiner> joiner(Communicator& communicator, const JoinOptions& options,
                                         bool on_gpu) const {
    const DrawSource source{options.seed, communicator.rank()};
    const MakePacker make = [this, source](Compressor& forms, const std::vector<Layer>& of,
                                           const JoinOptions& with) {
      return make_device_packer(*kernels_, gpu_, source, forms, of, with);
    };
    return std::make_unique<GradientJoiner>(communicator, layers(), options,
                                            on_gpu ? make : make_host_packer);
  }

  /// A step, the last two layers first.
  Tensor join(GradientJoiner& joiner, Communicator& communicator, int step, double ratio, bool on_gpu,
              const Tensor& given = {}) const {
    Tensor values = given.defined() ? given.clone() : gradients_of(communicator.rank(), step);
    if (on_gpu) values = values.to(gpu_);
    joiner.begin_step(step, ratio, step % 2 == 1);
    std::vector<ReadyGradient> early, late;
    auto* place = values.mutable_data_ptr<float>();
    for (std::size_t i = 0; i < joiner.layers().size(); ++i) {
      (i >= 3 ? early : late).push_back({i, place});
      place += joiner.layers()[i].elements;
    }
    joiner.join(early);
    joiner.join(late);
    return values.cpu();
  }

  Tensor state_of(GradientJoiner& joiner, bool on_gpu) const {
    std::vector<Tensor> all;
    for (const auto& [name, values] : joiner.state()) {
      const auto count = static_cast<std::int64_t>(values.size());
      all.push_back(view_of(values.data(), count, on_gpu ? gpu_ : torch::Device(torch::kCPU)).cpu());
    }
    return all.empty() ? torch::empty({0}) : torch::cat(all);
  }

  static bool same_bits(const Tensor& a, const Tensor& b) {
    return torch::equal(a.view(torch::kInt), b.view(torch::kInt));
  }

  torch::Device gpu_ = torch::kCPU;
  const DeviceCompression* kernels_ = nullptr;
};

struct Case {
  JoinOptions options;
  bool exact = true;  ///< all bits are the CPU's; else but for few elements, which a last bit decided
};

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](const CompressionOptions& compressor, bool exact = true) {
    for (const bool error_feedback : {false, true}) {
      all.push_back({{.compressor = compressor,
                      .error_feedback = error_feedback,
                      .algorithm = ExchangeAlgorithm::library,
                      .seed = kSeed},
                     exact});
    }
  };
  add({.method = "topk", .ratio = 0.05});
  add({.method = "randomk", .ratio = 0.05});
  add({.method = "randomk", .ratio = 0.3, .unbiased = true});
  add({.method = "thresholdv", .threshold = 0.004});
  add({.method = "thresholdv", .threshold = 1});  // Nothing is kept.
  add({.method = "terngrad"});
  add({.method = "terngrad", .clip = 2.5}, false);
  add({.method = "qsgd", .levels = 255}, false);
  add({.method = "qsgd", .levels = 5, .bucket = 512}, false);
  add({.method = "fp16"});
  add({.method = "bf16"});
  for (const char* method : {"topk", "randomk", "thresholdv"}) {
    for (const bool nesterov : {false, true}) {
      all.push_back({{.compressor = {.method = method, .ratio = 0.05, .threshold = 0.004},
                      .error_feedback = true,
                      .momentum = 0.9,
                      .nesterov = nesterov,
                      .algorithm = ExchangeAlgorithm::library,
                      .seed = kSeed},
                     !nesterov});  // A product and a sum are rounded once or twice.
    }
  }
  return all;
}

TEST_F(GpuCompressionTest, LeavesWhatTheCpuLeaves) {
  for (const auto& [options, exact] : cases()) {
    for (const int ranks : {1, 2}) {
      SCOPED_TRACE(options.compressor.method + ", clip " + std::to_string(options.compressor.clip) +
                   ", bucket " + std::to_string(options.compressor.bucket) + ", error feedback " +
                   std::to_string(options.error_feedback) + ", momentum " + std::to_string(options.momentum) +
                   ", Nesterov " + std::to_string(options.nesterov) + ", ranks " + std::to_string(ranks));
      on_ranks(ranks, [&](Communicator& communicator) {
        const auto cpu = joiner(communicator, options, false), gpu = joiner(communicator, options, true);
        const auto expect_same = [&, exact = exact](const Tensor& found, const Tensor& wanted) {
          if (exact || wanted.numel() == 0) {
            EXPECT_TRUE(same_bits(found, wanted));
          } else {
            const Tensor apart = (found - wanted).abs() > 1e-5 * wanted.abs().max();
            EXPECT_LE(apart.sum().item<std::int64_t>(), wanted.numel() / 1000);
          }
        };
        for (int step = 0; step < 4; ++step) {
          const double ratio = step < 2 ? options.compressor.ratio : 0.02;
          const Tensor wanted = join(*cpu, communicator, step, ratio, false);
          const Tensor found = join(*gpu, communicator, step, ratio, true);
          expect_same(found, wanted);
          expect_same(state_of(*gpu, true), state_of(*cpu, false));

          const StepCompression of_cpu = cpu->figures(), of_gpu = gpu->figures();
          EXPECT_EQ(of_gpu.counted.sent, of_cpu.counted.sent);
          EXPECT_EQ(of_gpu.closed_form.received, of_cpu.closed_form.received);
          for (std::size_t i = 0; i < of_cpu.layers.size(); ++i) {
            const LayerFigures &a = of_cpu.layers[i], &b = of_gpu.layers[i];
            if (exact) {
              EXPECT_EQ(b.kept, a.kept);
              EXPECT_EQ(b.packed_bytes, a.packed_bytes);
            }
            if (step % 2 == 1) {
              EXPECT_NEAR(b.error, a.error, (exact ? 1e-9 : 1e-3) * (1 + a.error)) << "layer " << i;
            } else {
              EXPECT_TRUE(std::isnan(a.error) && std::isnan(b.error));
            }
          }
          if (step % 2 == 0) continue;
          EXPECT_NEAR(of_gpu.error, of_cpu.error, (exact ? 1e-9 : 1e-3) * (1 + of_cpu.error));
          EXPECT_GT(of_gpu.compress_seconds, 0);
          EXPECT_GT(of_gpu.decompress_seconds, 0);
          EXPECT_EQ(gpu->figures().compress_seconds, of_gpu.compress_seconds) << "the second time";
        }
      });
    }
  }
}

TEST_F(GpuCompressionTest, GoesOnFromItsStateAndFromACpus) {
  for (const auto& [options, exact] : cases()) {
    if (!options.error_feedback || !exact) continue;
    SCOPED_TRACE(options.compressor.method);
    on_ranks(2, [&](Communicator& communicator) {
      const auto whole = joiner(communicator, options, false);
      for (int step = 0; step < 2; ++step) join(*whole, communicator, step, 0.05, false);
      const Tensor wanted = join(*whole, communicator, 2, 0.05, false);
      for (const bool began_on_gpu : {false, true}) {
        const auto first = joiner(communicator, options, began_on_gpu);
        for (int step = 0; step < 2; ++step) join(*first, communicator, step, 0.05, began_on_gpu);
        const auto second = joiner(communicator, options, true);
        Tensor state = state_of(*first, began_on_gpu);
        for (const auto& [name, values] : second->state()) {
          const auto count = static_cast<std::int64_t>(values.size());
          view_of(values.data(), count, gpu_).copy_(state.narrow(0, 0, count));
          state = state.narrow(0, count, state.numel() - count);
        }
        EXPECT_TRUE(same_bits(join(*second, communicator, 2, 0.05, true), wanted));
      }
    });
  }
}

TEST_F(GpuCompressionTest, NamesTheLayerThatIsNotFinite) {
  for (const auto& [options, exact] : cases()) {
    SCOPED_TRACE(options.compressor.method);
    on_ranks(1, [&](Communicator& communicator) {
      const auto gpu = joiner(communicator, options, true);
      Tensor values = gradients_of(0, 0);
      values[1728 + 64 + 7] = std::numeric_limits<float>::quiet_NaN();
      try {
        join(*gpu, communicator, 0, 0.05, true, values);
        ADD_FAILURE() << "took it";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::diverged);
        EXPECT_THAT(error.what(), ::testing::HasSubstr("layer2 is NaN or too large at step 1"));
      }
    });
  }
}

/// Through a whole backward pass: its stream, and the one beside it.
TEST_F(GpuCompressionTest, LeavesItBesideABackwardPass) {
  const auto gradients = [&](const std::string& method, CompressedTransport transport,
                             const JoinedParameters& joined, torch::Device device, std::string* place,
                             const std::filesystem::path& kernels) {
    Tensor result;
    on_ranks(1, [&](Communicator& communicator) {
      torch::nn::Sequential net(torch::nn::Linear(12, 60), torch::nn::ReLU(), torch::nn::Linear(60, 70),
                                torch::nn::Tanh(), torch::nn::Linear(70, 5));
      auto generator = at::detail::createCPUGenerator(3);
      {
        const torch::NoGradGuard no_grad;
        for (auto& p : net->parameters()) p.normal_(0, 0.3, generator);
      }
      const Tensor input = torch::randn({6, 12}, generator).to(device);
      const Tensor labels = torch::randint(5, {6}, generator, torch::kLong).to(device);
      net->to(device);
      JoinOptions join{.transport = transport, .algorithm = ExchangeAlgorithm::library, .seed = kSeed};
      join.compressor = {.method = method, .ratio = 1};
      join.error_feedback = method != "none";
      GradientCompression compression(communicator, named_parameters(*net), joined, join, kernels);
      *place = compression.place();
      ExchangeOptions options{.algorithm = ExchangeAlgorithm::library, .bucket_mb = 0.005};
      compression.install(options);
      GradientExchange exchange(communicator, net->parameters(), options);
      for (int step = 0; step < 3; ++step) {
        net->zero_grad();
        compression.begin_step(step, 1, true);
        exchange.backward(torch::cross_entropy_loss(net->forward(input), labels));
        EXPECT_GE(compression.exposed_seconds(), 0);
        EXPECT_GT(compression.figures().compress_seconds, 0);
      }
      std::vector<Tensor> flat;
      for (const auto& p : net->parameters()) flat.push_back(p.grad().flatten().cpu());
      result = torch::cat(flat);
    });
    return result;
  };
  const auto expect = [&](const std::string& method, const std::string& where,
                          const std::filesystem::path& kernels = device_kernels_file(),
                          CompressedTransport transport = CompressedTransport::packed) {
    for (const JoinedParameters& joined : {JoinedParameters{}, JoinedParameters{0, 1, 2, 3, 4, 5}}) {
      if (method == "powersgd" && !joined.empty()) continue;
      SCOPED_TRACE(method);
      std::string place;
      const Tensor wanted = gradients(method, transport, joined, torch::kCPU, &place, kernels);
      EXPECT_EQ(place, "CPU");
      const Tensor found = gradients(method, transport, joined, gpu_, &place, kernels);
      EXPECT_THAT(place, ::testing::StartsWith(where));
      const double tolerance = method == "bf16" || method == "powersgd" ? 1e-2 : 1e-4;
      EXPECT_LT((found - wanted).norm().item<double>(), tolerance * wanted.norm().item<double>());
    }
  };
  for (const char* method : {"topk", "randomk", "thresholdv", "fp16", "bf16"}) expect(method, "GPU");
  for (const char* method : {"none", "powersgd"}) expect(method, "CPU");
  expect("topk", "CPU", device_kernels_file(), CompressedTransport::dense);
  expect("topk", "CPU, since CUDA module '/nowhere/kernels.so'", "/nowhere/kernels.so");
}

}  // namespace
}  // namespace muster::workloads
