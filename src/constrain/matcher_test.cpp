// Random walks through many constraints, each promise of the matcher checked against asking the machine token by token.
#include "constrain/matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "base/file.h"
#include "constrain/constraint.h"

namespace quern {
namespace {

constexpr int32_t kEndId = 256;
constexpr int32_t kOtherEndId = 257;

// Ids 0 to 255 are the single bytes, 256 and 257 end the text; then pieces of JSON as real vocabularies have them, some of them twice.
std::vector<std::string> pieces() {
  std::vector<std::string> out;
  for (int byte = 0; byte < 256; ++byte) out.push_back(std::string(1, static_cast<char>(byte)));
  out.resize(258);
  const auto whole = Json::parse(R"json([
    "\": ", "\":", "\", \"", "\",\"", "\"}", "\"]", "{\"", "[\"", "\": \"", "\": {\"", "\": [", "\": [{\"", "\"\"", "\"a\"", "\"a", "a\"",
    "]}", "}]", "}}", "]]", "},", "],", "}, {\"", ", \"", ", ", ",\"", ": ", ": \"", ": {", ": [", "{}", "[]", "[[", "[{", "[{\"", "]\"",
    "\"a\": ", "{\"a\": ", "{\"a\": 1}", ", \"b\": ", "\"b\"", "\"name\"", "x\"y", "\"\"\"", "a\", \"b", "\"{", "foo\"", "é\"",
    "0.", "00", "10", "12", "123", "1234", "1.5", "-1", "-0", "0]", "1}", "1, ", "2, 3", "e1", "E+", "e-", "1e2", ".0", "99", "5,", " 1",
    "true", "false", "null", "tr", "ue", "true,", "null}", "false]", "  ", " {", " [", " \"", "\n", "\t", "\n  ", "a\n",
    "name", "type", "value", "tree", "ab", "abc", "b", "a", "xyz", "the ", "hello", "Paris", "_id", "foo", "bar", "ba", "x-", "aaaa", "aaaaaaaa",
    "2024-", "2024-01-01", "T12:", ":00", "00Z", "a@b.", "com", "http://", "127.0", "::", "ff", "P1D", "\": ",
    "\\n", "\\\"", "\\\\", "\\u00", "\\u000", "\\u0041", "\\/", "\\\"a", "a\\", "\\", "é", "ét", "ж", "я", "€", "\u2028", "中", "😀"
  ])json",
                                 "pieces");
  for (const Json& piece : whole.value().as_array()) out.push_back(piece.as_string());
  for (const char* piece : {"\xc3", "\xa9", "\xd0\xb6\xd1", "\xe2\x80", "\xa8", "\xe4\xb8", "\xe4\xb8\xad\xe6", "\x96\x87",
                            "\xf0\x9f", "\x98\x80", "a\xf0\x9f\x98", "\xed\xa0", "\xc0\x80", "\xff\xfe", "\x80\""})
    out.push_back(piece);
  return out;
}

const Vocabulary& vocabulary() {
  static const Vocabulary vocabulary(pieces(), {kEndId, kOtherEndId});
  return vocabulary;
}

struct Case {
  std::string name;
  Json schema;
};

// Every `stride`th of our own schemas that is enforced.
std::vector<Case> corpus(size_t stride) {
  const std::filesystem::path folder = std::filesystem::path(QUERN_REPO) / "tests/data/schemas";
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Case> out;
  size_t at = 0;
  for (const auto& path : files) {
    const auto text = read_file(path, 16 << 20);
    const auto cases = Json::parse(text.value(), path.string(), {.max_depth = 1000});
    for (const Json& c : cases.value().as_array()) {
      if (c.find("refused") || c.find("may_refuse") || c.find("formats") || at++ % stride != 0) continue;
      out.push_back({path.stem().string() + ": " + c.find("name")->as_string(), *c.find("schema")});
    }
  }
  return out;
}

std::unique_ptr<Machine> machine_of(const Json& schema) {
  auto machine = compile_schema(schema, {});
  return machine ? std::move(*machine) : nullptr;
}

std::vector<int32_t> ids(const TokenMask& mask) {
  std::vector<int32_t> out;
  for (size_t i = 0; i < mask.size(); ++i)
    if (mask.test(static_cast<int32_t>(i))) out.push_back(static_cast<int32_t>(i));
  return out;
}

std::string shown(const std::vector<int32_t>& tokens) {
  std::string out;
  for (const int32_t id : tokens) out += Json(vocabulary().bytes(id)).dump() + " ";
  return out;
}

TokenMask mask_of(Matcher& matcher) {
  const auto mask = matcher.mask();
  EXPECT_TRUE(mask) << mask.error().message;
  return mask ? **mask : TokenMask(vocabulary().size());
}

// The mask as its meaning says: every token asked for on its own.
TokenMask brute_force(Matcher& matcher) {
  TokenMask mask(vocabulary().size());
  for (size_t i = 0; i < vocabulary().size(); ++i)
    if (matcher.accept(static_cast<int32_t>(i))) {
      mask.set(static_cast<int32_t>(i));
      matcher.rollback(1);
    }
  return mask;
}

// A token of the mask; ways out of strings and containers are likelier than their share, the end comes soon.
int32_t choose(const TokenMask& mask, std::mt19937& random) {
  const std::vector<int32_t> all = ids(mask);
  if (mask.test(kEndId) && random() % 3 == 0) return kEndId;
  std::vector<int32_t> closing;
  for (const int32_t id : all)
    if (const auto bytes = vocabulary().bytes(id); bytes.find_first_of("\"}],") != std::string_view::npos) closing.push_back(id);
  if (!closing.empty() && random() % 2 == 0) return closing[random() % closing.size()];
  return all[random() % all.size()];
}

// A walk of at most this many tokens: the ones it took.
std::vector<int32_t> walk(Matcher& matcher, std::mt19937& random, size_t tokens) {
  std::vector<int32_t> taken;
  while (taken.size() < tokens && !matcher.finished()) {
    const TokenMask mask = mask_of(matcher);
    if (mask.empty()) {
      ADD_FAILURE() << "a dead end after " << matcher.text();
      break;
    }
    taken.push_back(choose(mask, random));
    if (!matcher.accept(taken.back())) {
      ADD_FAILURE() << "a token of the mask is refused after " << matcher.text();
      break;
    }
  }
  return taken;
}

void expect_accepted_from_the_start(const Json& schema, std::string_view text) {
  const auto machine = machine_of(schema);
  auto state = std::optional(machine->start());
  for (size_t i = 0; i < text.size() && state; ++i) state = machine->step(*state, static_cast<uint8_t>(text[i]), text.substr(0, i));
  EXPECT_TRUE(state && machine->can_end(*state, text)) << text;
}

TEST(Matcher, MaskIsEveryTokenThatMayComeNextOnRandomWalks) {
  for (const Case& c : corpus(8)) {
    SCOPED_TRACE(c.name);
    Matcher matcher(machine_of(c.schema), vocabulary());
    std::mt19937 random(7);
    for (int round = 0; round < 2; ++round, matcher.restart()) {
      for (int i = 0; i < 12 && !matcher.finished(); ++i) {
        const TokenMask mask = mask_of(matcher), want = brute_force(matcher);
        ASSERT_EQ(ids(mask), ids(want)) << "after " << matcher.text() << "\nmask " << shown(ids(mask)) << "\nwant "
                                        << shown(ids(want));
        ASSERT_FALSE(mask.empty()) << "a dead end after " << matcher.text();
        ASSERT_TRUE(matcher.accept(choose(mask, random)));
      }
    }
  }
}

TEST(Matcher, NoWalkEndsInADeadEndAndWhatEndsIsJsonThatTheSchemaAdmits) {
  size_t ended = 0;
  for (const Case& c : corpus(10)) {
    SCOPED_TRACE(c.name);
    Matcher matcher(machine_of(c.schema), vocabulary());
    std::mt19937 random(11);
    for (int round = 0; round < 4; ++round, matcher.restart()) {
      walk(matcher, random, 50);
      if (!matcher.finished()) continue;
      ++ended;
      const auto json = Json::parse(matcher.text(), "text");
      EXPECT_TRUE(json) << matcher.text();
      expect_accepted_from_the_start(c.schema, matcher.text());
    }
  }
  EXPECT_GT(ended, 50u);
}

TEST(Matcher, RollbackRestoresMasksBitForBit) {
  for (const Case& c : corpus(25)) {
    SCOPED_TRACE(c.name);
    Matcher matcher(machine_of(c.schema), vocabulary());
    std::mt19937 random(13);
    std::vector<TokenMask> masks;
    std::vector<std::string> texts;
    while (masks.size() < 25 && !matcher.finished()) {
      masks.push_back(mask_of(matcher));
      texts.emplace_back(matcher.text());
      ASSERT_TRUE(matcher.accept(choose(masks.back(), random)));
    }
    while (matcher.accepted() > 0) {
      const size_t back = 1 + random() % std::min<size_t>(3, matcher.accepted());
      matcher.rollback(back);
      EXPECT_FALSE(matcher.finished());
      ASSERT_EQ(matcher.text(), texts[matcher.accepted()]);
      ASSERT_EQ(mask_of(matcher), masks[matcher.accepted()]) << "after " << matcher.text();
    }
  }
}

TEST(Matcher, MasksAreTheSameFromAColdAWarmAndATinyCache) {
  for (const Case& c : corpus(17)) {
    SCOPED_TRACE(c.name);
    Matcher warm(machine_of(c.schema), vocabulary());
    Matcher tiny(machine_of(c.schema), vocabulary(), {.mask_bytes = 100});
    for (int round = 0; round < 2; ++round, warm.restart(), tiny.restart()) {
      std::mt19937 random(17);  // the same walk again: now everything is known
      for (int i = 0; i < 20 && !warm.finished(); ++i) {
        const TokenMask mask = mask_of(warm);
        ASSERT_EQ(mask_of(tiny), mask) << "after " << warm.text();
        const int32_t token = choose(mask, random);
        ASSERT_TRUE(warm.accept(token));
        ASSERT_TRUE(tiny.accept(token));
      }
      if (round == 1) {
        Matcher cold(machine_of(c.schema), vocabulary());
        for (const char byte : warm.text()) ASSERT_TRUE(cold.accept(static_cast<uint8_t>(byte)));
        if (!warm.finished()) {
          EXPECT_EQ(mask_of(cold), mask_of(warm)) << "after " << warm.text();
        }
      }
    }
  }
}

TEST(Matcher, CountsTheTokensOfADraftThatMayComeAndStaysWhereItIs) {
  for (const Case& c : corpus(25)) {
    SCOPED_TRACE(c.name);
    Matcher matcher(machine_of(c.schema), vocabulary());
    std::mt19937 random(19);
    walk(matcher, random, random() % 6);
    for (int round = 0; round < 10 && !matcher.finished(); ++round) {
      const std::string text(matcher.text());
      const size_t accepted = matcher.accepted();
      const Machine::State state = matcher.state();
      std::vector<int32_t> draft = walk(matcher, random, random() % 8);
      matcher.rollback(draft.size());
      for (int i = 0; i < 3; ++i)
        draft.push_back(static_cast<int32_t>(random() % (vocabulary().size() + 2)) - 1);  // past both ends, too
      size_t want = 0;
      while (want < draft.size() && matcher.accept(draft[want])) ++want;
      matcher.rollback(want);
      EXPECT_EQ(matcher.count_acceptable(draft), want);
      EXPECT_EQ(matcher.text(), text);
      EXPECT_EQ(matcher.accepted(), accepted);
      EXPECT_EQ(matcher.state(), state);
      EXPECT_EQ(matcher.count_acceptable({}), 0u);
      walk(matcher, random, 2);
    }
  }
}

TEST(Matcher, ForcedTextIsTheOnlyContinuation) {
  size_t forced_bytes = 0;
  for (const Case& c : corpus(23)) {
    SCOPED_TRACE(c.name);
    Matcher matcher(machine_of(c.schema), vocabulary());
    std::mt19937 random(23);
    for (int i = 0; i < 12 && !matcher.finished(); ++i) {
      const std::string text(matcher.text());
      const std::string forced = matcher.forced();
      ASSERT_EQ(matcher.text(), text);
      forced_bytes += forced.size();
      const auto choices = [&] {
        std::vector<int32_t> out;
        for (int32_t byte = 0; byte < 256; ++byte)
          if (matcher.accept(byte)) {
            out.push_back(byte);
            matcher.rollback(1);
          }
        return out;
      };
      for (const char byte : forced) {
        ASSERT_EQ(choices(), std::vector<int32_t>{static_cast<uint8_t>(byte)}) << "after " << matcher.text();
        ASSERT_FALSE(matcher.can_end()) << "after " << matcher.text();
        ASSERT_TRUE(matcher.accept(static_cast<uint8_t>(byte)));
      }
      EXPECT_TRUE(matcher.can_end() || choices().size() > 1 || forced.size() >= Matcher::Limits{}.forced_bytes)
          << "more is forced after " << matcher.text();
      matcher.rollback(forced.size());
      ASSERT_EQ(matcher.text(), text);
      walk(matcher, random, 1);
    }
  }
  EXPECT_GT(forced_bytes, 100u);
}

TEST(Matcher, ForcesNothingWhereTheTextMayEnd) {
  const auto schema = Json::parse(R"({"const": {"a": 1}})", "schema");
  Matcher matcher(machine_of(*schema), vocabulary());
  EXPECT_EQ(matcher.forced(), "{\"a\":");
  ASSERT_EQ(matcher.count_acceptable(std::vector<int32_t>{'{', '"', 'a', '"', ':', '1', '}', kEndId}), 8u);
  for (const char byte : std::string_view("{\"a\":1}")) ASSERT_TRUE(matcher.accept(static_cast<uint8_t>(byte)));
  EXPECT_TRUE(matcher.can_end());
  EXPECT_EQ(matcher.forced(), "");
}

TEST(Matcher, ForcedTextHasABound) {
  auto machine = compile_regex("a{100}b");
  ASSERT_TRUE(machine);
  Matcher matcher(std::move(*machine), vocabulary(), {.forced_bytes = 10});
  EXPECT_EQ(matcher.forced(), std::string(10, 'a'));
}

TEST(Matcher, EndIdsAreAllowedExactlyWhereTheTextMayEnd) {
  for (const Case& c : corpus(12)) {
    SCOPED_TRACE(c.name);
    Matcher matcher(machine_of(c.schema), vocabulary());
    std::mt19937 random(29);
    for (int i = 0; i < 30 && !matcher.finished(); ++i) {
      const TokenMask mask = mask_of(matcher);
      for (const int32_t end : {kEndId, kOtherEndId}) {
        EXPECT_EQ(mask.test(end), matcher.can_end());
        EXPECT_EQ(matcher.accept(end), matcher.can_end());
        EXPECT_EQ(matcher.finished(), matcher.can_end());
        if (matcher.finished()) matcher.rollback(1);
      }
      ASSERT_TRUE(matcher.accept(choose(mask, random)));
    }
  }
}

TEST(Matcher, NothingComesAfterTheEnd) {
  Matcher matcher(machine_of(Json(true)), vocabulary());
  ASSERT_TRUE(matcher.accept('1'));
  ASSERT_TRUE(matcher.accept(kEndId));
  EXPECT_TRUE(matcher.finished());
  EXPECT_TRUE(mask_of(matcher).empty());
  EXPECT_FALSE(matcher.accept('2'));
  EXPECT_FALSE(matcher.accept(kEndId));
  EXPECT_EQ(matcher.forced(), "");
  EXPECT_EQ(matcher.text(), "1");
  matcher.rollback(1);
  EXPECT_FALSE(matcher.finished());
  EXPECT_TRUE(matcher.accept('2'));
  matcher.restart();
  EXPECT_EQ(matcher.text(), "");
  EXPECT_FALSE(matcher.accept('}'));
}

TEST(Matcher, RefusesIdsThatAreNoTokens) {
  std::vector<std::string> tokens = pieces();
  const auto hole = static_cast<int32_t>(tokens.size());
  tokens.emplace_back();
  const Vocabulary with_hole(tokens, {kEndId});
  Matcher matcher(machine_of(Json(true)), with_hole);
  EXPECT_FALSE(matcher.accept(hole));
  EXPECT_FALSE(matcher.accept(kOtherEndId));  // no bytes, and here no end
  EXPECT_FALSE(matcher.accept(-1));
  EXPECT_FALSE(matcher.accept(hole + 1));
  EXPECT_FALSE(matcher.accept(1 << 30));
  EXPECT_EQ(matcher.accepted(), 0u);
}

TEST(Matcher, WalksPatternsAndGrammarsAsItWalksSchemas) {
  const std::string_view grammar = R"gbnf(root ::= item ("," " "? item)* | "(" root ")"
item ::= [a-z0-9é€]+ | "\"" [^"\\]* "\"" | num
num ::= "-"? [0-9]{1,3} ("." [0-9]+)?)gbnf";
  const auto machines = [&] {
    std::vector<std::unique_ptr<Machine>> out;
    for (const char* pattern :
         {"(true|null)(, ?(true|null)){0,3}", "[а-я]+|\"[^\"]*\"|\\d{2,4}-\\d\\d", "(?:a|ab|\\u{1F600})*x?", "[^a]*"})
      out.push_back(std::move(compile_regex(pattern).value()));
    out.push_back(std::move(compile_grammar(grammar).value()));
    out.push_back(std::move(compile_any_json().value()));
    return out;
  };
  auto first = machines(), second = machines();
  for (size_t m = 0; m < first.size(); ++m) {
    SCOPED_TRACE(m);
    Matcher matcher(std::move(first[m]), vocabulary());
    Matcher tiny(std::move(second[m]), vocabulary(), {.mask_bytes = 100});
    std::mt19937 random(31);
    for (int round = 0; round < 3; ++round, matcher.restart(), tiny.restart()) {
      for (int i = 0; i < 12 && !matcher.finished(); ++i) {
        const TokenMask mask = mask_of(matcher), want = brute_force(matcher);
        ASSERT_EQ(ids(mask), ids(want)) << "after " << matcher.text() << "\nmask " << shown(ids(mask)) << "\nwant "
                                        << shown(ids(want));
        ASSERT_EQ(mask_of(tiny), mask);
        ASSERT_FALSE(mask.empty());
        const int32_t token = choose(mask, random);
        ASSERT_TRUE(matcher.accept(token));
        ASSERT_TRUE(tiny.accept(token));
      }
    }
  }
}

TEST(Matcher, SaysThatItsMachineRanOutOfMemory) {
  SchemaMachineOptions options;
  options.max_bytes = 1;
  auto machine = compile_schema(Json(true), options);
  ASSERT_TRUE(machine);
  Matcher matcher(std::move(*machine), vocabulary());
  const auto mask = matcher.mask();
  ASSERT_FALSE(mask);
  EXPECT_EQ(mask.error().code, Errc::out_of_range);
  EXPECT_FALSE(matcher.accept('1'));
  EXPECT_EQ(matcher.accepted(), 0u);
}

}  // namespace
}  // namespace quern
