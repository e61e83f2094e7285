#include "constrain/grammar_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "base/utf8.h"

namespace quern {
namespace {

using testing::HasSubstr;

std::unique_ptr<GrammarMachine> machine_of(std::string_view gbnf) {
  auto machine = GrammarMachine::create(gbnf);
  EXPECT_TRUE(machine) << machine.error().message << '\n' << gbnf;
  return machine ? std::move(*machine) : nullptr;
}

// The state after text, if some accepted text begins so.
std::optional<Machine::State> walk(GrammarMachine& machine, std::string_view text) {
  Machine::State state = machine.start();
  for (size_t i = 0; i < text.size(); ++i) {
    const auto next = machine.step(state, static_cast<uint8_t>(text[i]), text.substr(0, i));
    if (!next) return std::nullopt;
    state = *next;
  }
  return state;
}

bool begins(GrammarMachine& machine, std::string_view text) { return walk(machine, text).has_value(); }
bool accepts(GrammarMachine& machine, std::string_view text) {
  const auto state = walk(machine, text);
  return state && machine.can_end(*state, text);
}

// Of each text: accepted, only the beginning of one, or neither.
void expect_texts(std::string_view gbnf, std::vector<std::string_view> accepted, std::vector<std::string_view> beginnings,
                  std::vector<std::string_view> wrong) {
  const auto machine = machine_of(gbnf);
  for (const std::string_view t : accepted) EXPECT_TRUE(accepts(*machine, t)) << t << "\nof\n" << gbnf;
  for (const std::string_view t : beginnings) {
    EXPECT_TRUE(begins(*machine, t)) << t << "\nof\n" << gbnf;
    EXPECT_FALSE(accepts(*machine, t)) << t << "\nof\n" << gbnf;
  }
  for (const std::string_view t : wrong) {
    EXPECT_FALSE(begins(*machine, t)) << t << "\nof\n" << gbnf;
    EXPECT_TRUE(begins(*machine, t.substr(0, t.size() - 1))) << t << "\nof\n" << gbnf;
  }
  EXPECT_TRUE(machine->healthy());
}

constexpr std::string_view kArithmetic = R"gbnf(
root ::= expr
expr ::= expr ("+" | "-") term | term
term ::= term ("*" | "/") factor | factor
factor ::= "(" expr ")" | [0-9]+ ("." [0-9]+)? | "-" factor
)gbnf";

constexpr std::string_view kJson = R"gbnf(
root   ::= value
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,3})? ws
ws     ::= [ \t\n]*
)gbnf";

constexpr std::string_view kStatements = R"gbnf(
# C-like statements
root        ::= (declaration)*
declaration ::= type ws1 name ws "(" params? ")" ws block
params      ::= type ws1 name ws ("," ws type ws1 name ws)*
type        ::= "int" | "float" | "char"
block       ::= "{" ws statement* "}" ws
statement   ::= type ws1 name ws "=" ws expression ";" ws |
                name ws "=" ws expression ";" ws |
                "return" ws1 expression ";" ws |
                "while" ws "(" ws expression ")" ws block |
                "if" ws "(" ws expression ")" ws block ("else" ws block)?
expression  ::= operand (("+" | "-" | "*" | "<" | "==") ws operand)*
operand     ::= (name | [0-9]+) ws | "(" ws expression ")" ws | name "(" ws (expression ("," ws expression)*)? ")" ws
name        ::= [a-zA-Z_] [a-zA-Z_0-9]*
ws1         ::= [ \t\n]+
ws          ::= [ \t\n]*
)gbnf";

TEST(GrammarMachine, RecognisesArithmeticWithLeftRecursion) {
  expect_texts(kArithmetic, {"1", "1+2*3", "((1.5))-2", "--1*-(2/3)-4"}, {"", "1+", "(", "(1", "1.", "-", "(1)*"},
               {"+", "1++", "(1))", "1..", "()", "1.5."});
}

TEST(GrammarMachine, RecognisesJson) {
  expect_texts(kJson, {"{}", "[]", "[1, 2,\n[]]", R"({"a": [{"b": null}, "\u00e9\n", -1.5e+10], "c": true} )", R"("é😀")"},
               {"", "{", "[1,", R"({"a")", R"({"a":)", "tr", R"("\u12)", "[[[]", "-"},
               {"{]", "[1,]", "[1 2", "tru ", R"({"a" ")", "[]]", "\"\n", "01", R"("\x)"});
}

TEST(GrammarMachine, RecognisesAList) {
  expect_texts("root ::= (\"- \" item)+\nitem ::= [^\\n]+ \"\\n\"\n", {"- a\n", "- é b\n- - \n"}, {"", "-", "- ", "- a", "- a\n-"},
               {"a", "- \n", "- a\n\n"});
}

TEST(GrammarMachine, RecognisesStatements) {
  expect_texts(kStatements,
               {"", "int f(){}", "int main(int a, char b) { int x = 3; while (x < 10) { x = x + g(x, (1)); } return x; }\n",
                "int f(){if(a){}else{b=c;}}int g(){}"},
               {"int", "int f(", "int f(){ int x = ", "int f(){ return", "int f(){ if (a == b) { } els"},
               {"int f(){ 3", "int f(){ x = }", "int f(){ return ;", "float f(int)", "int f(){ if (a) {} else x"});
}

TEST(GrammarMachine, RecognisesChessMoves) {
  expect_texts(R"gbnf(
root    ::= (
    # the first
    "1. " move " " move "\n"
    ([1-9] [0-9]? ". " move " " move "\n")*
)
move    ::= (pawn | nonpawn | castle) [+#]?
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn    ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle  ::= "O-O" "-O"?
)gbnf",
               {"1. e4 e5\n", "1. e4 e5\n2. Nf3 Nc6\n10. O-O-O+ exd8=Q#\n"}, {"", "1. e4", "1. e4 e5\n2", "1. Nb"},
               {"2", "1. e9", "1. e4 e5\n0", "1. O-O-O-"});
}

TEST(GrammarMachine, RecognisesNestedParenthesesOfAnyDepth) {
  const auto machine = machine_of("root ::= \"(\" root \")\" root | \"\"");
  const std::string open(3000, '('), close(3000, ')');
  EXPECT_TRUE(accepts(*machine, open + close));
  EXPECT_TRUE(accepts(*machine, open + close + "()(())"));
  EXPECT_TRUE(begins(*machine, open + close.substr(1)));
  EXPECT_FALSE(accepts(*machine, open + close.substr(1)));
  EXPECT_FALSE(begins(*machine, open + close + ")"));
  EXPECT_TRUE(machine->healthy());
}

TEST(GrammarMachine, RecognisesAmbiguousGrammars) {
  expect_texts("root ::= e\ne ::= e \"+\" e | \"a\"", {"a", "a+a", "a+a+a+a"}, {"", "a+", "a+a+"}, {"+", "aa", "a++"});
  expect_texts("root ::= root root | \"a\" | \"\"", {"", "a", "aaaaaaa"}, {}, {"b", "aab"});
  expect_texts("root ::= root | x | \"a\"\nx ::= root | y\ny ::= x | \"b\" x \"c\"", {"a", "bac", "bbacc"}, {"", "b", "ba", "bbac"},
               {"c", "ab", "bacc"});
}

TEST(GrammarMachine, RecognisesNullableRulesAndHiddenLeftRecursion) {
  // root begins with itself behind a rule that may be empty, and behind a terminal that may.
  expect_texts("root ::= n root \"x\" | \"a\"\nn ::= \"\" | \"(\" n \")\"", {"a", "ax", "axxx", "()ax", "(())()axx"},
               {"", "(", "()", "()a"}, {"x", "(a", "aa"});
  expect_texts("root ::= [b]? root \"x\" | \"a\"", {"a", "axx", "bax", "bbaxx"}, {"", "b", "bbax"}, {"x", "ab"});
  // Everything may be empty.
  expect_texts("root ::= n n n\nn ::= m m | \"(\" n \")\"\nm ::= n | \"\"", {"", "()", "(())", "()()()()()"}, {"(", "()("},
               {")", "())"});
  // Hidden right recursion.
  expect_texts("root ::= \"a\" root n | \"b\"\nn ::= \"\" | \"(\" n \")\"", {"b", "aab", "ab()", "aab()(())"}, {"", "a", "ab("},
               {"b(", "ab()("});
}

TEST(GrammarMachine, WritesOutRepetitionsOfRecursiveRules) {
  expect_texts("root ::= x{2,3} \".\"\nx ::= \"a\" | \"(\" x \")\"", {"aa.", "a(a)((a)).", "aaa."}, {"", "a", "aa", "aa("},
               {"a.", "aaaa", "."});
  expect_texts("root ::= x{2,} \".\"\nx ::= \"a\" | \"(\" x \")\"", {"aa.", "aaaaa."}, {"a", "aa"}, {"a.", "aa)"});
  expect_texts("root ::= (x \",\"){2} \".\"\nx ::= \"a\" | \"(\" x \")\"", {"a,(a),."}, {"a,", "a,a,"}, {"a,.", "a,a,a"});
  expect_texts("root ::= (x | \"b\")? \".\"\nx ::= \"a\" | \"(\" x \")\"", {".", "a.", "b."}, {"", "a"}, {"bb", "ab"});
}

TEST(GrammarMachine, TakesCharactersBytewise) {
  const auto machine = machine_of("root ::= \"é\" [ぁ-ゟ] \"😀\" | \"(\" root \")\"");
  const std::string text = "(éあ😀)";
  for (size_t n = 0; n <= text.size(); ++n) {
    EXPECT_TRUE(begins(*machine, std::string_view(text).substr(0, n))) << n;
    EXPECT_EQ(accepts(*machine, std::string_view(text).substr(0, n)), n == text.size()) << n;
  }
  EXPECT_TRUE(begins(*machine, "\xC3"));         // of é
  EXPECT_FALSE(begins(*machine, "\xC2"));        // nothing that begins so
  EXPECT_FALSE(begins(*machine, "\xC3\xA8"));    // è
  EXPECT_TRUE(begins(*machine, "é\xE3\x81"));    // ぁ is E3 81 81
  EXPECT_TRUE(begins(*machine, "é\xE3\x82"));    // ゟ is E3 82 9F
  EXPECT_FALSE(begins(*machine, "é\xE3\x80"));   // U+3000 to U+303F
  EXPECT_FALSE(begins(*machine, "é\xE3\x83"));   // U+30C0 to U+30FF
  EXPECT_FALSE(begins(*machine, "é\xE3\x81("));  // cut short
  EXPECT_FALSE(begins(*machine, "éあ\xF0\x9F\x99"));
}

TEST(GrammarMachine, TakesExactlyTheBytesOfUtf8) {
  const auto machine = machine_of("root ::= .*");
  for (uint32_t bytes = 0; bytes < 0x10000; ++bytes) {
    const std::string text{static_cast<char>(bytes >> 8), static_cast<char>(bytes)};
    // Two bytes begin a text if what is valid in them is followed by nothing or by an incomplete character.
    const bool want = complete_utf8_prefix(text) == std::min(find_invalid_utf8(text), text.size());
    ASSERT_EQ(begins(*machine, text), want) << bytes;
    ASSERT_EQ(accepts(*machine, text), find_invalid_utf8(text) == std::string_view::npos) << bytes;
  }
  for (const std::string_view four : {"\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "\xEF\xBF\xBF", "\xED\x9F\xBF", "\xEE\x80\x80"})
    EXPECT_TRUE(accepts(*machine, four));
  for (const std::string_view bad : {"\xF0\x8F", "\xF4\x90", "\xED\xA0", "\xE0\x9F", "\xF5", "\xC1"})
    EXPECT_FALSE(begins(*machine, bad));
}

TEST(GrammarMachine, KeysTellPartialCharactersApart) {
  const auto machine = machine_of("root ::= .*");
  const auto key = [&](std::string_view text) { return machine->key(walk(*machine, text).value()); };
  EXPECT_EQ(key("a"), key("bcdé"));
  EXPECT_EQ(key("a\xC3"), key("\xC3"));
  const std::set<std::optional<uint64_t>> keys{key(""),     key("\xC3"),     key("\xC4"),
                                               key("\xE3"), key("\xE3\x81"), key("\xF0\x9F\x98")};
  EXPECT_EQ(keys.size(), 6u);
}

TEST(GrammarMachine, EqualSituationsAreOneState) {
  const auto same = [](std::string_view gbnf, std::string_view a, std::string_view b) {
    const auto machine = machine_of(gbnf);
    EXPECT_EQ(walk(*machine, a).value(), walk(*machine, b).value()) << a << " and " << b;
  };
  same(kJson, "[1,", "[1,2,[3],{},");
  same(kJson, R"({"a":1,"b":[)", R"({"a":{"b":1},"c":{},"d":[)");
  same(kArithmetic, "1+", "1*2+(3)-4+");
  same("root ::= \"a\" root | \"b\"", "", "aaaaa");                     // right recursion
  same("root ::= e\ne ::= e \"+\" e | \"a\"", "a+a", "a+a+a+a+a+a+a");  // ambiguous
  same("root ::= e\ne ::= sum | \"(\" e \")\" | \"a\"\nsum ::= e \"+\" e", "a+(a+a", "a+(a+a+a+a");
  same(kStatements, "int f(){ x = 1;", "int f(){ x = 1; if (a) { b = c; } while (d) {}");
}

TEST(GrammarMachine, LongTextsNeedNoMoreMemory) {
  const auto machine = machine_of(kJson);
  std::string text = "[";
  const auto extend = [&](int n) {
    while (n-- > 0) text += R"({"key": [1, "two", {"three": null}], "other": "text"}, )";
    EXPECT_TRUE(begins(*machine, text));
    return machine->bytes();
  };
  const size_t few = extend(3);
  EXPECT_EQ(extend(300), few);
}

TEST(GrammarMachine, GrammarsThatAreRegularNeedOneItemOnly) {
  const auto machine = machine_of("root ::= a{1,40} b*\na ::= [a-z] | \"é\"\nb ::= \", \" a+\n");
  EXPECT_TRUE(accepts(*machine, "abcé, x, yz"));
  EXPECT_FALSE(begins(*machine, std::string(41, 'a')));
}

TEST(GrammarMachine, SaysWhichLimitWasReached) {
  const auto limited = [](GrammarMachine::Limits limits, std::string_view gbnf, std::string_view text, std::string_view why) {
    SCOPED_TRACE(why);
    auto machine = GrammarMachine::create(gbnf, limits);
    ASSERT_TRUE(machine) << machine.error().message;
    EXPECT_TRUE((*machine)->healthy());
    EXPECT_FALSE(begins(**machine, text));
    const auto health = (*machine)->healthy();
    ASSERT_FALSE(health);
    EXPECT_EQ(health.error().code, Errc::out_of_range);
    EXPECT_THAT(health.error().message, HasSubstr(why));
    EXPECT_FALSE((*machine)->step((*machine)->start(), '(', ""));  // and it stays so
  };
  const std::string_view nested = "root ::= \"(\" root \")\" | \"a\"";
  const std::string deep(100'000, '(');
  limited({.sets = 100}, nested, deep, "more than 100 states");
  limited({.bytes = 100'000}, nested, deep, "more than 100000 bytes");
  limited({.items = 100}, "root ::= \"a\" root n | \"b\"\nn ::= \"\" | \"(\" n \")\"", std::string(200, 'a') + "b",
          "more than 100 readings");
  std::string mixed;
  std::mt19937 random(1);
  while (mixed.size() < 2'000) mixed += random() % 2 == 0 ? 'a' : 'b';
  limited({.exprs = {.nodes = 300}}, "root ::= [ab]* \"a\" [ab]{40}", mixed, "expressions");

  const auto refused = GrammarMachine::create("root ::= (x{1000}){1000}\nx ::= \"a\" | \"(\" x \")\"", {.symbols = 1500});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::out_of_range);
}

TEST(GrammarMachine, DeepAndLongGrammarsAreReadOrRefusedWithoutHarm) {
  std::string chain = "root ::= r0\n", left = "root ::= r0\n", cycle = "root ::= r0 \"x\" | \"y\"\n";
  for (int i = 0; i < 9'000; ++i) {
    chain += fmt::format("r{} ::= \"a\"? r{}?\n", i, i + 1);
    left += fmt::format("r{} ::= (r{} \"a\")?\n", i, i + 1);
    cycle += fmt::format("r{} ::= r{} \"a\" | \"b\"? root\n", i, i + 1);
  }
  for (const std::string& text : {chain + "r9000 ::= \"b\"", left + "r9000 ::= \"b\"", cycle + "r9000 ::= \"b\"",
                                  "root ::= " + std::string(590, '(') + "\"a\"" + std::string(590, ')') + "*"}) {
    auto machine = GrammarMachine::create(text);
    if (!machine) {
      EXPECT_EQ(machine.error().code, Errc::out_of_range) << machine.error().message;
      continue;
    }
    EXPECT_TRUE(begins(**machine, "aaa") || begins(**machine, "yxx") || begins(**machine, "baa") || !(*machine)->healthy());
  }
}

// ---- against a definition: which spans of a text a grammar derives, as the least solution of its equations

struct Definition {
  enum class Kind { text, any, rule, sequence, choice, repeat };
  Kind kind = Kind::text;
  std::string text;  // of a literal; of a class the characters
  int rule = 0;
  std::vector<Definition> parts;
  int min = 0, max = 0;  // -1: any number

  std::string gbnf() const {
    std::string out;
    switch (kind) {
      case Kind::text:
        return '"' + text + '"';
      case Kind::any:
        return '[' + text + ']';
      case Kind::rule:
        return rule == 0 ? "root" : fmt::format("r{}", rule);
      case Kind::repeat:
        return parts[0].gbnf() + (max < 0 ? fmt::format("{{{},}}", min) : fmt::format("{{{},{}}}", min, max));
      case Kind::sequence:
      case Kind::choice:
        for (const Definition& part : parts) out += (out.empty() ? "" : kind == Kind::choice ? " | " : " ") + part.gbnf();
        return '(' + out + ')';
    }
    return out;
  }
};

using Spans = std::set<std::pair<size_t, size_t>>;

Spans product(const Spans& a, const Spans& b) {
  Spans out;
  for (const auto& [i, j] : a)
    for (auto it = b.lower_bound({j, 0}); it != b.end() && it->first == j; ++it) out.emplace(i, it->second);
  return out;
}

Spans spans(const Definition& d, const std::string& text, const std::vector<Spans>& rules) {
  Spans out, empty;
  for (size_t i = 0; i <= text.size(); ++i) empty.emplace(i, i);
  switch (d.kind) {
    case Definition::Kind::text:
      for (size_t i = 0; i + d.text.size() <= text.size(); ++i)
        if (text.compare(i, d.text.size(), d.text) == 0) out.emplace(i, i + d.text.size());
      return out;
    case Definition::Kind::any:
      for (size_t i = 0; i < text.size(); ++i)
        if (d.text.find(text[i]) != std::string::npos) out.emplace(i, i + 1);
      return out;
    case Definition::Kind::rule:
      return rules[static_cast<size_t>(d.rule)];
    case Definition::Kind::sequence:
      out = empty;
      for (const Definition& part : d.parts) out = product(out, spans(part, text, rules));
      return out;
    case Definition::Kind::choice:
      for (const Definition& part : d.parts) out.merge(spans(part, text, rules));
      return out;
    case Definition::Kind::repeat: {
      const Spans once = spans(d.parts[0], text, rules);
      Spans times = empty;
      const int last = d.max >= 0 ? d.max : d.min + static_cast<int>(text.size()) + 1;
      for (int n = 0; n <= last; ++n) {
        if (n >= d.min) out.insert(times.begin(), times.end());
        times = product(times, once);
      }
      return out;
    }
  }
  return out;
}

bool derives(const std::vector<Definition>& rules, const std::string& text) {
  std::vector<Spans> solution(rules.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t r = 0; r < rules.size(); ++r) {
      Spans s = spans(rules[r], text, solution);
      changed = changed || s.size() > solution[r].size();
      solution[r] = std::move(s);
    }
  }
  return solution[0].contains({0, text.size()});
}

Definition random_definition(std::mt19937& random, int num_rules, int depth) {
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  Definition d;
  switch (below(depth > 0 ? 9 : 4)) {
    case 0:
      for (int n = below(3); n > 0; --n) d.text += static_cast<char>('a' + below(2));
      break;
    case 1:
      d.kind = Definition::Kind::any;
      d.text = below(2) == 0 ? "ab" : "a";
      break;
    case 2:
    case 3:
      d.kind = Definition::Kind::rule;
      d.rule = below(num_rules);
      break;
    case 4:
      d.kind = Definition::Kind::repeat;
      d.min = below(3);
      d.max = below(2) == 0 ? -1 : d.min + below(2);
      d.parts.push_back(random_definition(random, num_rules, depth - 1));
      break;
    default:
      d.kind = below(2) == 0 ? Definition::Kind::sequence : Definition::Kind::choice;
      for (int n = 1 + below(3); n > 0; --n) d.parts.push_back(random_definition(random, num_rules, depth - 1));
  }
  return d;
}

// What may follow `state` up to an accepted text, searched for breadth first through the machine.
std::optional<std::string> completion(GrammarMachine& machine, Machine::State state) {
  std::map<uint64_t, std::string> met{{machine.key(state).value(), ""}};
  std::vector<std::pair<Machine::State, std::string>> queue{{state, ""}};
  for (size_t i = 0; i < queue.size() && i < 3'000; ++i) {
    const auto [at, text] = queue[i];
    if (machine.can_end(at, text)) return text;
    for (const char c : {'a', 'b'})
      if (const auto next = machine.step(at, static_cast<uint8_t>(c), text))
        if (met.emplace(machine.key(*next).value(), "").second) queue.emplace_back(*next, text + c);
  }
  return std::nullopt;
}

TEST(GrammarMachine, AgreesWithTheDefinitionOnRandomGrammars) {
  std::vector<std::string> texts{""};
  for (size_t i = 0; texts.size() < 127; ++i)
    for (const char c : {'a', 'b'}) texts.push_back(texts[i] + c);  // up to six characters
  int empty = 0, irregular = 0, completed = 0, too_long = 0;
  for (unsigned seed = 0; seed < 400; ++seed) {
    std::mt19937 random(seed);
    std::vector<Definition> rules;
    const int num_rules = 1 + static_cast<int>(random() % 4);
    for (int r = 0; r < num_rules; ++r) rules.push_back(random_definition(random, num_rules, 3));
    std::string gbnf;
    for (int r = 0; r < num_rules; ++r)
      gbnf += fmt::format("{} ::= {}\n", r == 0 ? "root" : fmt::format("r{}", r), rules[static_cast<size_t>(r)].gbnf());
    SCOPED_TRACE(fmt::format("seed {}\n{}", seed, gbnf));

    const auto made = GrammarMachine::create(gbnf);
    std::set<std::string> derived, begun;
    for (const std::string& text : texts) {
      if (!derives(rules, text)) continue;
      derived.insert(text);
      for (size_t n = 0; n <= text.size(); ++n) begun.insert(text.substr(0, n));
    }
    if (!made) {
      ASSERT_THAT(made.error().message, HasSubstr("root derives no text"));
      ASSERT_TRUE(derived.empty());
      ++empty;
      continue;
    }
    GrammarMachine& machine = **made;
    for (const std::string& text : texts) {
      const auto state = walk(machine, text);
      ASSERT_EQ(state && machine.can_end(*state, text), derived.contains(text)) << text;
      if (begun.contains(text)) {
        ASSERT_TRUE(state) << text;
      } else if (state) {  // a longer text must begin like this one
        const auto rest = completion(machine, *state);
        ++(rest ? completed : too_long);
        ASSERT_TRUE(!rest || derives(rules, text + *rest)) << text << " and " << rest.value_or("");
      }
    }
    ASSERT_TRUE(machine.healthy());
    irregular += gbnf.find("r1") != gbnf.npos;
  }
  EXPECT_LT(empty, 200);
  EXPECT_GT(irregular, 50);
  EXPECT_LE(too_long, completed / 100);  // the shortest text may be past any search
}

}  // namespace
}  // namespace quern
