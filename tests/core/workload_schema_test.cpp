#include "core/workload_schema.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::error_of;
using testing::TemporaryFolder;
using testing::write_text;

ParameterSpec make_spec(const std::string& name, ParameterType type, Value value) {
  ParameterSpec spec;
  spec.name = name;
  spec.type = type;
  spec.default_value = std::move(value);
  spec.help = "help for " + name;
  return spec;
}

WorkloadSchema sample() {
  WorkloadSchema schema{"sample", 3, {}, false};
  schema.parameters.push_back(make_spec("lr", ParameterType::floating, 0.1));
  schema.parameters.back().minimum = 0;
  schema.parameters.push_back(make_spec("epochs", ParameterType::integer, 24));
  schema.parameters.back().minimum = 1;
  schema.parameters.back().maximum = 1000;
  schema.parameters.push_back(make_spec("network", ParameterType::string, "resnet9"));
  schema.parameters.back().choices = {"resnet9", "resnet18"};
  schema.parameters.push_back(make_spec("nesterov", ParameterType::boolean, true));
  schema.parameters.push_back(make_spec("milestones", ParameterType::list, Value::List{1, 2}));
  schema.parameters.push_back(make_spec("exchange.algorithm", ParameterType::string, "library"));
  schema.parameters.push_back(
      make_spec("clip", ParameterType::floating, std::numeric_limits<double>::infinity()));
  schema.parameters.push_back(make_spec("data", ParameterType::string, "synthetic"));
  schema.parameters.back().choices = {"synthetic"};
  schema.parameters.back().is_data_path = true;
  schema.parameters.push_back(make_spec("log_every", ParameterType::integer, 10));
  schema.parameters.back().changes_result = false;
  schema.parameters.push_back(make_spec("rounds", ParameterType::integer, false));
  schema.parameters.back().required = true;
  return schema;
}

TEST(WorkloadSchema, ComesBackFromItsManifest) {
  const TemporaryFolder folder;
  write_text(folder / "sample.json", schema_to_json(sample()));
  const WorkloadSchema read = read_schema(folder / "sample.json");
  EXPECT_EQ(schema_to_json(read), schema_to_json(sample()));
  EXPECT_EQ(read.name, "sample");
  EXPECT_EQ(read.result_version, 3);
  ASSERT_EQ(read.parameters.size(), 10U);
  EXPECT_TRUE(std::isinf(read.parameters[6].default_value.as_float()));
  EXPECT_TRUE(read.parameters[7].is_data_path);
  EXPECT_FALSE(read.parameters[8].changes_result);
  EXPECT_TRUE(read.parameters[9].required);
}

TEST(WorkloadSchema, SaysHowToMakeAMissingManifest) {
  const TemporaryFolder folder;
  const std::string at = folder.path().string();
  EXPECT_EQ(error_of(ExitCode::workload, [&] { read_schema(folder / "mine.json"); }),
            "the workload's manifest is not there: cannot read '" + at +
                "/mine.json': No such file or directory; make it with: muster-runner --describe " + at +
                "/mine.so --output " + at + "/mine.json");
}

TEST(WorkloadSchema, RefusesADamagedManifestWhereverItIsCut) {
  const TemporaryFolder folder;
  const std::string whole = schema_to_json(sample());
  for (std::size_t length = 0; length + 2 < whole.size(); length += 7) {
    write_text(folder / "m.json", whole.substr(0, length));
    error_of(ExitCode::workload, [&] { read_schema(folder / "m.json"); });
  }
  for (
      const char* wrong :
      {R"({"name": "x", "result_version": 1})", R"({"name": 1, "result_version": 1, "parameters": []})",
       R"({"name": "x", "result_version": 1, "parameters": [{"name": "a", "type": "complex", "default": 1}]})",
       R"({"name": "x", "result_version": 1, "parameters": [{"name": "a", "type": "float", "default": "big"}]})",
       R"({"name": "x", "result_version": 1, "parameters": [{"name": "a", "type": "integer", "default": 1.5}]})",
       R"({"name": "x", "result_version": 1, "parameters": [{"name": "a", "type": "integer"}]})",
       R"({"name": "x", "result_version": 1, "parameters": [{"name": "a", "type": "list", "default": {}}]})"}) {
    write_text(folder / "m.json", wrong);
    error_of(ExitCode::workload, [&] { read_schema(folder / "m.json"); });
  }
}

TEST(ResolveParameters, FillsInDefaultsAndTheSeed) {
  const Parameters resolved = resolve_parameters(sample(), {{"rounds", 2}}, {});
  EXPECT_EQ(resolved.size(), 11U);
  EXPECT_EQ(resolved.at("lr"), Value(0.1));
  EXPECT_EQ(resolved.at("seed"), Value(0));
  EXPECT_EQ(resolved.at("rounds"), Value(2));
}

TEST(ResolveParameters, TakesAnIntegerWhereAFloatIsAskedFor) {
  EXPECT_EQ(resolve_parameters(sample(), {{"rounds", 2}, {"lr", 1}}, {}).at("lr"), Value(1.0));
}

TEST(ResolveParameters, TakesAnyPathForDataAndAnythingForAnOpenSchema) {
  EXPECT_EQ(resolve_parameters(sample(), {{"rounds", 2}, {"data", "/x"}}, {}).at("data"), Value("/x"));
  WorkloadSchema open{"exec", 1, {}, true};
  EXPECT_EQ(resolve_parameters(open, {{"anything", 1.5}}, {}).at("anything"), Value(1.5));
  error_of(ExitCode::config, [&] { resolve_parameters(open, {{"seed", "x"}}, {}); });
}

struct Wrong {
  Parameters given;
  const char* message;
};

TEST(ResolveParameters, NamesWhatIsWrongAndWhatWouldBeRight) {
  const std::map<std::string, SourcePlace> places = {{"parameters.epoch", {"a.toml", 5, 1}},
                                                     {"parameters.lr", {"a.toml", 6, 1}}};
  const Wrong cases[] = {
      {{{"epoch", 1}}, "a.toml:5:1: workload 'sample' has no parameter 'epoch'; did you mean 'epochs'?"},
      {{{"colour", 1}},
       "workload 'sample' has no parameter 'colour'; known are: clip, data, epochs, exchange.algorithm, "
       "log_every, lr, "
       "milestones, nesterov, network, rounds, seed"},
      {{{"lr", "fast"}},
       "a.toml:6:1: parameter 'lr' must be a float, not the string \"fast\"; its default is 0.1"},
      {{{"epochs", 2.0}}, "parameter 'epochs' must be an integer, not the float 2.0; its default is 24"},
      {{{"nesterov", 1}}, "parameter 'nesterov' must be a boolean, not the integer 1; its default is true"},
      {{{"milestones", 1}},
       "parameter 'milestones' must be a list, not the integer 1; its default is [1, 2]"},
      {{{"network", "resnet8"}}, "parameter 'network' cannot be \"resnet8\"; did you mean 'resnet9'?"},
      {{{"network", "vgg"}}, "parameter 'network' cannot be \"vgg\"; known are: resnet9, resnet18"},
      {{{"epochs", 0}}, "parameter 'epochs' cannot be 0; give a number from 1 to 1000"},
      {{{"lr", -0.5}}, "a.toml:6:1: parameter 'lr' cannot be -0.5; give a number at least 0"},
      {{{"seed", -1}}, "parameter 'seed' cannot be -1; give a number at least 0"},
      {{{"rounds", true}}, "parameter 'rounds' must be an integer, not the boolean true"},
      {{}, "workload 'sample' needs the parameter 'rounds'; give it under [parameters] (help for rounds)"},
  };
  for (const Wrong& wrong : cases) {
    EXPECT_EQ(error_of(ExitCode::config, [&] { resolve_parameters(sample(), wrong.given, places); }),
              wrong.message);
  }
}

}  // namespace
}  // namespace muster
