#include "constrain/grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern {
namespace {

using testing::HasSubstr;

// A tree as text: "literal", [a-z], rule, (a b), (a|b), x{1,2}.
std::string shown(const Grammar& grammar, int32_t node) {
  const Grammar::Node& n = grammar.nodes[static_cast<size_t>(node)];
  std::string out;
  switch (n.kind) {
    case Grammar::Kind::literal:
      return '"' + n.text + '"';
    case Grammar::Kind::rule:
      return grammar.rules[static_cast<size_t>(n.rule)].name;
    case Grammar::Kind::repeat:
      return fmt::format("{}{{{},{}}}", shown(grammar, n.parts[0]), n.min, n.max);
    case Grammar::Kind::chars:
      for (const CodeRange& r : n.chars.ranges())
        out += fmt::format("{}{:X}-{:X}", out.empty() ? "" : " ", static_cast<uint32_t>(r.first), static_cast<uint32_t>(r.last));
      return '[' + out + ']';
    case Grammar::Kind::sequence:
    case Grammar::Kind::choice:
      for (const int32_t part : n.parts)
        out += (out.empty() ? "" : n.kind == Grammar::Kind::choice ? "|" : " ") + shown(grammar, part);
      return '(' + out + ')';
  }
  return out;
}

std::string read(std::string_view gbnf) {
  const auto grammar = Grammar::parse(gbnf);
  if (!grammar) return grammar.error().message;
  std::string out;
  for (const Grammar::Rule& rule : grammar->rules)
    out += (out.empty() ? "" : "; ") + rule.name + " = " + shown(*grammar, rule.body);
  return out;
}

TEST(Grammar, ReadsLiteralsWithTheirEscapes) {
  EXPECT_EQ(read(R"(root ::= "ab")"), R"(root = "ab")");
  EXPECT_EQ(read(R"(root ::= "\n\t\r\\\"\[\]\x41\u00e9\U0001F600é")"), "root = \"\n\t\r\\\"[]Aé😀é\"");
  EXPECT_EQ(read(R"(root ::= "\x80")"), "root = \"\u0080\"");  // a code point, not a byte
  EXPECT_EQ(read(R"(root ::= "")"), R"(root = "")");
}

TEST(Grammar, ReadsCharacterClasses) {
  EXPECT_EQ(read("root ::= [a-c_x]"), "root = [5F-5F 61-63 78-78]");
  EXPECT_EQ(read("root ::= [^a-c]"), "root = [0-60 64-D7FF E000-10FFFF]");  // never a surrogate
  EXPECT_EQ(read("root ::= [^]"), "root = [0-D7FF E000-10FFFF]");
  EXPECT_EQ(read("root ::= ."), "root = [0-D7FF E000-10FFFF]");
  EXPECT_EQ(read("root ::= [-+*/]"), "root = [2A-2B 2D-2D 2F-2F]");
  EXPECT_EQ(read("root ::= [a-]"), "root = [2D-2D 61-61]");
  EXPECT_EQ(read(R"(root ::= [\]\[\\\-\^"\x00-\x1F])"), "root = [0-1F 22-22 2D-2D 5B-5E]");
  EXPECT_EQ(read("root ::= [ぁ-ゟ]"), "root = [3041-309F]");
  EXPECT_EQ(read(R"(root ::= [\uD700-\uE001])"), "root = [D700-D7FF E000-E001]");
}

TEST(Grammar, ReadsSequencesAlternativesAndGroups) {
  EXPECT_EQ(read(R"(root ::= "a" "b" | "c")"), R"(root = (("a" "b")|"c"))");
  EXPECT_EQ(read(R"(root ::= "a" ("b" | "c"))"), R"(root = ("a" ("b"|"c")))");
  EXPECT_EQ(read(R"(root ::= ( ("a") ))"), R"(root = "a")");
  EXPECT_EQ(read(R"(root ::= | "a")"), R"(root = (()|"a"))");
  EXPECT_EQ(read(R"(root ::= "a" | )"), R"(root = ("a"|()))");
  EXPECT_EQ(read(R"(root ::= "a"())"), R"(root = ("a" ()))");
  EXPECT_EQ(read("root ::="), "root = ()");
}

TEST(Grammar, ReadsRepetitions) {
  EXPECT_EQ(read(R"(root ::= "a"* "b"+ "c"?)"), R"(root = ("a"{0,-1} "b"{1,-1} "c"{0,1}))");
  EXPECT_EQ(read(R"(root ::= "a"{3} "b"{ 2 , } "c" {1,4})"), R"(root = ("a"{3,3} "b"{2,-1} "c"{1,4}))");
  EXPECT_EQ(read(R"(root ::= "a"+?)"), R"(root = "a"{1,-1}{0,1})");
  EXPECT_EQ(read(R"(root ::= ("a" "b")+)"), R"(root = ("a" "b"){1,-1})");
  EXPECT_EQ(read(R"(root ::= "a"{0,0} "b")"), R"(root = (() "b"))");
}

TEST(Grammar, ReadsRulesOverSeveralLinesAndComments) {
  EXPECT_EQ(read("# first\n\nroot ::= x # why\n  y-2 ::= [a]\r\n# more\nx ::=\n  \"b\" |\n  y-2 (\n # inside\n \"c\"\n\n) \"d\"\n"),
            R"(root = x; x = ("b"|(y-2 "c" "d")); y-2 = [61-61])");
  EXPECT_EQ(read("root ::= A_1\nA_1 ::= \"x\"#"), R"(root = A_1; A_1 = "x")");
}

TEST(Grammar, RootComesFirstAndRulesThatItDoesNotReachAreLeftOut) {
  EXPECT_EQ(read("b ::= \"x\"\nunused ::= b\nroot ::= a\na ::= b a | b\n"), R"(root = a; a = ((b a)|b); b = "x")");
}

TEST(Grammar, LeavesOutAlternativesThatDeriveNothing) {
  EXPECT_EQ(read("root ::= \"a\" | loop | \"b\" never\nloop ::= \"x\" loop\nnever ::= [^\\x00-\\U0010FFFF]\n"), R"(root = ("a"))");
  EXPECT_EQ(read("root ::= \"a\" loop? loop*\nloop ::= loop\n"), R"(root = ("a" () ()))");
  EXPECT_EQ(read("root ::= \"a\" loop{0}\nloop ::= loop\n"), R"(root = ("a" ()))");
}

TEST(Grammar, SaysWhyARootDerivesNothing) {
  EXPECT_EQ(read("root ::= \"a\" x\nx ::= \"(\" y \")\"\ny ::= x | x x\n"),
            "grammar:3:7: root derives no text: rule 'x' always needs itself again and never ends");
  EXPECT_EQ(read("root ::= root"), "grammar:1:10: root derives no text: rule 'root' always needs itself again and never ends");
  EXPECT_EQ(read("root ::= \"a\" x+\nx ::= [^\\x00-\\U0010FFFF]"),
            "grammar:2:7: root derives no text: this class has no character");
}

TEST(Grammar, NamesLineAndColumnOfWhatIsWrong) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"root ::= \"a\"\nx ::= \"b\"\n  y ::= (\"é\" foo)", "grammar:3:14: undefined rule 'foo'"},
      {"x ::= \"a\"", "grammar:1:1: no rule named 'root', which is what a text must match"},
      {"", "grammar:1:1: no rule named 'root', which is what a text must match"},
      {"root ::= x\nx ::= \"a\"\nx ::= \"b\"", "grammar:3:1: rule 'x' is defined twice"},
      {"root = \"a\"", "grammar:1:6: expected '::=' after the rule's name 'root', found '='"},
      {"root", "grammar:1:5: expected '::=' after the rule's name 'root', found the end of the grammar"},
      {"root ::= \"a\"\n\"b\"", "grammar:2:1: expected the name of a rule, found '\"'"},
      {"root ::= \"a", "grammar:1:10: literal without its closing '\"'"},
      {"root ::= \"a\\", "grammar:1:12: unknown escape: \\ before the end of the grammar"},
      {"root ::= \"\\q\"", "grammar:1:11: unknown escape: \\ before 'q'"},
      {"root ::= \"\\x4g\"", "grammar:1:14: expected 2 hexadecimal digits in the escape, found 'g'"},
      {"root ::= \"\\U00110000\"", "grammar:1:11: escape of U+110000, which is no character"},
      {"root ::= \"\\UFFFFFFFF\"", "grammar:1:11: escape of U+FFFFFFFF, which is no character"},
      {"root ::= \"\\uD800\"", "grammar:1:11: escape of U+D800, which is no character"},
      {"root ::= [a", "grammar:1:10: character class without its closing ']'"},
      {"root ::= [a-", "grammar:1:10: character class without its closing ']'"},
      {"root ::= [z-a]", "grammar:1:11: range that ends before it begins"},
      {"root ::= []", "grammar:1:10: empty character class"},
      {"root ::= (\"a\" | (\"b\")\n", "grammar:2:1: expected ')' for the '(' at 1:10, found the end of the grammar"},
      {"root ::= (\"a\" $)", "grammar:1:15: expected ')' for the '(' at 1:10, found '$'"},
      {"root ::= \"a\" )", "grammar:1:14: expected an element, '|' or the end of rule 'root', found ')'"},
      {"root ::= \"a\" 'b'", "grammar:1:14: expected an element, '|' or the end of rule 'root', found '''"},
      {"root ::= *", "grammar:1:10: '*' has nothing before it to repeat"},
      {"root ::= \"a\"{,3}", "grammar:1:14: expected a number of repetitions, found ','"},
      {"root ::= \"a\"{3", "grammar:1:15: expected '}' of the repetition, found the end of the grammar"},
      {"root ::= \"a\"{3,2}", "grammar:1:13: repetition of at least 3 and at most 2"},
      {"root ::=\nx ::= \"a\"", "grammar:2:3: unexpected '::=': an empty rule or alternative before it is written \"\""},
      {"root ::= \"a\" <think>", "grammar:1:14: token reference '<think>' is not supported: write the token's text as a literal"},
      {"root ::= !<[1000]>*", "grammar:1:10: token reference '!<[1000]>' is not supported: write the token's text as a literal"},
      {std::string_view("root ::= \0", 10), "grammar:1:10: expected an element, '|' or the end of rule 'root', found '\\x00'"},
      {"root ::= \"\xff\"", "grammar: byte 10 is not UTF-8"},
  };
  for (const auto& [text, message] : cases) {
    const auto grammar = Grammar::parse(text);
    ASSERT_FALSE(grammar) << text;
    EXPECT_EQ(grammar.error().message, message);
    EXPECT_EQ(grammar.error().code, text.find('<') != text.npos ? Errc::unsupported : Errc::malformed);
  }
}

TEST(Grammar, RefusesWhatIsPastItsLimits) {
  const auto refused = [](const std::string& text, std::string_view why) {
    const auto grammar = Grammar::parse(text);
    ASSERT_FALSE(grammar) << why;
    EXPECT_EQ(grammar.error().code, Errc::out_of_range);
    EXPECT_THAT(grammar.error().message, HasSubstr(why));
    EXPECT_EQ(grammar.error().message.find('\n'), std::string::npos);
  };
  const auto times = [](size_t n, std::string_view s) {
    std::string out;
    while (n-- > 0) out += s;
    return out;
  };
  refused(std::string((1 << 20) + 1, ' '), "bytes, more than 1048576");
  refused("root ::= " + std::string(500'000, '('), "nested more than 600 deep");
  refused("root ::= \"a\"" + std::string(500'000, '*'), "nested more than 600 deep");
  refused("root ::= \"a\"{10001}", "more than 10000 repetitions");
  refused("root ::= \"a\"{1,99999999999999999999999}", "more than 10000 repetitions");
  refused("root ::= " + times(300'000, ". "), "more than 200000 elements");
  std::string rules = "root ::= \"a\"\n";
  for (int i = 0; i < 10'000; ++i) rules += fmt::format("r{} ::= \"a\"\n", i);
  refused(rules, "more than 10000 rules");
}

}  // namespace
}  // namespace quern
