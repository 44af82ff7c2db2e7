#include "workloads/common/layers/convolution.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "workloads/common/layers/gradient_places.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

torch::MemoryFormat layout_of(const Tensor& tensor) {
  return tensor.dim() == 4 ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
}

class Convolve : public torch::autograd::Function<Convolve> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, const Tensor& weight,
                        const Tensor& working, const ConvolutionOptions& options,
                        const InputGradientHook* hook) {
    const Tensor x = input.contiguous(torch::MemoryFormat::ChannelsLast);
    context->save_for_backward({x, weight, working});
    context->saved_data["stride"] = options.stride;
    context->saved_data["padding"] = options.padding;
    context->saved_data["groups"] = options.groups;
    context->saved_data["hook"] = reinterpret_cast<std::int64_t>(hook);
    return at::conv2d(x, working, {}, options.stride, options.padding, 1, options.groups);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& outputs) {
    const auto saved = context->get_saved_variables();
    const std::int64_t stride = context->saved_data["stride"].toInt();
    const std::int64_t padding = context->saved_data["padding"].toInt();
    const std::int64_t groups = context->saved_data["groups"].toInt();
    const Tensor dy = outputs[0].contiguous(torch::MemoryFormat::ChannelsLast);
    const auto& hook = *reinterpret_cast<const InputGradientHook*>(context->saved_data["hook"].toInt());
    const auto gradients = [&](bool of_input, bool of_weight) {
      return at::convolution_backward(dy, saved[0], saved[2], c10::nullopt, {stride, stride},
                                      {padding, padding}, {1, 1}, false, {0, 0}, groups,
                                      {of_input, of_weight, false});
    };
    Tensor dx, dweight;
    if (hook && context->needs_input_grad(0)) {
      dx = std::get<0>(gradients(true, false)).contiguous(torch::MemoryFormat::ChannelsLast);
      const auto finish = hook(dx);
      if (context->needs_input_grad(1)) dweight = std::get<1>(gradients(false, true));
      finish();
    } else {
      std::tie(dx, dweight, std::ignore) =
          gradients(context->needs_input_grad(0), context->needs_input_grad(1));
    }
    if (dweight.defined()) {
      dweight = gradient_place(saved[1]).copy_(dweight);
    }
    return {dx, dweight, Tensor(), Tensor(), Tensor()};
  }
};

void fill_uniform(Tensor& tensor, double bound, at::Generator& generator) {
  const torch::NoGradGuard no_grad;
  tensor.uniform_(-bound, bound, generator);
}

}  // namespace

const Tensor& WorkingCopy::of(const Tensor& weight, torch::Dtype type) {
  const auto version = weight._version();
  if (copy_.defined() && source_ == weight.const_data_ptr() && version_ == version &&
      copy_.scalar_type() == type)
    return copy_;
  const torch::NoGradGuard no_grad;
  if (!copy_.defined() || copy_.scalar_type() != type || copy_.device() != weight.device()) {
    copy_ = torch::empty_like(weight, weight.options().dtype(type), layout_of(weight));
  }
  copy_.copy_(weight);
  source_ = weight.const_data_ptr();
  version_ = version;
  return copy_;
}

ConvolutionImpl::ConvolutionImpl(std::int64_t in, std::int64_t out, ConvolutionOptions options)
    : options_(options) {
  weight =
      register_parameter("weight", torch::zeros({out, in / options.groups, options.kernel, options.kernel}));
}

Tensor ConvolutionImpl::forward(const Tensor& input) {
  const bool plain = options_.stride == 1 && options_.padding == 1 && options_.groups == 1;
  if (plain && winograd_takes(input, weight)) {
    return winograd_convolution(input, weight, transformed_, &hook_);
  }
  return Convolve::apply(input, weight, working_.of(weight, input.scalar_type()), options_, &hook_);
}

ClassifierImpl::ClassifierImpl(std::int64_t in, std::int64_t out, bool with_bias) {
  weight = register_parameter("weight", torch::zeros({out, in}));
  if (with_bias) bias = register_parameter("bias", torch::zeros({out}));
}

Tensor ClassifierImpl::forward(const Tensor& features) {
  const auto type = features.scalar_type();
  const Tensor logits = torch::linear(features, weight.to(type), bias.defined() ? bias.to(type) : Tensor());
  return logits.to(weight.scalar_type());
}

void initialise(torch::nn::Module& module, std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  module.apply([&](torch::nn::Module& one) {
    if (auto* convolution = one.as<ConvolutionImpl>()) {
      const auto& w = convolution->weight;
      fill_uniform(convolution->weight, 1 / std::sqrt(static_cast<double>(w.size(1) * w.size(2) * w.size(3))),
                   generator);
    } else if (auto* classifier = one.as<ClassifierImpl>()) {
      const double bound = 1 / std::sqrt(static_cast<double>(classifier->weight.size(1)));
      fill_uniform(classifier->weight, bound, generator);
      if (classifier->bias.defined()) fill_uniform(classifier->bias, bound, generator);
    }
  });
}

}  // namespace muster::workloads
