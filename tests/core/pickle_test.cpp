#include "core/weights/pickle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>
#include <string>

#include "tests/support/error_of.hpp"

namespace muster {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using namespace std::string_literals;

constexpr std::string_view kNames[] = {"collections.OrderedDict", "numpy.dtype"};
const PickleRules kRules{"evil.pkl", kNames, "fetch it again"};

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string refusal_of(const std::string& text) {
  return error_of(ExitCode::data, [&] { Pickle(bytes_of(text), kRules); });
}

TEST(Pickle, RefusesToImportOrCallAnything) {
  EXPECT_THAT(refusal_of("\x80\x02"
                         "cos\nsystem\nU\x04"
                         "true\x85R."s),
              HasSubstr("os.system"));
  // By STACK_GLOBAL, INST, OBJ and the registry of extensions.
  EXPECT_THAT(refusal_of("\x80\x04\x8c\x02os\x8c\x06system\x93)R."s), HasSubstr("os.system"));
  EXPECT_THAT(refusal_of("(S'true'\nios\nsystem\n."s), HasSubstr("opcode 83 is none that data need"));
  EXPECT_THAT(refusal_of("(U\x04trueios\nsystem\n."s), HasSubstr("opcode 105"));
  EXPECT_THAT(refusal_of("(ccollections\nOrderedDict\no."s), HasSubstr("opcode 111"));
  EXPECT_THAT(refusal_of("\x80\x02\x82\x01)R."s), HasSubstr("opcode 130"));
  // What is allowed as a name is not an attribute of anything else.
  EXPECT_THAT(refusal_of("\x80\x04\x8c\x05numpy\x8c\x0b"
                         "dtype.dtype\x93)R."s),
              HasSubstr("numpy.dtype.dtype"));
  // A callee that is data.
  EXPECT_THAT(refusal_of("\x80\x02U\x04true)R."s), HasSubstr("a call is damaged"));
}

TEST(Pickle, KeepsACallOfAnAllowedNameAsData) {
  const std::string text =
      "\x80\x02"
      "ccollections\nOrderedDict\n)Rq\x00(U\x01"
      "aK\x01u}U\x01sNsb."s;
  const Pickle pickle(bytes_of(text), kRules);
  const PickleObject* object = pickle.value().object();
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(object->callee, "collections.OrderedDict");
  EXPECT_TRUE(object->arguments->empty());
  EXPECT_EQ(*object->items.find("a")->integer(), 1);
  EXPECT_NE(object->state.dict()->find("s"), nullptr);
}

TEST(Pickle, ReadsNumbersTextsListsAndDicts) {
  const std::string text =
      "\x80\x02}q\x01(U\x01"
      "aK\x07U\x01"
      "b]q\x02(M\x02\x01J\xff\xff\xff\xff\x8a\x02\x00\xff\x88NG\x3f\xe0\x00\x00\x00\x00\x00\x00"
      "eU\x01"
      "ch\x02u.rest"s;
  const Pickle pickle(bytes_of(text), kRules);
  EXPECT_EQ(pickle.size(), text.size() - 4);
  const PickleDict& dict = *pickle.value().dict();
  EXPECT_EQ(*dict.find("a")->integer(), 7);
  const PickleList& list = *dict.find("b")->list();
  ASSERT_EQ(list.size(), 6U);
  EXPECT_EQ(*list[0].integer(), 258);
  EXPECT_EQ(*list[1].integer(), -1);
  EXPECT_EQ(*list[2].integer(), -256);
  EXPECT_TRUE(*list[3].boolean());
  EXPECT_EQ(std::get<double>(list[5].data), 0.5);
  EXPECT_EQ(dict.find("c")->list(), &list) << "one list, named twice";
  EXPECT_EQ(dict.find("d"), nullptr);
}

TEST(Pickle, KeepsNumbersOfMoreThan64BitsAsBytes) {
  const std::string text = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19."s;
  const Pickle pickle(bytes_of(text), kRules);
  EXPECT_EQ(pickle.value().large_integer()->bytes, "l\xfc\x9c\x46\xf9 j\xa8P\x19");
}

TEST(Pickle, EndsEarlyWithAnError) {
  for (const std::string& text :
       {""s, "\x80"s, "\x80\x02}"s, "\x80\x02U\x20short"s, "\x80\x02(K\x01"s, "\x80\x02R."s,
        "\x80\x02"
        "cos\nsys"s,
        "\x80\x02X\xff\xff\xff\xff"s, "\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff"s, "\x80\x02h\x01."s,
        "."s, "(."s, "]K\x01s."s,
        "}K\x01"
        "a."s,
        "Q."s, "NNb."s}) {
    refusal_of(text);
  }
}

TEST(Pickle, RefusesAKeyGivenTwice) {
  EXPECT_THAT(refusal_of("\x80\x02}(U\x01"
                         "aK\x01U\x01"
                         "aK\x02u."s),
              HasSubstr("the key 'a' twice"));
}

TEST(Pickle, NeitherDepthNorWidthNorACycleExhaustsIt) {
  const std::string deep = "\x80\x02" + std::string(1'000'000, ']') + std::string(999'999, 'a') + ".";
  EXPECT_NE(Pickle(bytes_of(deep), kRules).value().list(), nullptr);
  const std::string cycle = "\x80\x02]q\x01h\x01"s + "a.";
  const Pickle itself(bytes_of(cycle), kRules);
  EXPECT_EQ((*itself.value().list())[0].list(), itself.value().list());
  EXPECT_THAT(refusal_of("\x80\x02]" + std::string(5'000'000, 'N') + "."), HasSubstr("more values"));
  EXPECT_THAT(refusal_of(std::string(5'000'000, '(')), HasSubstr("more values"));
}

}  // namespace
}  // namespace muster
