#include "agent/bfcl_player.h"

#include "agent/bfcl_turns_player.h"
#include "text/assistant_parser.h"

namespace quern {

void BfclCounts::add(const BfclRecord& record) {
  ++items;
  right += record.verdict.right ? 1 : 0;
  malformed += record.malformed ? 1 : 0;
  cut += record.cut ? 1 : 0;
  unenforced += record.unenforced ? 1 : 0;
}

void BfclCounts::add(const BfclCounts& other) {
  items += other.items, right += other.right, malformed += other.malformed, cut += other.cut, unenforced += other.unenforced;
}

void BfclWork::add(const Reply& reply) {
  prompt_tokens += reply.prompt_tokens;
  tokens += reply.tokens;
  forced_tokens += reply.forced_tokens;
  prefill_s += reply.prefill_s;
  decode_s += reply.decode_s;
  constrain_s += reply.constrain_s;
}

BfclRecord judge_bfcl(const BfclItem& item, BfclRule rule, std::string reply, ChatFormat format) {
  BfclRecord record{.id = item.id, .calls = {}, .reply = std::move(reply), .turns = {}, .verdict = {}};
  const AssistantTurn turn = parse_assistant(record.reply, format, item.tools);
  std::string why;
  for (const ParsedCall& call : turn.calls) {
    if (!call.error && call.call.arguments.is_object()) {
      record.calls.push_back(call.call);
      continue;
    }
    record.malformed = true;
    why = call.error.value_or("arguments that are no object");
  }
  if (turn.missing_opener && turn.calls.empty()) record.malformed = true, why = "a call without its <tool_call>";
  if (record.malformed && rule != BfclRule::no_call)
    record.verdict = {false, "malformed", why};  // as the leaderboard has it: a turn that cannot be read makes no calls
  else
    record.verdict = score_bfcl(item, rule, record.malformed ? std::vector<ToolCall>{} : record.calls);
  return record;
}

Result<BfclPlayer> BfclPlayer::create(const Engine& engine, bool constrained, int64_t max_tokens) {
  BfclPlayer player;
  player.max_tokens_ = max_tokens;
  if (constrained) {
    QUERN_ASSIGN(player.constrained_, EngineModel::create(engine, {.sampling = {}, .constrained = true, .choice = {}}));
  }
  QUERN_ASSIGN(player.free_, EngineModel::create(engine, {.sampling = {}, .constrained = false, .choice = {}}));
  return player;
}

Result<BfclRecord> BfclPlayer::play(const BfclItem& item, BfclRule rule) {
  Conversation conversation{.messages = item.messages, .tools = item.tools};
  const bool enforced = can_enforce(item.tools);
  EngineModel& model = enforced ? *constrained_ : *free_;
  QUERN_ASSIGN(Reply reply, model.reply(conversation, max_tokens_, [](std::string_view) { return true; }));
  work_.add(reply);
  const bool cut = reply.finish == FinishReason::length || reply.finish == FinishReason::context;
  BfclRecord record = judge_bfcl(item, rule, std::move(reply.text), model.format());
  record.unenforced = constrained_ && !enforced;
  record.cut = cut;
  if (cut) record.malformed = false;  // a call that was left unfinished is none
  if (cut && record.verdict.right && rule != BfclRule::some_call) record.verdict = {false, "cut", "the answer was cut off"};
  if (cut && !record.verdict.right) record.verdict.kind = "cut";
  return record;
}

Result<BfclRecord> BfclPlayer::play(const BfclTurnsItem& item, BfclServices& services) {
  std::vector<Json> tools = item.tools;
  for (const BfclTurn& turn : item.turns) tools.insert(tools.end(), turn.new_tools.begin(), turn.new_tools.end());
  const bool enforced = can_enforce(tools);
  QUERN_ASSIGN(BfclRecord record, play_bfcl_turns(enforced ? *constrained_ : *free_, item, services, max_tokens_, work_));
  record.unenforced = constrained_ && !enforced;
  return record;
}

}  // namespace quern
