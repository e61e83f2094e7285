#include "agent/task/policy.h"

#include <algorithm>

#include "base/utf8.h"
#include "constrain/regex.h"
#include "text/file_tools.h"

namespace quern {
namespace {

constexpr size_t kMaxPattern = 1000;

// The texts that a value is looked at as; `out` stays empty where there is none.
void texts_of(const Json& value, std::vector<std::string>& out) {
  if (value.is_array()) {
    for (const Json& item : value.as_array()) texts_of(item, out);
    return;
  }
  out.push_back(value.is_string() ? value.as_string() : value.dump());
}

const Json* member(const Json& arguments, std::string_view name) {
  if (const Json* whole = arguments.find(name)) return whole;  // a name may have dots itself
  const Json* at = &arguments;
  while (at) {
    const size_t dot = name.find('.');
    at = at->find(name.substr(0, dot));
    if (dot == std::string_view::npos) return at;
    name.remove_prefix(dot + 1);
  }
  return nullptr;
}

bool any_matches(const std::vector<TextPattern>& patterns, std::string_view text) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const TextPattern& p) { return p.matches(text); });
}

bool any_exhausted(const std::vector<TextPattern>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [](const TextPattern& p) { return p.exhausted(); });
}

bool fits(const PolicyRule::Argument& wanted, Verdict verdict, const Json& arguments) {
  const Json* value = member(arguments, wanted.name);
  if (!value) return false;
  std::vector<std::string> texts;
  texts_of(*value, texts);
  const auto plainly = [&](const std::string& text) { return any_matches(wanted.patterns, text); };
  const auto as_path = [&](const std::string& text) { return any_matches(wanted.patterns, normal_spelling(text)); };
  const bool found = verdict == Verdict::allow
                         ? !texts.empty() && std::all_of(texts.begin(), texts.end(),
                                                         [&](const std::string& t) { return plainly(t) && as_path(t); })
                         : std::any_of(texts.begin(), texts.end(), [&](const std::string& t) { return plainly(t) || as_path(t); });
  return found || (verdict != Verdict::allow && any_exhausted(wanted.patterns));  // in doubt the stricter way
}

bool fits(const PolicyRule& rule, const Tool& tool, const ToolCall& call) {
  const auto is_tool = [&](const std::string& glob) { return file_tools::glob_matches(glob, tool.name()); };
  if (!rule.tools.empty() && std::none_of(rule.tools.begin(), rule.tools.end(), is_tool)) return false;
  if (!rule.server.empty() && !file_tools::glob_matches(rule.server, tool.origin)) return false;
  return std::all_of(rule.arguments.begin(), rule.arguments.end(),
                     [&](const PolicyRule::Argument& a) { return fits(a, rule.verdict, call.arguments); });
}

}  // namespace

struct TextPattern::Regex {
  Exprs exprs;
  ExprId language = Exprs::kNothing;
};

std::string_view verdict_name(Verdict verdict) {
  constexpr std::string_view names[] = {"allow", "ask", "deny"};
  return names[static_cast<size_t>(verdict)];
}

Result<TextPattern> TextPattern::glob(std::string text) {
  if (text.size() > kMaxPattern) return fail(Errc::out_of_range, "{} bytes, a pattern has at most {}", text.size(), kMaxPattern);
  TextPattern pattern;
  pattern.glob_ = std::move(text);
  return pattern;
}

Result<TextPattern> TextPattern::regex(std::string_view text) {
  if (text.size() > kMaxPattern) return fail(Errc::out_of_range, "{} bytes, a pattern has at most {}", text.size(), kMaxPattern);
  TextPattern pattern;
  pattern.regex_ = std::make_shared<Regex>();
  QUERN_ASSIGN(pattern.regex_->language, parse_regex(pattern.regex_->exprs, text, RegexSemantics::whole));
  return pattern;
}

bool TextPattern::matches(std::string_view text) const {
  if (!regex_) return file_tools::glob_matches(glob_, text);
  return regex_->exprs.matches(regex_->language, replace_invalid_utf8(text)) && !exhausted();
}

bool TextPattern::exhausted() const { return regex_ && regex_->exprs.exhausted(); }

Verdict Policy::decide(const Tool& tool, const ToolCall& call) const {
  for (const PolicyRule& rule : rules)
    if (fits(rule, tool, call)) return rule.verdict;
  if (fallback) return *fallback;
  return tool.changes_by(call.arguments) ? Verdict::ask : Verdict::allow;
}

Policy Policy::before(const Policy& other) const {
  Policy both = *this;
  both.rules.insert(both.rules.end(), other.rules.begin(), other.rules.end());
  if (!both.fallback) both.fallback = other.fallback;
  return both;
}

std::string normal_spelling(std::string_view text) {
  std::vector<std::string_view> parts;
  const bool absolute = text.starts_with('/');
  size_t kept = 0;  // parts that ".." does not take away: a URL's scheme and host
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    if (parts.size() == 1 && part.empty() && parts[0].ends_with(':')) {
      parts.push_back(part);
      kept = 3;
    } else if (part == ".." && parts.size() > kept && parts.back() != "..") {
      parts.pop_back();
    } else if ((!part.empty() && part != "." && !(part == ".." && (absolute || kept > 0)))) {
      parts.push_back(part);
    }
    begin = end + 1;
  }
  std::string out = absolute ? "/" : "";
  for (size_t i = 0; i < parts.size(); ++i) out.append(i > 0 ? "/" : "").append(parts[i]);
  return out.empty() && !text.empty() ? "." : out;
}

}  // namespace quern
