#include "core/safetensors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <random>

#include "core/checksum.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/own_mount.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::error_of;
using testing::OwnMount;
using testing::Process;
using testing::TemporaryFolder;
using testing::text_of;
using testing::write_text;

template <typename T>
TensorView view(const std::string& name, DType type, std::vector<std::int64_t> shape,
                const std::vector<T>& data) {
  return {name, type, std::move(shape), std::as_bytes(std::span(data))};
}

const std::vector<float> kFloats = {1.5F, -2.0F, 0.1F, 3e38F, -0.0F, 42.0F};
const std::vector<std::uint8_t> kBytes = {1, 2, 255};
const std::vector<double> kDoubles = {0.1};
const std::vector<std::int64_t> kLongs = {};

std::vector<TensorView> sample() {
  return {view("bytes", DType::u8, {3}, kBytes), view("weight \"q\" ü", DType::f32, {2, 3}, kFloats),
          view("scalar", DType::f64, {}, kDoubles), view("empty", DType::i64, {0, 7}, kLongs)};
}

TEST(Safetensors, GivesBackTensorsAndMetadata) {
  const TemporaryFolder folder;
  const std::string checksum =
      write_safetensors(folder / "a", sample(), {{"epoch", "3"}, {"note", "line\nü"}});
  const SafetensorsFile file(folder / "a");
  ASSERT_EQ(file.tensors().size(), 4U);
  for (const TensorView& expected : sample()) {
    const TensorView* found = file.find(expected.name);
    ASSERT_NE(found, nullptr) << expected.name;
    EXPECT_EQ(found->dtype, expected.dtype);
    EXPECT_EQ(found->shape, expected.shape);
    ASSERT_EQ(found->bytes.size(), expected.bytes.size());
    EXPECT_TRUE(std::ranges::equal(found->bytes, expected.bytes)) << expected.name;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found->bytes.data()) % size_of(found->dtype), 0U)
        << expected.name;
  }
  EXPECT_EQ(file.find("bias"), nullptr);
  EXPECT_EQ(file.metadata().at("note"), "line\nü");
  EXPECT_EQ(file.checksum(), checksum);
  EXPECT_EQ(checksum, checksum128(text_of(folder / "a")));
}

TEST(Safetensors, HoldsNoTensorsToo) {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", {});
  EXPECT_TRUE(SafetensorsFile(folder / "a").tensors().empty());
}

TEST(Safetensors, ViewsOutliveAMove) {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", sample());
  SafetensorsFile first(folder / "a");
  const TensorView* tensor = first.find("scalar");
  const SafetensorsFile second = std::move(first);
  EXPECT_EQ(second.find("scalar"), tensor);
  double value = 0;
  std::memcpy(&value, tensor->bytes.data(), sizeof value);
  EXPECT_EQ(value, 0.1);
}

/// Reads with nothing but Python's standard library, by the format's own page.
constexpr const char* kPythonReader = R"(
import json, struct, sys
raw = open(sys.argv[1], 'rb').read()
size, = struct.unpack('<Q', raw[:8])
header = json.loads(raw[8:8 + size])
data = raw[8 + size:]
assert header.pop('__metadata__') == {'epoch': '3'}
assert (8 + size) % 8 == 0
widths = {'U8': 1, 'F32': 4, 'F64': 8, 'I64': 8}
end = 0
for name, entry in header.items():
    begin, stop = entry['data_offsets']
    count = 1
    for extent in entry['shape']: count *= extent
    assert begin == end and stop - begin == count * widths[entry['dtype']], name
    end = stop
assert end == len(data)
def values(name, code):
    begin, stop = header[name]['data_offsets']
    return [x[0] for x in struct.iter_unpack('<' + code, data[begin:stop])]
assert values('bytes', 'B') == [1, 2, 255]
assert values('scalar', 'd') == [0.1]
assert header['empty']['shape'] == [0, 7]
floats = values('weight "q" ü', 'f')
assert floats[0] == 1.5 and floats[5] == 42 and header['weight "q" ü']['shape'] == [2, 3]
)";

TEST(Safetensors, PythonReadsWhatIsWritten) {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", sample(), {{"epoch", "3"}});
  write_text(folder / "read.py", kPythonReader);
  Process python({"python3", folder / "read.py", folder / "a"}, {.output = folder / "log"});
  EXPECT_EQ(python.wait(), 0) << text_of(folder / "log");
}

constexpr const char* kPythonWriter = R"(
import json, struct, sys
header = {'b': {'dtype': 'BF16', 'shape': [2], 'data_offsets': [8, 12]},
          'a': {'dtype': 'I64', 'shape': [1], 'data_offsets': [0, 8]}, '__metadata__': {'format': 'pt'}}
text = json.dumps(header).encode()
open(sys.argv[1], 'wb').write(struct.pack('<Q', len(text)) + text + struct.pack('<q', -5) + b'\x80\x3f\x00\x40')
)";

TEST(Safetensors, ReadsWhatPythonWrites) {
  const TemporaryFolder folder;
  write_text(folder / "write.py", kPythonWriter);
  Process python({"python3", folder / "write.py", folder / "a"}, {.output = folder / "log"});
  ASSERT_EQ(python.wait(), 0) << text_of(folder / "log");
  const SafetensorsFile file(folder / "a");
  EXPECT_EQ(file.tensors().at(0).name, "a");
  std::int64_t number = 0;
  std::memcpy(&number, file.find("a")->bytes.data(), sizeof number);
  EXPECT_EQ(number, -5);
  EXPECT_EQ(file.find("b")->dtype, DType::bf16);
  EXPECT_EQ(file.metadata().at("format"), "pt");
}

std::string with_header(const std::string& header, std::size_t data_size) {
  const std::uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header +
         std::string(data_size, 'x');
}

struct Damaged {
  const char* header;
  std::size_t data_size;
  const char* message;
};

TEST(Safetensors, NamesWhatIsWrongWithADamagedHeader) {
  const Damaged cases[] = {
      {"[1]", 0, "its header is no JSON object"},
      {R"({"a": 1})", 0, "tensor 'a' is described wrongly"},
      {R"({"a": {"dtype": "F32", "shape": [1]}})", 4, "tensor 'a' is described wrongly"},
      {R"({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}})", 4,
       "a shape that is not of whole numbers"},
      {R"({"a": {"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]}})", 4,
       "a shape that is not of whole numbers"},
      {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}})", 4, "offsets that are no range"},
      {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}})", 4, "offsets that are no range"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", 4,
       "ends behind the end of the file"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}})", 4, "another size than its shape"},
      {R"({"a": {"dtype": "F32", "shape": [4611686018427387905], "data_offsets": [0, 4]}})", 4,
       "another size than its shape"},
      {R"({"a": {"dtype": "F32", "shape": [9223372036854775807, 9223372036854775807], "data_offsets": [0, 4]}})",
       4, "another size than its shape"},
      {R"({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}})", 1, "element type 'F8_E4M3'"},
      {R"({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}, "b": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]}})",
       3, "tensor 'b' overlaps another"},
      {R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "b": {"dtype": "U8", "shape": [1], "data_offsets": [2, 3]}})",
       3, "a hole before tensor 'b'"},
      {R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}})", 2, "a hole before tensor 'a'"},
      {R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})", 2, "bytes after the last tensor"},
      {R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})",
       1, "tensor 'a' is there twice"},
      {R"({"__metadata__": {"a": 1}})", 0, "its metadata holds more than text"},
      {R"({"__metadata__": 1})", 0, "its metadata is no JSON object"},
      {"{", 0, "its header is no JSON"},
      {"", 0, "its header is no JSON"},
  };
  const TemporaryFolder folder;
  for (const Damaged& damaged : cases) {
    write_text(folder / "a", with_header(damaged.header, damaged.data_size));
    const std::string text = error_of(ExitCode::data, [&] { SafetensorsFile file(folder / "a"); });
    EXPECT_NE(text.find(damaged.message), std::string::npos) << damaged.header << "\n" << text;
    EXPECT_EQ(text.find((folder / "a").string()), 0U) << text;
  }
}

TEST(Safetensors, RefusesAHeaderThatLeavesTheFileAndNoFile) {
  const TemporaryFolder folder;
  write_text(folder / "a", std::string(8, '\xff') + "{}");
  error_of(ExitCode::data, [&] { SafetensorsFile file(folder / "a"); });
  write_text(folder / "a", "1234567");
  error_of(ExitCode::data, [&] { SafetensorsFile file(folder / "a"); });
  write_text(folder / "a", "");
  error_of(ExitCode::data, [&] { SafetensorsFile file(folder / "a"); });
  error_of(ExitCode::data, [&] { SafetensorsFile file(folder / "none"); });
  error_of(ExitCode::data, [&] { SafetensorsFile file(folder.path()); });
}

TEST(Safetensors, CutAnywhereIsRefused) {
  const TemporaryFolder folder;
  write_safetensors(folder / "whole", sample(), {{"epoch", "3"}});
  const std::string whole = text_of(folder / "whole");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_text(folder / "cut", whole.substr(0, length));
    error_of(ExitCode::data, [&] { SafetensorsFile file(folder / "cut"); });
  }
}

TEST(Safetensors, MutatedBytesAreRefusedOrChangeTheChecksum) {
  const TemporaryFolder folder;
  const std::string checksum = write_safetensors(folder / "whole", sample(), {{"epoch", "3"}});
  const std::string whole = text_of(folder / "whole");
  std::mt19937 random(5);
  for (int i = 0; i < 800; ++i) {
    std::string mutated = whole;
    for (unsigned n = 0; n <= random() % 4; ++n)
      mutated[random() % mutated.size()] = static_cast<char>(random());
    if (mutated == whole) continue;
    write_text(folder / "mutated", mutated);
    try {
      const SafetensorsFile file(folder / "mutated");
      ASSERT_NE(file.checksum(), checksum);
    } catch (const Error& error) {
      ASSERT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::data)) << error.what();
    }
  }
}

TEST(Safetensors, RefusesToWriteANameTwiceOrAWrongSize) {
  const TemporaryFolder folder;
  const TensorView tensor = view("a", DType::u8, {3}, kBytes);
  error_of(ExitCode::internal, [&] { write_safetensors(folder / "a", {tensor, tensor}); });
  error_of(ExitCode::internal, [&] { write_safetensors(folder / "a", {view("a", DType::u8, {4}, kBytes)}); });
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Safetensors, AFullDiskLeavesNoFile) {
  const TemporaryFolder folder;
  OwnMount mount(folder.path(), 64);
  if (!mount.reason().empty()) GTEST_SKIP() << mount.reason();
  const std::vector<std::uint8_t> large(1 << 20, 1);
  const std::string text = error_of(
      ExitCode::storage, [&] { write_safetensors(folder / "a", {view("a", DType::u8, {1 << 20}, large)}); });
  EXPECT_NE(text.find("No space left on device"), std::string::npos) << text;
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace muster
