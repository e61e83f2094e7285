// Our own schemas (tests/data/schemas, its README says what a case is), each keyword in both directions: enforced exactly, or refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "constrain/schema_machine.h"

namespace quern {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(QUERN_REPO) / "tests/data/schemas";

std::vector<std::string> topics() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().extension() == ".json") out.push_back(entry.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

bool accepts(SchemaMachine& machine, std::string_view text) {
  auto state = std::optional(machine.start());
  for (size_t i = 0; i < text.size() && state; ++i) state = machine.step(*state, static_cast<uint8_t>(text[i]), text.substr(0, i));
  return state && machine.can_end(*state, text);
}

class SchemaCorpus : public testing::TestWithParam<std::string> {};

TEST_P(SchemaCorpus, AcceptsWhatIsValidAndNothingElse) {
  const auto path = kFolder / (GetParam() + ".json");
  const auto text = read_file(path, 16 << 20);
  ASSERT_TRUE(text) << text.error().message;
  const auto cases = Json::parse(*text, path.string(), {.max_depth = 1000});
  ASSERT_TRUE(cases) << cases.error().message;
  for (const Json& c : cases->as_array()) {
    SCOPED_TRACE(c.find("name")->as_string());
    SchemaMachineOptions options;
    const Json* formats = c.find("formats");
    options.schema.assert_formats = !(formats && formats->as_string() == "ignore");
    Refusal refusal;
    const auto machine = SchemaMachine::compile(*c.find("schema"), options, refusal);
    const bool must_refuse = c.find("refused") != nullptr;
    if (!machine) {
      EXPECT_TRUE(must_refuse || c.find("may_refuse")) << "refused: " << refusal.path << ": " << refusal.reason;
      EXPECT_FALSE(refusal.path.empty());
      if (must_refuse && c.find("refused")->is_string()) {
        EXPECT_NE(refusal.reason.find(c.find("refused")->as_string()), std::string::npos) << refusal.reason;
      }
      continue;
    }
    EXPECT_FALSE(must_refuse) << "enforced, though it should be refused";
    for (const Json& instance : c.find("instances")->as_array()) {
      const Json& value = instance.as_array()[0];
      const Json* literal = value.find("$text");
      const std::string dump = literal ? literal->as_string() : value.dump();
      EXPECT_EQ(accepts(*machine, dump), instance.as_array()[1].as_bool()) << dump.substr(0, 300);
    }
    EXPECT_TRUE(machine->healthy());
  }
}

INSTANTIATE_TEST_SUITE_P(Topics, SchemaCorpus, testing::ValuesIn(topics()),
                         [](const auto& param_info) { return param_info.param; });

}  // namespace
}  // namespace quern
