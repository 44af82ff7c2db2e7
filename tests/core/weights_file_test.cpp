#include "core/weights/weights_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using ::testing::HasSubstr;
using testing::Process;
using testing::TemporaryFolder;
using testing::text_of;
using testing::write_text;

/// The files of torch_files.py, written once.
const fs::path& torch_files() {
  static const TemporaryFolder folder;
  static const bool written = [] {
    Process python({"python3", MUSTER_TORCH_FILES, folder.path()}, {.output = folder / "log"});
    EXPECT_EQ(python.wait(), 0) << text_of(folder / "log");
    return true;
  }();
  EXPECT_TRUE(written);
  return folder.path();
}

template <class T>
std::vector<T> values_of(const TensorView& tensor) {
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

const TensorView& tensor_of(const WeightsFile& file, const std::string& name) {
  const auto found = std::find_if(file.tensors().begin(), file.tensors().end(),
                                  [&](const TensorView& tensor) { return tensor.name == name; });
  if (found == file.tensors().end()) throw std::logic_error("no tensor " + name);
  return *found;
}

void expect_the_state_dict(const WeightsFile& file) {
  std::vector<std::string> names;
  for (const TensorView& tensor : file.tensors()) names.push_back(tensor.name);
  EXPECT_THAT(names, ::testing::ElementsAre("module.a.weight", "module.a.transposed", "module.a.tail",
                                            "module.b.count", "module.b.bytes", "module.b.empty"));
  EXPECT_EQ(tensor_of(file, "module.a.weight").shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(values_of<float>(tensor_of(file, "module.a.weight")), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(tensor_of(file, "module.a.transposed").shape, (std::vector<std::int64_t>{3, 2}));
  EXPECT_EQ(values_of<float>(tensor_of(file, "module.a.transposed")), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(values_of<float>(tensor_of(file, "module.a.tail")), (std::vector<float>{4, 5}));
  EXPECT_TRUE(tensor_of(file, "module.b.count").shape.empty());
  EXPECT_EQ(values_of<std::int64_t>(tensor_of(file, "module.b.count")), (std::vector<std::int64_t>{-5}));
  EXPECT_EQ(values_of<std::uint8_t>(tensor_of(file, "module.b.bytes")),
            (std::vector<std::uint8_t>{1, 2, 255}));
  EXPECT_EQ(tensor_of(file, "module.b.empty").shape, (std::vector<std::int64_t>{0, 4}));
}

TEST(WeightsFile, ReadsBothFormsOfTorchSave) {
  const WeightsFile zip(torch_files() / "zip.pth");
  EXPECT_EQ(zip.format(), WeightsFormat::torch_zip);
  EXPECT_EQ(zip.entry(), "state_dict");
  expect_the_state_dict(zip);
  const WeightsFile series(torch_files() / "series.th");
  EXPECT_EQ(series.format(), WeightsFormat::torch_series);
  expect_the_state_dict(series);
  const WeightsFile root(torch_files() / "root.pth");
  EXPECT_EQ(root.entry(), "");
  expect_the_state_dict(root);
}

TEST(WeightsFile, ReadsSafetensorsWhateverItIsCalled) {
  const TemporaryFolder folder;
  const std::vector<float> values{1, 2};
  write_safetensors(folder / "a.pth", {{"x", DType::f32, {2}, std::as_bytes(std::span(values))}},
                    {{"k", "v"}});
  const WeightsFile file(folder / "a.pth");
  EXPECT_EQ(file.format(), WeightsFormat::safetensors);
  EXPECT_EQ(values_of<float>(file.tensors().at(0)), values);
  EXPECT_EQ(file.metadata().at("k"), "v");
}

struct Hostile {
  const char* file;
  const char* message;
};

TEST(WeightsFile, RefusesEveryHostileFileWithOneErrorThatNamesIt) {
  const Hostile cases[] = {
      {"bad-two-dicts", "several state dicts ('a', 'b')"},
      {"bad-no-dict", "no state dict"},
      {"bad-compressed", "is compressed"},
      {"bad-call", "asks for Python's '__builtin__.print'"},
      {"bad-call-zip", "asks for Python's '__builtin__.eval'"},
      {"bad-os", "asks for Python's 'os.system'"},
      {"bad-os-stack", "asks for Python's 'os.system'"},
      {"bad-inst", "opcode 83"},
      {"bad-extension", "opcode 130"},
      {"bad-key-twice", "the key 'a' twice"},
      {"bad-deep", "no state dict"},
      {"bad-wide", "more values"},
      {"bad-itself", "no state dict"},
      {"bad-huge-shape", "tensor 'a' is larger than its storage"},
      {"bad-huge-stride", "tensor 'a' has an odd shape"},
      {"bad-beyond", "tensor 'a' is larger than its storage"},
      {"bad-offset", "tensor 'a' is larger than its storage"},
      {"bad-negative", "tensor 'a' has an odd shape"},
      {"bad-expanded", "elements that share memory"},
      {"bad-overlap", "elements that share memory"},
      {"bad-aliases", "the same bytes again and again"},
      {"bad-dict-aliases", "the same dicts again and again"},
      {"bad-cut-storage", "'archive/data/0' is cut"},
      {"bad-storage-size", "storage '0' has an odd size"},
      {"bad-name", "no plain text"},
      {"bad-metadata-name", "no plain text"},
      {"bad-entry-twice", "'archive/data/8' is there twice"},
      {"bad-after", "bytes after its last storage"},
      {"bad-big-endian", "big-endian"},
      {"bad-nothing", "it is empty"},
      {"bad-text", "neither a .safetensors file"},
      {"bad-checksum", "its checksum is wrong"},
  };
  for (const Hostile& hostile : cases) {
    const fs::path path = torch_files() / hostile.file;
    const std::string text = error_of(ExitCode::data, [&] { WeightsFile file(path); });
    EXPECT_THAT(text, HasSubstr(hostile.message)) << hostile.file;
    EXPECT_THAT(text, HasSubstr(path.string()));
  }
  std::size_t hostile_files = 0;
  for (const auto& entry : fs::directory_iterator(torch_files()))
    hostile_files += entry.path().filename().string().starts_with("bad-");
  EXPECT_EQ(hostile_files, std::size(cases)) << "a hostile file is not looked at";
}

TEST(WeightsFile, CutAnywhereIsRefused) {
  for (const char* name : {"zip.pth", "series.th"}) {
    const std::string whole = text_of(torch_files() / name);
    for (std::size_t length = 1; length < whole.size(); ++length) {
      const std::string cut = whole.substr(0, length);
      error_of(ExitCode::data, [&] { read_weights(std::as_bytes(std::span(cut)), name); });
    }
  }
}

/// MUSTER_FUZZ_ROUNDS asks for more than the tests' share.
int rounds() {
  const char* given = std::getenv("MUSTER_FUZZ_ROUNDS");
  return given == nullptr ? 20'000 : std::atoi(given);
}

std::string mutate(std::string text, std::mt19937& random) {
  for (unsigned i = 0; i <= random() % 4; ++i) {
    const std::size_t at = random() % text.size();
    switch (random() % 5) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
        break;
      case 2:
        text.erase(at, random() % 9);
        break;
      case 3:
        text.insert(at, text.substr(random() % text.size(), random() % 30));
        break;
      default: {
        const std::uint64_t number =
            random() % 3 == 0 ? ~std::uint64_t{0} : std::uint64_t{1} << random() % 64;
        text.replace(at, 1U << random() % 4, std::string(reinterpret_cast<const char*>(&number), 8), 0,
                     1U << random() % 4);
      }
    }
    if (text.empty()) text = "x";
  }
  return text;
}

TEST(WeightsFile, AnyBytesAreTensorsWithinTheirBytesOrOneError) {
  std::mt19937 random(2026);
  int accepted = 0;
  int refused = 0;
  std::vector<std::string> seeds;
  for (const char* name : {"zip.pth", "series.th", "root.pth"})
    seeds.push_back(text_of(torch_files() / name));
  for (int round = 0; round < rounds(); ++round) {
    const std::string text = mutate(seeds[random() % seeds.size()], random);
    try {
      const WeightsContent content = read_weights(std::as_bytes(std::span(text)), "x");
      unsigned sum = 0;
      for (const TensorView& tensor : content.torch.tensors) {
        std::uint64_t size = size_of(tensor.dtype);
        for (const std::int64_t extent : tensor.shape) size *= static_cast<std::uint64_t>(extent);
        ASSERT_EQ(size, tensor.bytes.size());
        for (const std::byte byte : tensor.bytes) sum += static_cast<unsigned>(byte);
      }
      accepted += sum < ~0U;
    } catch (const Error& error) {
      ASSERT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::data)) << error.what();
      ++refused;
    }
  }
  // Else the mutations are too tame, or too wild, to say anything.
  EXPECT_GT(accepted, rounds() / 100);
  EXPECT_GT(refused, rounds() / 4);
}

TEST(WeightsFile, ReadsThePublishedResNet20) {
  const char* data = std::getenv("MUSTER_TEST_DATA");
  const fs::path path = fs::path(data ? data : "") / "pretrained" / "resnet20-12fca82f.th";
  if (!data || !fs::exists(path)) GTEST_SKIP() << "needs real images: 'pretrained' below MUSTER_TEST_DATA";
  const WeightsFile file(path);
  EXPECT_EQ(file.format(), WeightsFormat::torch_series);
  EXPECT_EQ(file.entry(), "state_dict");
  EXPECT_EQ(tensor_of(file, "module.linear.weight").shape, (std::vector<std::int64_t>{10, 64}));
  std::size_t parameters = 0;
  for (const TensorView& tensor : file.tensors()) {
    const bool statistic = tensor.name.find("running_") != std::string::npos;
    if (!statistic) parameters += tensor.bytes.size() / 4;
  }
  EXPECT_EQ(parameters, 269'722U) << "0.27 M, as its authors say (with biases and both of each norm's)";
}

constexpr const char* kTorchWriter = R"(
import collections, sys, torch
torch.manual_seed(0)
d = collections.OrderedDict(
    w=torch.randn(4, 3), half=torch.randn(5).half(), brain=torch.randn(5).bfloat16(), n=torch.tensor(7),
    last=torch.randn(4, 2, 3, 3).contiguous(memory_format=torch.channels_last),
    p=torch.nn.Parameter(torch.randn(2, 2).t()), flags=torch.tensor([True, False]), tail=torch.randn(9)[4:],
    none=torch.zeros(0, 3, dtype=torch.int32))
whole = {'state_dict': d, 'epoch': 3, 'lr': 0.1, 'args': None, 'shape': torch.Size([1]), 'dtype': torch.float32}
torch.save(whole, sys.argv[1] + '/zip.pth')
torch.save(whole, sys.argv[1] + '/series.pth', _use_new_zipfile_serialization=False)
torch.save(torch.nn.Linear(2, 2), sys.argv[1] + '/model.pth')
for name, tensor in d.items():
    plain = tensor.detach().clone(memory_format=torch.contiguous_format)
    open(sys.argv[1] + '/' + name + '.bin', 'wb').write(bytes(plain.untyped_storage()))
)";

TEST(WeightsFile, ReadsWhatTorchItselfWrites) {
  const char* python = std::getenv("MUSTER_PEER_PYTHON");
  if (!python) GTEST_SKIP() << "needs a Python with torch: set MUSTER_PEER_PYTHON";
  const TemporaryFolder folder;
  write_text(folder / "write.py", kTorchWriter);
  Process writer({python, folder / "write.py", folder.path()}, {.output = folder / "log"});
  ASSERT_EQ(writer.wait(50), 0) << text_of(folder / "log");
  for (const char* name : {"zip.pth", "series.pth"}) {
    const WeightsFile file(folder / name);
    ASSERT_EQ(file.tensors().size(), 9U);
    for (const TensorView& tensor : file.tensors()) {
      const std::string expected = text_of(folder / (tensor.name + ".bin"));
      EXPECT_TRUE(std::ranges::equal(tensor.bytes, std::as_bytes(std::span(expected)))) << tensor.name;
    }
    EXPECT_EQ(tensor_of(file, "last").shape, (std::vector<std::int64_t>{4, 2, 3, 3}));
    EXPECT_EQ(tensor_of(file, "brain").dtype, DType::bf16);
    EXPECT_EQ(tensor_of(file, "flags").dtype, DType::boolean);
  }
  EXPECT_THAT(error_of(ExitCode::data, [&] { WeightsFile file(folder / "model.pth"); }),
              HasSubstr("torch.nn.modules.linear.Linear"));
}

}  // namespace
}  // namespace muster
