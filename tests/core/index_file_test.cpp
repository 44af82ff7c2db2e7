#include "core/index_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::text_of;
using testing::write_text;

std::string number(std::int64_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

std::string npy(const std::string& header, const std::string& numbers, char major = 1) {
  std::string file = std::string("\x93NUMPY") + major + '\0';
  for (int byte = 0; byte < (major == 1 ? 2 : 4); ++byte)
    file += static_cast<char>(header.size() >> (8 * byte));
  return file + header + numbers;
}

std::string of_shape(const std::string& shape, const std::string& type = "<i8") {
  return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

/// What numpy 2.4.6 saves for numpy.array([3, 0, 7], dtype=numpy.int64).
std::string of_numpy() {
  return npy(of_shape("(3,)") + std::string(60, ' ') + "\n", number(3) + number(0) + number(7));
}

class IndexFile : public ::testing::Test {
 protected:
  std::vector<std::int64_t> read(const std::string& content, const std::string& name = "i.npy",
                                 std::int64_t count = 10) {
    write_text(folder_ / name, content);
    return read_indices(folder_ / name, count);
  }
  std::string refusal(const std::string& content, const std::string& name = "i.npy") {
    return error_of(ExitCode::data, [&] { read(content, name); });
  }

  TemporaryFolder folder_;
};

TEST_F(IndexFile, ReadsWhatNumpySaves) {
  EXPECT_EQ(of_numpy().size(), 152U);
  EXPECT_THAT(read(of_numpy()), ElementsAre(3, 0, 7));
}

TEST_F(IndexFile, WritesTheBytesThatNumpyWrites) {
  write_indices(folder_ / "w.npy", std::vector<std::int64_t>{3, 0, 7});
  EXPECT_EQ(text_of(folder_ / "w.npy"), of_numpy());
  const std::vector<std::int64_t> many(10000, 1);
  write_indices(folder_ / "many.npy", many);
  EXPECT_EQ(text_of(folder_ / "many.npy").size(), 80128U);
}

TEST_F(IndexFile, ReadsBackWhatItWrites) {
  const std::vector<std::int64_t> indices{9, 4, 0};
  for (const char* name : {"a.npy", "a.txt"}) {
    write_indices(folder_ / name, indices);
    EXPECT_EQ(read_indices(folder_ / name, 10), indices) << name;
  }
  EXPECT_EQ(text_of(folder_ / "a.txt"), "9\n4\n0\n");
}

TEST_F(IndexFile, ReadsHeadersThatOthersSpell) {
  const std::string numbers = number(1) + number(2);
  EXPECT_THAT(read(npy("{\"shape\":(2,),\"descr\":\"<i8\",\"fortran_order\":True}", numbers, 2)),
              ElementsAre(1, 2));
  EXPECT_THAT(read(npy(of_shape("(2,)"), numbers, 3)), ElementsAre(1, 2));
  EXPECT_TRUE(read(npy(of_shape("(0,)"), "")).empty());
}

TEST_F(IndexFile, ReadsTextWithWindowsLineEndsAndBlankLines) {
  EXPECT_THAT(read("5\r\n 6 \n\n7", "i.txt"), ElementsAre(5, 6, 7));
}

TEST_F(IndexFile, NamesTheLineThatIsNoIndex) {
  EXPECT_THAT(refusal("5\n6.0\n", "i.txt"), AllOf(HasSubstr("i.txt:2"), HasSubstr("no index")));
  EXPECT_THAT(refusal("99999999999999999999\n", "i.txt"), HasSubstr("i.txt:1"));
}

TEST_F(IndexFile, RefusesOtherNumbers) {
  EXPECT_THAT(refusal(npy(of_shape("(1,)", "<f8"), number(0))),
              AllOf(HasSubstr("'<f8'"), HasSubstr("astype")));
  EXPECT_THAT(refusal(npy(of_shape("(1,)", ">i8"), number(0))), HasSubstr("'>i8'"));
  EXPECT_THAT(refusal(npy(of_shape("(2,)", "<i4"), number(0))), HasSubstr("'<i4'"));
  EXPECT_THAT(refusal(npy("{'descr': [('a', '<i8')], 'fortran_order': False, 'shape': (1,), }", number(0))),
              HasSubstr("records"));
}

TEST_F(IndexFile, RefusesAnythingButOneDimension) {
  EXPECT_THAT(refusal(npy(of_shape("(1, 2)"), number(0) + number(1))), HasSubstr("2 dimensions"));
  EXPECT_THAT(refusal(npy(of_shape("()"), number(0))), HasSubstr("0 dimensions"));
}

TEST_F(IndexFile, RefusesAFileThatEndsEarlyOrGoesOn) {
  const std::string whole = of_numpy();
  EXPECT_THAT(refusal(whole.substr(0, whole.size() - 1)), HasSubstr("2 of its 3"));
  EXPECT_THAT(refusal(whole + "x"), HasSubstr("goes on after its 3"));
  EXPECT_THAT(refusal(npy(of_shape("(2305843009213693952,)"), number(0))),
              HasSubstr("1 of its 2305843009213693952"));
  for (std::size_t length = 1; length < whole.size(); ++length)
    EXPECT_THAT(refusal(whole.substr(0, length)), HasSubstr("i.npy")) << length;
}

TEST_F(IndexFile, RefusesAnIndexOutOfRangeOrTwice) {
  EXPECT_THAT(refusal(npy(of_shape("(2,)"), number(3) + number(10))),
              AllOf(HasSubstr("10"), HasSubstr("outside")));
  EXPECT_THAT(refusal(npy(of_shape("(1,)"), number(-1))), HasSubstr("-1"));
  EXPECT_THAT(refusal(npy(of_shape("(3,)"), number(4) + number(2) + number(4))),
              HasSubstr("4 is there twice"));
  EXPECT_THAT(refusal("1\n1\n", "i.txt"), HasSubstr("1 is there twice"));
}

TEST_F(IndexFile, RefusesAMissingFileAndAnotherName) {
  EXPECT_THAT(error_of(ExitCode::data, [&] { read_indices(folder_ / "none.npy", 1); }),
              HasSubstr("none.npy"));
  EXPECT_THAT(refusal("1\n", "i.csv"), HasSubstr(".npy or .txt"));
  EXPECT_THAT(error_of(ExitCode::data, [&] { write_indices(folder_ / "i.csv", {}); }),
              HasSubstr(".npy or .txt"));
}

/// Each byte of the header to each of some values: read, or refused, and nothing worse.
TEST_F(IndexFile, SurvivesEveryDamagedHeader) {
  const std::string whole = of_numpy();
  int refused = 0;
  for (std::size_t place = 0; place < 80; ++place) {
    for (const char value : {'\0', '\x01', '(', ')', '{', '}', '\'', '\"', ',', '9', '\xFF'}) {
      std::string damaged = whole;
      damaged[place] = value;
      write_text(folder_ / "d.npy", damaged);
      try {
        EXPECT_LE(read_indices(folder_ / "d.npy", 10).size(), 3U);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::data);
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace muster
