#include "eval/evaluate.h"

#include <algorithm>

#include "text/assistant_parser.h"

namespace quern {
namespace {

std::string call_text(const ToolCall& call) { return call.name + " " + call.arguments.dump(); }

bool same(const ToolCall& a, const ToolCall& b) { return a.name == b.name && a.arguments == b.arguments; }

// One episode in play: compares the model's calls with the expert's as they come.
class Match {
 public:
  explicit Match(const ToolEpisode& episode) : world_(episode.world->clone()) {
    for (const Message& message : episode.conversation.messages)
      for (const ToolCall& call : message.tool_calls) expected_.push_back(call);
    record.scores.episodes = 1;
    record.scores.expected = outcome_.expected = static_cast<int64_t>(expected_.size());
  }

  std::string execute(const ParsedCall& parsed, const std::vector<Json>& tools) {
    const Json* tool = parsed.error ? nullptr : find_tool(tools, parsed.call.name);
    const Result<void> valid = parsed.error ? Result<void>(fail(Errc::malformed, "{}", *parsed.error))
                               : !tool      ? Result<void>(fail(Errc::malformed, "no tool {}", parsed.call.name))
                                            : check_arguments(*tool, parsed.call.arguments);
    if (!valid) {
      malformed(parsed.text + " (" + valid.error().message + ")");
      return "error: " + valid.error().message;
    }
    ++record.scores.calls;
    const auto at =
        differs_ ? std::find_if(expected_.begin(), expected_.end(), [&](const ToolCall& call) { return same(call, parsed.call); })
                 : expected_.begin();
    if (at != expected_.end() && same(*at, parsed.call)) {
      expected_.erase(at);
      ++record.scores.exact;
      outcome_.right += differs_ ? 0 : 1;
    } else {
      differ(call_text(parsed.call));
    }
    return world_->execute(parsed.call);
  }

  void malformed(const std::string& came) {
    if (!outcome_.before_malformed) outcome_.before_malformed = record.scores.calls;
    ++record.scores.calls, ++record.scores.malformed;
    differ(came);
  }

  void cut(const std::string& why) {
    record.scores.cut = 1;
    differ(why);
  }

  void differ(const std::string& came) {
    if (!differs_)
      record.difference = fmt::format("expected {}, got {}", expected_.empty() ? "an answer" : call_text(expected_.front()), came);
    differs_ = true;
  }

  EpisodeRecord finish(const ToolEpisode& episode, const std::string& answer, Conversation played) && {
    record.played = std::move(played);
    if (!expected_.empty()) differ("the answer: " + answer);
    for (const std::string& fact : episode.facts)
      if (!differs_ && answer.find(fact) == std::string::npos) {
        differs_ = true;
        record.difference = fmt::format("the answer lacks \"{}\": {}", fact, answer);
      }
    ToolScores& scores = record.scores;
    outcome_.complete = !differs_;
    scores.complete = outcome_.complete ? 1 : 0;
    scores.done = world_->state() == episode.final_state ? 1 : 0;
    scores.outcomes.push_back(outcome_);
    return std::move(record);
  }

  EpisodeRecord record;

 private:
  std::unique_ptr<World> world_;
  std::vector<ToolCall> expected_;
  bool differs_ = false;
  EpisodeOutcome outcome_;
};

}  // namespace

void ToolScores::add(const ToolScores& other) {
  episodes += other.episodes, expected += other.expected, calls += other.calls, malformed += other.malformed;
  exact += other.exact, complete += other.complete, done += other.done, cut += other.cut;
  outcomes.insert(outcomes.end(), other.outcomes.begin(), other.outcomes.end());
}

Result<EpisodeRecord> play_episode(const ToolEpisode& episode, const ReplyFunction& reply, ChatFormat format) {
  Match match(episode);
  Conversation played;
  played.tools = episode.conversation.tools;
  const int64_t most = 2 * episode.calls + 4;
  std::string answer;
  for (const Message& message : episode.conversation.messages) {
    if (message.role == Role::system) played.messages.push_back(message);
    if (message.role != Role::user) continue;
    played.messages.push_back(message);
    for (;;) {  // the model's turns until it answers
      const auto text = reply(played);
      if (!text && text.error().code == Errc::out_of_range) {
        match.cut(text.error().message);
        return std::move(match).finish(episode, "", std::move(played));
      }
      if (!text) return tl::unexpected(text.error());
      const AssistantTurn turn = parse_assistant(*text, format, played.tools);
      Message said{.role = Role::assistant};
      said.verbatim = *text;
      played.messages.push_back(std::move(said));
      if (turn.missing_opener && turn.calls.empty()) match.malformed(*text);
      if (turn.calls.empty()) {
        answer = turn.content;
        break;
      }
      for (const ParsedCall& call : turn.calls) {
        Message result{.role = Role::tool};
        result.content = match.execute(call, played.tools);
        played.messages.push_back(std::move(result));
      }
      if (match.record.scores.calls >= most) break;
    }
    if (match.record.scores.calls >= most) break;
  }
  return std::move(match).finish(episode, answer, std::move(played));
}

}  // namespace quern
