#include "workloads/common/data/synthetic.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "core/error.hpp"
#include "workloads/common/counter_random.hpp"

namespace muster::workloads {
namespace {

constexpr int kSide = static_cast<int>(kImageSide);

// A wave along (along_x, along_y), in 1/256 periods a pixel, coloured in 1/256.
struct Grating {
  int along_x = 0;
  int along_y = 0;
  std::array<int, 3> colour{};
};

struct Texture {
  std::array<Grating, 2> gratings;
  int shape = 0;
};

int between(std::uint32_t bits, int low, int high) {
  return low + static_cast<int>(below(bits, static_cast<std::uint32_t>(high - low + 1)));
}

// A triangle of period 256 and range -128..128: a sine would come out of the C library, and differ between
// machines.
int wave(int phase) { return std::abs((phase & 255) - 128) * 2 - 128; }

Texture make_texture(std::uint64_t seed, std::int64_t label) {
  const CounterRandom random(seed, RandomStream::synthetic_class);
  Texture texture;
  for (std::uint32_t i = 0; i < 2; ++i) {
    const auto place = random.draw(0, static_cast<std::uint32_t>(label), 2 * i);
    const auto colour = random.draw(0, static_cast<std::uint32_t>(label), 2 * i + 1);
    auto& grating = texture.gratings[i];
    grating.along_x = between(place[0], -44, 44);
    grating.along_y = between(place[1], 8, 44);
    for (std::size_t c = 0; c < 3; ++c) grating.colour[c] = between(colour[c], -110, 110);
  }
  texture.shape = static_cast<int>(label % 3);
  return texture;
}

// One image's draws: where and how its class shows itself.
struct Scene {
  int label = 0;
  int ground = 0;  // the class whose texture lies behind
  int centre_x = 0, centre_y = 0, radius = 0;
  int phase = 0, ground_phase = 0;
  int zoom = 256;  // of the wave length, in 1/256
  int contrast = 256, light = 0;
};

Scene make_scene(const CounterRandom& random, std::uint32_t set, std::uint32_t image, int label,
                 int classes) {
  const auto a = random.draw(set, image, 0);
  const auto b = random.draw(set, image, 1);
  const auto c = random.draw(set, image, 2);
  Scene scene;
  scene.label = label;
  scene.ground = (label + between(a[0], 1, classes - 1)) % classes;
  scene.centre_x = between(a[1], 9, kSide - 10);
  scene.centre_y = between(a[2], 9, kSide - 10);
  scene.radius = between(a[3], 7, 12);
  scene.phase = between(b[0], 0, 255);
  scene.ground_phase = between(b[1], 0, 255);
  scene.zoom = between(b[2], 200, 320);
  scene.contrast = between(b[3], 110, 256);
  scene.light = between(c[0], -40, 40);
  return scene;
}

bool inside(int shape, const Scene& scene, int x, int y) {
  const int dx = std::abs(x - scene.centre_x);
  const int dy = std::abs(y - scene.centre_y);
  switch (shape) {
    case 0:
      return dx * dx + dy * dy <= scene.radius * scene.radius;
    case 1:
      return std::max(dx, dy) * 8 <= scene.radius * 7;
    default:
      return (dx + dy) * 4 <= scene.radius * 5;
  }
}

int colour_of(const Texture& texture, const Scene& scene, int phase, int x, int y, std::size_t channel) {
  int value = 0;
  for (const auto& grating : texture.gratings) {
    const int at = (grating.along_x * x + grating.along_y * y) * scene.zoom / 256 + phase;
    value += wave(at) * grating.colour[channel] / 256;
  }
  return value;
}

void paint(const std::vector<Texture>& textures, const Scene& scene, const CounterRandom& random,
           std::uint32_t set, std::uint32_t image, std::uint8_t* out) {
  const Texture& own = textures[static_cast<std::size_t>(scene.label)];
  const Texture& ground = textures[static_cast<std::size_t>(scene.ground)];
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const auto noise = random.draw(set, image, static_cast<std::uint32_t>(16 + y * kSide + x));
      const bool shown = inside(own.shape, scene, x, y);
      for (std::size_t c = 0; c < 3; ++c) {
        const int texture = shown ? colour_of(own, scene, scene.phase, x, y, c)
                                  : colour_of(ground, scene, scene.ground_phase, x, y, c) / 2;
        const int grain = between(noise[c] & 0xFFFF0000U, -24, 24) + between(noise[c] << 16, -24, 24);
        *out++ = static_cast<std::uint8_t>(
            std::clamp(128 + scene.light + texture * scene.contrast / 256 + grain, 0, 255));
      }
    }
  }
}

ImageSet make_set(const SyntheticOptions& options, const std::vector<Texture>& textures, std::uint32_t set,
                  std::int64_t count) {
  const CounterRandom random(options.seed, RandomStream::synthetic_sample);
  ImageSet images{torch::empty({count, kImageSide, kImageSide, kImageChannels}, torch::kUInt8),
                  torch::empty({count}, torch::kInt64)};
  auto* pixels = images.images.data_ptr<std::uint8_t>();
  auto* labels = images.labels.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    const auto image = static_cast<std::uint32_t>(i);
    labels[i] = i % options.classes;
    const Scene scene =
        make_scene(random, set, image, static_cast<int>(labels[i]), static_cast<int>(options.classes));
    paint(textures, scene, random, set, image, pixels + i * kImageBytes);
  }
  return images;
}

}  // namespace

Dataset make_synthetic(const SyntheticOptions& options) {
  if (options.classes < 2 || options.classes > 1000 || options.train_images < options.classes ||
      options.test_images < options.classes) {
    throw Error(ExitCode::config,
                "a synthetic data set of " + std::to_string(options.classes) + " classes, " +
                    std::to_string(options.train_images) + " training and " +
                    std::to_string(options.test_images) + " test images cannot be made",
                "ask for 2 to 1000 classes and at least an image of each");
  }
  std::vector<Texture> textures;
  Dataset set;
  for (std::int64_t label = 0; label < options.classes; ++label) {
    textures.push_back(make_texture(options.seed, label));
    set.class_names.push_back("texture-" + std::to_string(label));
  }
  set.name = "synthetic";
  set.source = "made from seed " + std::to_string(options.seed);
  set.classes = options.classes;
  set.train = make_set(options, textures, 0, options.train_images);
  set.test = make_set(options, textures, 1, options.test_images);
  return set;
}

}  // namespace muster::workloads
