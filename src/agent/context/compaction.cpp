#include "agent/context/compaction.h"

#include <algorithm>

#include "agent/context/long_results.h"
#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kKeptTurns = 4;       // at first; then one alone
constexpr size_t kShortBytes = 600;    // results up to this length are not worth shortening; a shortened one is below it
constexpr size_t kReferenceBytes = 4;  // arguments shorter than this say nothing about where they come from
constexpr size_t kLineBytes = 240;

std::string one_line(std::string_view text, size_t most) {
  std::string line(text.substr(0, std::min(text.find('\n'), most)));
  line.resize(complete_utf8_prefix(line));
  if (line.size() < text.size()) line += " …";
  return line;
}

// Where the system prompt, the task and an earlier digest end.
size_t first_turn(const std::vector<RunMessage>& messages) {
  size_t at = 0;
  while (at < messages.size() && messages[at].message.role != Role::assistant) ++at;
  return at;
}

// Where the last `turns` turns begin.
size_t last_turns(const std::vector<RunMessage>& messages, size_t turns) {
  size_t at = messages.size();
  while (at > 0 && turns > 0)
    if (messages[--at].message.role == Role::assistant) --turns;
  return at;
}

void collect_strings(const Json& json, std::vector<std::string>& out) {
  if (json.is_string() && json.as_string().size() >= kReferenceBytes) out.push_back(json.as_string());
  if (json.is_array())
    for (const Json& item : json.as_array()) collect_strings(item, out);
  if (json.is_object())
    for (const auto& [key, value] : json.as_object()) collect_strings(value, out);
}

// Results before keep_from that an argument of a call after it occurs in.
std::vector<size_t> referenced(const std::vector<RunMessage>& messages, size_t keep_from) {
  std::vector<std::string> strings;
  for (size_t i = keep_from; i < messages.size(); ++i)
    for (const ToolCall& call : messages[i].message.tool_calls) collect_strings(call.arguments, strings);
  std::vector<size_t> found;
  for (size_t i = 0; i < keep_from; ++i)
    if (messages[i].message.role == Role::tool && !messages[i].digest &&
        std::any_of(strings.begin(), strings.end(),
                    [&](const std::string& s) { return messages[i].message.content.find(s) != std::string::npos; }))
      found.push_back(i);
  return found;
}

std::string shortened(const RunMessage& from, bool readable) {
  const std::string& text = from.message.content;
  std::string out = one_line(text, kLineBytes) + fmt::format("\n(this result, {}, was shortened", extent(text));
  if (readable && from.call > 0) out += fmt::format(R"(; {} {{"id": {}}} shows it)", kReadResult, from.call);
  return out + ")";
}

// Which messages stay, whole or shortened, where turns are dropped: of the earlier turns those with a result in plan.keep.
std::vector<bool> staying(const std::vector<RunMessage>& messages, const CompactionPlan& plan) {
  std::vector<bool> stays(messages.size(), true);
  bool turn_stays = false;
  for (size_t i = 0; i < std::min(plan.keep_from, messages.size()); ++i) {
    const RunMessage& m = messages[i];
    if (m.message.role == Role::assistant)
      turn_stays = std::any_of(plan.keep.begin(), plan.keep.end(), [&](size_t kept) {
        return kept > i && std::none_of(messages.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                        messages.begin() + static_cast<std::ptrdiff_t>(std::min(kept, messages.size())),
                                        [](const RunMessage& between) { return between.message.role == Role::assistant; });
      });
    const bool of_a_turn = m.message.role == Role::assistant || m.message.role == Role::tool;
    stays[i] = !m.digest && (!of_a_turn || turn_stays);
  }
  return stays;
}

// The digest's lines so far, and those of the messages that do not stay.
std::string digest(const std::vector<RunMessage>& messages, const std::vector<bool>& stays, size_t most_bytes, bool readable) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < messages.size(); ++i) {
    const RunMessage& m = messages[i];
    if (m.digest) {
      std::string_view rest = m.message.content;
      while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        if (!line.starts_with('(')) lines.emplace_back(line);
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      }
    } else if (!stays[i] && m.message.role == Role::tool) {
      lines.push_back(fmt::format("{}. {}: {}", m.call > 0 ? fmt::to_string(m.call) : "-", one_line(m.call_line, kLineBytes),
                                  one_line(m.message.content, kLineBytes)));
    }
  }
  size_t bytes = 0, first = lines.size();
  while (first > 0 && bytes + lines[first - 1].size() < most_bytes) bytes += lines[--first].size() + 1;
  std::string text = fmt::format("(Earlier calls of this run, one line each{}.)",
                                 readable ? fmt::format(R"(; {} {{"id": N}} shows the result of call N)", kReadResult) : "");
  if (first > 0) text += fmt::format("\n({} more came before these.)", first);
  for (; first < lines.size(); ++first) text += "\n" + lines[first];
  return text;
}

}  // namespace

Json CompactionPlan::json() const {
  Json out = Json::object();
  out["keep_from"] = static_cast<int64_t>(keep_from);
  out["keep"] = Json::array();
  for (const size_t i : keep) out["keep"].push_back(static_cast<int64_t>(i));
  out["drop_turns"] = drop_turns;
  out["digest_bytes"] = static_cast<int64_t>(digest_bytes);
  return out;
}

Result<CompactionPlan> CompactionPlan::from_json(const Json& json, size_t messages) {
  const auto number = [&](const Json* value, size_t most) -> Result<size_t> {
    const auto n = value && value->is_number() ? value->to_int64() : Result<int64_t>(int64_t{-1});
    if (!n || *n < 0 || static_cast<size_t>(*n) > most)
      return fail(Errc::malformed, "journal: a compaction that fits no conversation");
    return static_cast<size_t>(*n);
  };
  CompactionPlan plan;
  QUERN_ASSIGN(plan.keep_from, number(json.find("keep_from"), messages));
  QUERN_ASSIGN(plan.digest_bytes, number(json.find("digest_bytes"), size_t{1} << 30));
  if (const Json* keep = json.find("keep"); keep && keep->is_array())
    for (const Json& one : keep->as_array()) {
      QUERN_ASSIGN(const size_t at, number(&one, messages));
      plan.keep.push_back(at);
    }
  const Json* drop = json.find("drop_turns");
  plan.drop_turns = drop && drop->is_bool() && drop->as_bool();
  return plan;
}

std::vector<CompactionPlan> compaction_plans(const std::vector<RunMessage>& messages) {
  const size_t first = first_turn(messages), some = last_turns(messages, kKeptTurns), one = last_turns(messages, 1);
  std::vector<CompactionPlan> plans;
  if (first < some) {
    const std::vector<size_t> used = referenced(messages, some);
    plans.push_back({.keep_from = some, .keep = used});
    if (!used.empty()) plans.push_back({.keep_from = some, .keep = used, .drop_turns = true});
    plans.push_back({.keep_from = some, .drop_turns = true});
  }
  if (first < one) {
    plans.push_back({.keep_from = one, .drop_turns = true, .digest_bytes = 1 << 10});
  }
  return plans;
}

std::vector<RunMessage> compacted(const std::vector<RunMessage>& messages, const CompactionPlan& plan, bool readable) {
  const auto kept = [&](size_t i) {
    return i >= plan.keep_from || std::find(plan.keep.begin(), plan.keep.end(), i) != plan.keep.end();
  };
  const std::vector<bool> stays = plan.drop_turns ? staying(messages, plan) : std::vector<bool>(messages.size(), true);
  std::vector<RunMessage> out;
  for (size_t i = 0; i < messages.size(); ++i) {
    const RunMessage& m = messages[i];
    if (plan.drop_turns && i == plan.keep_from) {
      RunMessage summary;
      summary.message.role = Role::tool;
      summary.message.content = digest(messages, stays, plan.digest_bytes, readable);
      summary.digest = true;
      out.push_back(std::move(summary));
    }
    if (!stays[i]) continue;
    out.push_back(m);
    if (m.message.role == Role::tool && !m.digest && !kept(i) && m.message.content.size() > kShortBytes)
      out.back().message.content = shortened(m, readable);
  }
  return out;
}

}  // namespace quern
