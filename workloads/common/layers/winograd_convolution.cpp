#include "workloads/common/layers/winograd_convolution.hpp"

#include "workloads/common/kernels/winograd.hpp"
#include "workloads/common/layers/gradient_places.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

template <class Element>
const WinogradKernels<Element>& table();
template <>
const WinogradKernels<float>& table() {
  return *winograd_f32();
}
template <>
const WinogradKernels<Bf16>& table() {
  return *winograd_bf16();
}

template <class Body>
auto with_element(torch::Dtype type, const Body& body) {
  return type == torch::kBFloat16 ? body(Bf16{}) : body(float{});
}

template <class Element>
const Element* read(const Tensor& tensor) {
  return static_cast<const Element*>(tensor.const_data_ptr());
}
template <class Element>
Element* write(const Tensor& tensor) {
  return static_cast<Element*>(tensor.mutable_data_ptr());
}

WinogradImages shape_of(const Tensor& x) { return {x.size(0), x.size(2), x.size(3), x.size(1)}; }

ChannelRange blocks(std::int64_t begin, std::int64_t end) {
  return {begin * kWinogradLanes, end * kWinogradLanes};
}

// Into `form`, of winograd_weight_size.
template <class Element>
void transform(const Tensor& weight, bool backward, const Tensor& form) {
  const std::int64_t out = weight.size(0), in = weight.size(1);
  at::parallel_for(0, (backward ? in : out) / kWinogradLanes, 1, [&](std::int64_t begin, std::int64_t end) {
    table<Element>().transform_weights(read<float>(weight), out, in, backward, blocks(begin, end),
                                       write<Element>(form));
  });
}

// `x` convolved to `out` channels by a transformed weight.
template <class Element>
Tensor convolved(const Tensor& x, const Tensor& transformed, std::int64_t out) {
  const WinogradImages input = shape_of(x);
  const Tensor y = torch::empty({x.size(0), out, x.size(2), x.size(3)},
                                x.options().memory_format(torch::MemoryFormat::ChannelsLast));
  const std::int64_t count = (input.tiles() + kWinogradTiles - 1) / kWinogradTiles;
  at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
    const Tensor scratch = torch::empty({forward_scratch<Element>(input.channels)}, torch::kUInt8);
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * kWinogradTiles;
      table<Element>().forward(read<Element>(x), input, read<Element>(transformed), out, first,
                               std::min(first + kWinogradTiles, input.tiles()), scratch.mutable_data_ptr(),
                               write<Element>(y));
    }
  });
  return y;
}

// Into `gradient`, dense, of the weight's shape.
template <class Element>
void weight_gradient(const Tensor& x, const Tensor& dy, const Tensor& gradient) {
  const WinogradImages input = shape_of(x), output = shape_of(dy);
  const std::int64_t in = input.channels, out = output.channels;
  const Tensor sums = torch::zeros({winograd_weight_size(out, in)}, torch::kFloat32);
  const Tensor x_tiles =
      torch::empty({winograd_block_size(in)}, x.options().memory_format(torch::MemoryFormat::Contiguous));
  const Tensor dy_tiles = torch::empty({winograd_block_size(out)}, x_tiles.options());
  const std::int64_t in_ranges = in / kWinogradLanes, out_ranges = out / kWinogradLanes;
  for (std::int64_t first = 0; first < input.tiles(); first += kWinogradSumTiles) {
    const std::int64_t last = std::min(first + kWinogradSumTiles, input.tiles());
    at::parallel_for(0, in_ranges + out_ranges, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t at = i < in_ranges ? i : i - in_ranges;
        const ChannelRange channels = blocks(at, at + 1);
        if (i < in_ranges) {
          table<Element>().transform_input(read<Element>(x), input, channels, first, last,
                                           write<Element>(x_tiles));
        } else {
          table<Element>().transform_gradient(read<Element>(dy), output, channels, first, last,
                                              write<Element>(dy_tiles));
        }
      }
    });
    at::parallel_for(0, kWinogradPositions, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t position = begin; position < end; ++position) {
        table<Element>().add_products(read<Element>(x_tiles), read<Element>(dy_tiles), in, out, position,
                                      write<float>(sums));
      }
    });
  }
  at::parallel_for(0, out_ranges, 1, [&](std::int64_t begin, std::int64_t end) {
    table<Element>().finish_gradient(read<float>(sums), in, out, blocks(begin, end), write<float>(gradient));
  });
}

class Convolve : public torch::autograd::Function<Convolve> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, const Tensor& weight,
                        const Tensor& transformed, const InputGradientHook* hook) {
    context->saved_data["hook"] = reinterpret_cast<std::int64_t>(hook);
    const Tensor x = input.contiguous(torch::MemoryFormat::ChannelsLast);
    context->save_for_backward({x, weight});
    return with_element(x.scalar_type(), [&]<class Element>(Element) {
      return convolved<Element>(x, transformed, weight.size(0));
    });
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& outputs) {
    const auto saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor& weight = saved[1];
    const Tensor dy = outputs[0].contiguous(torch::MemoryFormat::ChannelsLast);
    const auto* hook = reinterpret_cast<const InputGradientHook*>(context->saved_data["hook"].toInt());
    std::function<void()> finish;
    Tensor dx, dweight;
    with_element(x.scalar_type(), [&]<class Element>(Element) {
      if (context->needs_input_grad(0)) {
        // Made here and not with the forward form: what is just written is still in the cache.
        const Tensor form =
            torch::empty({winograd_weight_size(weight.size(0), weight.size(1))}, x.scalar_type());
        transform<Element>(weight, true, form);
        dx = convolved<Element>(dy, form, x.size(1));
        if (hook && *hook) finish = (*hook)(dx);
      }
      if (context->needs_input_grad(1)) {
        dweight = gradient_place(weight);
        weight_gradient<Element>(x, dy, dweight);
      }
    });
    if (finish) finish();
    return {dx, dweight, Tensor(), Tensor()};
  }
};

}  // namespace

const Tensor& WinogradWeight::of(const Tensor& weight, torch::Dtype type) {
  if (form_.defined() && form_.scalar_type() == type && source_ == weight.const_data_ptr() &&
      version_ == weight._version()) {
    return form_;
  }
  if (!form_.defined() || form_.scalar_type() != type) {
    form_ = torch::empty({winograd_weight_size(weight.size(0), weight.size(1))}, type);
  }
  with_element(type, [&]<class Element>(Element) { transform<Element>(weight, false, form_); });
  source_ = weight.const_data_ptr();
  version_ = weight._version();
  return form_;
}

bool winograd_takes(const Tensor& input, const Tensor& weight) {
  const bool kernel = input.scalar_type() == torch::kBFloat16
                          ? winograd_bf16() != nullptr
                          : input.scalar_type() == torch::kFloat32 && winograd_f32() != nullptr;
  return kernel && input.is_cpu() && weight.is_cpu() && weight.scalar_type() == torch::kFloat32 &&
         weight.is_contiguous() && input.dim() == 4 && input.size(2) % 2 == 0 && input.size(3) % 2 == 0 &&
         input.numel() > 0 && weight.size(2) == 3 && weight.size(3) == 3 &&
         weight.size(0) % kWinogradLanes == 0 && weight.size(1) % kWinogradLanes == 0;
}

Tensor winograd_convolution(const Tensor& input, const Tensor& weight, WinogradWeight& transformed,
                            const InputGradientHook* hook) {
  return Convolve::apply(input, weight, transformed.of(weight, input.scalar_type()), hook);
}

}  // namespace muster::workloads
