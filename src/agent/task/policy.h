// Which calls a run may make: rules in order, the first that fits decides. Pure: the same call always gets the same verdict.
//
// A model, or what it read, may try to get around a rule by spelling a value otherwise. So a value is looked at as it is and, where that
// differs, as the path it means ("a//b/../c" is "a/c"): a rule that denies or asks fits when either does, one that allows only when both
// do. What a link in a folder leads to no rule can know.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/tools/tool.h"
#include "base/result.h"
#include "text/conversation.h"

namespace quern {

// What a run may do about a call: do it, ask first, or refuse it. From the mildest to the strictest.
enum class Verdict { allow, ask, deny };
std::string_view verdict_name(Verdict verdict);

// What a whole text looks like. Not shared between threads.
class TextPattern {
 public:
  // '*' any run of characters, '/' among them; '?' one; everything else itself. out_of_range: longer than kMaxPattern.
  static Result<TextPattern> glob(std::string text);
  // As the `pattern` of a JSON Schema is read (ECMA-262), but the whole text has to match. Errors: parse_regex's.
  static Result<TextPattern> regex(std::string_view text);

  // Time grows with the text alone, whatever the pattern. A pattern that has reached its limits matches nothing more: see exhausted().
  bool matches(std::string_view text) const;
  bool exhausted() const;

 private:
  struct Regex;
  std::string glob_;
  std::shared_ptr<Regex> regex_;  // nullptr: a glob
};

struct PolicyRule {
  struct Argument {
    std::string name;                   // of a member of a member: "headers.accept"
    std::vector<TextPattern> patterns;  // any of them
  };
  std::vector<std::string> tools;   // globs, any of them; empty: every tool
  std::string server;               // a glob of the MCP server; empty: wherever the tool comes from
  std::vector<Argument> arguments;  // all of them. A list's items are looked at one by one; what is no text, as its JSON
  Verdict verdict = Verdict::ask;
};

struct Policy {
  std::vector<PolicyRule> rules;
  std::optional<Verdict> fallback;  // where no rule fits; absent: calls that may change things ask, the others do not

  Verdict decide(const Tool& tool, const ToolCall& call) const;
  bool empty() const { return rules.empty() && !fallback; }
  // This policy's rules, then the other's; the other's fallback only where this one has none.
  Policy before(const Policy& other) const;
};

// "a//./b/../c" → "a/c", "https://x/a/../b" → "https://x/b": what a path means, as far as its text tells.
std::string normal_spelling(std::string_view text);

}  // namespace quern
