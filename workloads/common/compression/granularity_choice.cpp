#include "workloads/common/compression/granularity_choice.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "workloads/common/compression/packed_buffer.hpp"

namespace muster::workloads {
namespace {

/// What compressing a gradient leaves of it.
struct Trial {
  double bytes = 0;
  std::int64_t kept = 0;
  std::vector<float> sent;  ///< what the packed form stands for
};

Trial compressed(Compressor& compressor, const Layer& layer, const float* gradient) {
  Trial trial;
  PackedBuffer packed;
  const float scale = compressor.agrees_on_scale() ? compressor.own_scale(layer, gradient) : 0;
  trial.kept = compressor.compress(layer, gradient, scale, packed);
  trial.bytes = static_cast<double>(packed.size()) + (compressor.agrees_on_scale() ? sizeof(float) : 0);
  trial.sent.resize(static_cast<std::size_t>(layer.elements));
  compressor.decompress_add(layer, packed.part(0, packed.size()), scale, 1, trial.sent.data());
  return trial;
}

double square_distance(const float* x, const float* y, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double difference = static_cast<double>(x[i]) - y[i];
    sum += difference * difference;
  }
  return sum;
}

/// Fills in what becomes of the layers that are marked as joined when they are compressed as one.
void try_joined(Compressor& compressor, const std::vector<Layer>& layers,
                const std::vector<const float*>& gradients, std::vector<LayerChoice>& choices) {
  Layer group{"the joined layers", 0, 0, 1};
  std::vector<float> row;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!choices[i].joined) continue;
    if (row.empty()) group.index = layers[i].index;
    row.insert(row.end(), gradients[i], gradients[i] + layers[i].elements);
  }
  group.elements = static_cast<std::int64_t>(row.size());
  const Trial trial = compressed(compressor, group, row.data());
  const bool some_left_out = trial.kept < group.elements;
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!choices[i].joined) continue;
    const float* sent = trial.sent.data() + begin;
    const std::int64_t elements = layers[i].elements;
    const auto nonzero = elements - std::count(sent, sent + elements, 0.0F);
    const double part = some_left_out ? static_cast<double>(nonzero) /
                                            static_cast<double>(std::max<std::int64_t>(trial.kept, 1))
                                      : static_cast<double>(elements) / static_cast<double>(group.elements);
    choices[i].joined_bytes = trial.bytes * part;
    choices[i].joined_error = square_distance(gradients[i], sent, elements);
    begin += elements;
  }
}

/// Means over the ranks of one figure of all layers.
void average(Communicator& communicator, std::vector<LayerChoice>& choices, double LayerChoice::*figure) {
  std::vector<double> values;
  for (const LayerChoice& choice : choices) values.push_back(choice.*figure);
  communicator.all_reduce(values.data(), values.size(), DType::f64, ReduceOp::sum)->wait();
  for (std::size_t i = 0; i < choices.size(); ++i) choices[i].*figure = values[i] / communicator.size();
}

}  // namespace

std::vector<LayerChoice> choose_joined(Communicator& communicator, const CompressionOptions& options,
                                       std::uint64_t seed, const std::vector<Layer>& layers,
                                       const std::vector<const float*>& gradients) {
  MUSTER_ASSERT(layers.size() == gradients.size());
  const auto fresh = [&] {  // A method may remember a layer by its index.
    auto compressor = make_compressor(options, seed, communicator.rank());
    compressor->begin_step(0, options.ratio);
    return compressor;
  };
  const auto compressor = fresh();
  std::vector<LayerChoice> choices(layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Trial trial = compressed(*compressor, layers[i], gradients[i]);
    choices[i] = {.square_norm = square_norm(gradients[i], layers[i].elements),
                  .alone_bytes = trial.bytes,
                  .alone_error = square_distance(gradients[i], trial.sent.data(), layers[i].elements),
                  .joined_bytes = 0,
                  .joined_error = 0,
                  .joined = true};
  }
  for (const auto figure : {&LayerChoice::square_norm, &LayerChoice::alone_bytes, &LayerChoice::alone_error})
    average(communicator, choices, figure);
  double removed = 0, bytes = 0;
  for (const LayerChoice& choice : choices) {
    removed += choice.square_norm - choice.alone_error;
    bytes += choice.alone_bytes;
  }
  const double price = bytes > 0 ? std::max(0.0, removed / bytes) : 0;

  std::int64_t joined = static_cast<std::int64_t>(layers.size());
  bool left = true;
  while (left && joined > 1) {
    try_joined(*fresh(), layers, gradients, choices);
    for (const auto figure : {&LayerChoice::joined_bytes, &LayerChoice::joined_error})
      average(communicator, choices, figure);
    left = false;
    for (LayerChoice& choice : choices) {
      const double gain =
          choice.alone_error - choice.joined_error + price * (choice.alone_bytes - choice.joined_bytes);
      if (!choice.joined || gain > 0) continue;
      choice.joined = false;
      left = true;
      --joined;
    }
  }
  if (joined == 1) {
    for (LayerChoice& choice : choices) choice.joined = false;
  }
  return choices;
}

}  // namespace muster::workloads
