#include "agent/bfcl_turns_player.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "text/assistant_parser.h"

namespace quern {
namespace {

using Side = BfclServices::Side;

BfclVerdict wrong(std::string kind, std::string error) { return {false, std::move(kind), std::move(error)}; }
BfclVerdict failed(const Error& error) { return wrong("services", error.message); }

BfclStep as_step(const std::vector<std::string>& sources) { return {sources.begin(), sources.end()}; }

// Results, and how often each came.
class Results {
 public:
  void add(const std::vector<std::string>& results) {
    for (const std::string& result : results) ++times_[result];
  }
  // One that is there less often than asked for; nullptr: none.
  const std::string* missing(const std::vector<std::string>& wanted) const {
    std::unordered_map<std::string_view, int64_t> asked;
    for (const std::string& one : wanted) {
      const auto found = times_.find(one);
      if (found == times_.end() || ++asked[one] > found->second) return &one;
    }
    return nullptr;
  }

 private:
  std::unordered_map<std::string, int64_t> times_;
};

BfclVerdict check_turn(size_t number, const std::vector<std::string>& expected, const Results& results, BfclServices& services) {
  const auto difference = services.difference();
  if (!difference) return failed(difference.error());
  if (*difference) return wrong("state", fmt::format("turn {}: {}", number, **difference));
  if (const std::string* missing = results.missing(expected))
    return wrong("response", fmt::format("turn {}: no call so far gave {}", number, missing->substr(0, 200)));
  return {.right = true, .kind = {}, .error = {}};
}

struct Turn {
  Json steps = Json::array();  // for the record
  BfclSteps calls;
  bool goes_on = true;
};

class Player {
 public:
  Player(ChatModel& model, BfclServices& services, int64_t max_tokens, BfclWork& work)
      : model_(model), services_(services), max_tokens_(max_tokens), work_(work) {}

  Result<BfclRecord> play(const BfclTurnsItem& item) {
    record_ = {.id = item.id, .calls = {}, .reply = {}, .turns = Json::array(), .verdict = {}};
    conversation_.tools = item.tools;
    std::vector<BfclSteps> turns;
    if (const auto started = services_.start(item); !started) return give_up(started.error());
    for (const BfclTurn& turn : item.turns) {
      conversation_.messages.insert(conversation_.messages.end(), turn.messages.begin(), turn.messages.end());
      conversation_.tools.insert(conversation_.tools.end(), turn.new_tools.begin(), turn.new_tools.end());
      QUERN_ASSIGN(Turn played, play_turn());
      record_.turns->push_back(std::move(played.steps));
      turns.push_back(std::move(played.calls));
      if (failure_) return give_up(*failure_);
      if (!played.goes_on) break;
    }
    record_.verdict = score_bfcl_turns(item, turns, services_);
    if (record_.cut && !record_.verdict.right) record_.verdict.kind = "cut";
    return std::move(record_);
  }

 private:
  BfclRecord give_up(const Error& error) {
    record_.verdict = failed(error);
    return std::move(record_);
  }

  Result<Reply> reply() {
    QUERN_ASSIGN(Reply reply, model_.reply(conversation_, max_tokens_, [](std::string_view) { return true; }));
    work_.add(reply);
    Message& message = conversation_.messages.emplace_back();
    message.role = Role::assistant;
    message.verbatim = reply.text;
    return reply;
  }

  // The calls of a reply; nullopt: one of them cannot be read, and then none is made.
  std::optional<std::vector<ToolCall>> read_calls(const std::string& text) {
    std::vector<ToolCall> calls;
    const AssistantTurn turn = parse_assistant(text, model_.format(), conversation_.tools);
    bool readable = !(turn.missing_opener && turn.calls.empty());
    conversation_.messages.back().content = turn.content;
    for (const ParsedCall& call : turn.calls) {
      readable = readable && !call.error && call.call.arguments.is_object();
      calls.push_back(call.call);
    }
    record_.malformed = record_.malformed || !readable;
    return readable ? std::optional(std::move(calls)) : std::nullopt;
  }

  Result<Turn> play_turn() {
    Turn turn;
    for (;;) {
      QUERN_ASSIGN(Reply said, reply());
      const bool cut = said.finish == FinishReason::length || said.finish == FinishReason::context;
      record_.cut = record_.cut || cut;
      std::optional<std::vector<ToolCall>> calls;
      if (!cut) calls = read_calls(said.text);
      if (!calls || calls->empty()) {
        turn.steps.push_back(std::move(said.text));
        turn.goes_on = said.finish != FinishReason::context;  // no later turn would fit either
        return turn;
      }
      if (!make(std::move(*calls), turn)) return turn;
      if (turn.calls.size() <= kBfclMostSteps) continue;
      turn.goes_on = false;
      return turn;
    }
  }

  // Makes the calls of a step and tells the model what they gave; false: the services failed.
  bool make(std::vector<ToolCall> calls, Turn& turn) {
    BfclStep step;
    for (const ToolCall& call : calls) {
      Json one = Json::object();
      one[call.name] = call.arguments;
      step.push_back(std::move(one));
    }
    auto results = services_.call(Side::model, step);
    turn.steps.push_back(step);
    turn.calls.push_back(std::move(step));
    conversation_.messages.back().tool_calls = std::move(calls);
    if (!results) {
      failure_ = results.error();
      return false;
    }
    for (std::string& result : *results) {
      Message& message = conversation_.messages.emplace_back();
      message.role = Role::tool;
      message.content = std::move(result);
    }
    return true;
  }

  ChatModel& model_;
  BfclServices& services_;
  const int64_t max_tokens_;
  BfclWork& work_;
  Conversation conversation_;
  BfclRecord record_;
  std::optional<Error> failure_;  // of the services
};

}  // namespace

BfclVerdict score_bfcl_turns(const BfclTurnsItem& item, const std::vector<BfclSteps>& turns, BfclServices& services) {
  if (turns.size() != item.turns.size())
    return wrong("force_terminated", fmt::format("{} turns, expected {}", turns.size(), item.turns.size()));
  if (const auto started = services.start(item); !started) return failed(started.error());
  Results results;
  for (size_t i = 0; i < turns.size(); ++i) {
    for (const BfclStep& step : turns[i]) {
      const auto made = services.call(Side::model, step);
      if (!made) return failed(made.error());
      results.add(*made);
    }
    if (item.turns[i].truth.empty()) continue;  // whatever was called counts in the turns that follow
    const auto expected = services.call(Side::truth, as_step(item.turns[i].truth));
    if (!expected && expected.error().code == Errc::malformed) return wrong("data", expected.error().message);
    if (!expected) return failed(expected.error());
    if (turns[i].empty()) return wrong("empty_turn", fmt::format("turn {}: nothing was called", i));
    if (BfclVerdict verdict = check_turn(i, *expected, results, services); !verdict.right) return verdict;
  }
  return {.right = true, .kind = {}, .error = {}};
}

Result<BfclRecord> play_bfcl_turns(ChatModel& model, const BfclTurnsItem& item, BfclServices& services, int64_t max_tokens,
                                   BfclWork& work) {
  return Player(model, services, max_tokens, work).play(item);
}

}  // namespace quern
