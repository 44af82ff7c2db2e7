/// Times compressors, plain torch expressions and a copy on one thread, in turns: compression_bench [ROUNDS]
/// prints a line "name side milliseconds" a sample, in time of this thread, and "name bytes N" once a method.

#include <torch/torch.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "workloads/common/compression/compressor.hpp"

namespace {

using namespace muster::workloads;
using torch::Tensor;

constexpr std::int64_t kElements = 6573120;  // ResNet-9's

double now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

template <class Action>
void timed(const char* name, const char* side, const Action& action) {
  const double start = now();
  action();
  std::printf("%s %s %.4f\n", name, side, 1e3 * (now() - start));
}

struct Case {
  const char* name;
  CompressionOptions options;
  Tensor (*plain)(const Tensor& gradient, std::int64_t kept);
};

Tensor topk(const Tensor& g, std::int64_t kept) {
  return g.index_select(0, std::get<1>(g.abs().topk(kept, 0, true, false)));
}
Tensor randomk(const Tensor& g, std::int64_t kept) {
  return g.index_select(0, torch::randperm(g.numel()).narrow(0, 0, kept));
}
Tensor thresholdv(const Tensor& g, std::int64_t) { return g.index({torch::where(g.abs() >= 0.001)[0]}); }
Tensor terngrad(const Tensor& g, std::int64_t) {
  const Tensor scale = g.abs().max();
  return g.sign() * scale * (torch::rand_like(g) < g.abs() / scale);
}
Tensor qsgd(const Tensor& g, std::int64_t) {
  const Tensor norm = g.norm();
  return g.sign() * norm * (g.abs() / norm * 255 + torch::rand_like(g)).floor() / 255;
}

const Case kCases[] = {
    {"topk_1%", {.method = "topk", .ratio = 0.01}, topk},
    {"topk_50%", {.method = "topk", .ratio = 0.5}, topk},
    {"randomk_1%", {.method = "randomk", .ratio = 0.01}, randomk},
    {"thresholdv", {.method = "thresholdv", .threshold = 0.001}, thresholdv},
    {"terngrad", {.method = "terngrad"}, terngrad},
    {"qsgd", {.method = "qsgd"}, qsgd},
};

}  // namespace

int main(int count, char** arguments) {
  torch::set_num_threads(1);
  torch::manual_seed(1);
  const torch::NoGradGuard no_grad;
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 5;
  // Magnitudes over several decades; a tenth of them from the threshold on.
  const Tensor gradient = torch::randn({kElements}) * torch::randn({kElements}).exp() * 3.5e-4;
  const Layer layer{"all", 0, kElements, 1};
  const auto* values = gradient.const_data_ptr<float>();
  Tensor dense = torch::zeros_like(gradient), copy = torch::empty_like(gradient);
  PackedBuffer packed;
  // The first round warms caches and buffers up.
  for (int round = 0; round <= rounds; ++round) {
    if (round == 1) std::printf("warm\n");
    for (const Case& one : kCases) {
      const auto compressor = make_compressor(one.options, 1, 0);
      const auto compress = [&](std::uint32_t step) {
        packed.clear();
        compressor->begin_step(step, one.options.ratio);
        const float scale = compressor->agrees_on_scale() ? compressor->own_scale(layer, values) : 0;
        compressor->compress(layer, values, scale, packed);
        return scale;
      };
      float scale = compress(0);  // Its scratch memory is touched.
      timed(one.name, "copy", [&] { copy.copy_(gradient); });
      timed(one.name, "ours", [&] { scale = compress(1); });
      timed(one.name, "decompress", [&] {
        compressor->decompress_add(layer, packed.part(0, packed.size()), scale, 1, dense.data_ptr<float>());
      });
      timed(one.name, "plain", [&] { one.plain(gradient, kept_elements(kElements, one.options.ratio)); });
      if (round == rounds) std::printf("%s bytes %zu\n", one.name, packed.size());
    }
  }
  return 0;
}
