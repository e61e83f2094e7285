#include "agent/journal/step_journal.h"

#include <algorithm>
#include <array>

#include "base/digest.h"

namespace quern {
namespace {

constexpr size_t kKeptCheckpoints = 2;
constexpr std::array<std::string_view, 4> kFinish = {"stop", "length", "context", "cancelled"};

std::string tools_sha256(const std::vector<Json>& tools) {
  std::string text;
  for (const Json& tool : tools) text += tool.dump() + "\n";
  return sha256_hex(text);
}

// Members of a record's data. What is missing or of another kind makes the record malformed.
class Fields {
 public:
  explicit Fields(const JournalRecord& record) : record_(record) {}
  std::string text(std::string_view name) {
    const Json* value = find(name, Json::Kind::string);
    return value ? value->as_string() : std::string();
  }
  bool flag(std::string_view name) {
    const Json* value = find(name, Json::Kind::boolean);
    return value && value->as_bool();
  }
  double number(std::string_view name) {
    const Json* value = find(name, Json::Kind::number);
    return value ? value->as_double() : 0;
  }
  int64_t count(std::string_view name) {
    const Json* value = find(name, Json::Kind::number);
    const auto n = value ? value->to_int64() : Result<int64_t>(int64_t{0});
    if (!n || *n < 0) note(name);
    return n.value_or(0);
  }
  void note(std::string_view name) {
    if (wrong_.empty()) wrong_ = name;
  }
  Result<void> done() const {
    if (wrong_.empty()) return {};
    return fail(Errc::malformed, "journal: record {} ({}): {} is missing or wrong", record_.sequence,
                record_kind_name(record_.kind), wrong_);
  }

 private:
  const Json* find(std::string_view name, Json::Kind kind) {
    const Json* value = record_.data.find(name);
    if (value && value->kind() == kind) return value;
    note(name);
    return nullptr;
  }
  const JournalRecord& record_;
  std::string wrong_;
};

}  // namespace

Result<StepJournal> StepJournal::open(JournalRun* run, std::string step, const std::string& instruction, const std::string& system,
                                      const std::vector<Json>& tools) {
  StepJournal journal(run, std::move(step));
  if (!run) return journal;
  QUERN_ASSIGN(const StepProgress progress, run->progress(journal.step_));
  const std::string sum = tools_sha256(tools);
  if (progress.state == StepState::not_begun) {
    Json data = Json::object();
    data["instruction"] = instruction;
    data["system"] = system;
    data["tools"] = sum;
    QUERN_TRY(journal.write(JournalKind::begin, 0, data));
    return journal;
  }
  const JournalRecord& begin = progress.records.front();
  Fields fields(begin);
  if (begin.kind != JournalKind::begin)
    return fail(Errc::malformed, "journal: run {}: step {} has no beginning", run->id(), journal.step_);
  const bool same = fields.text("instruction") == instruction && fields.text("system") == system;
  journal.same_tools_ = fields.text("tools") == sum;
  QUERN_TRY(fields.done());
  if (!same) return fail(Errc::mismatch, "run {}: step {} was begun with another task", run->id(), journal.step_);
  QUERN_TRY(journal.read(progress.records));
  journal.delete_strays();
  return journal;
}

Result<void> StepJournal::read(const std::vector<JournalRecord>& records) {
  for (const JournalRecord& record : records) QUERN_TRY(read(record));
  return {};
}

Result<void> StepJournal::read(const JournalRecord& record) {
  Fields fields(record);
  switch (record.kind) {
    case JournalKind::begin:
      break;
    case JournalKind::check:
      past_.checks.insert_or_assign(record.number, record.text);
      break;
    case JournalKind::turn: {
      PastTurn turn;
      const std::string finish = fields.text("finish");
      turn.reply.text = record.text;
      turn.reply.prompt_tokens = fields.count("prompt_tokens");
      turn.reply.reused_tokens = fields.count("reused_tokens");
      turn.reply.tokens = fields.count("tokens");
      turn.reply.prefill_s = fields.number("prefill_s");
      turn.reply.decode_s = fields.number("decode_s");
      turn.prompt_sha256 = fields.text("prompt_sha256");
      if (std::find(kFinish.begin(), kFinish.end(), finish) == kFinish.end()) fields.note("finish");
      if (finish == kFinish[0])
        past_.turns.insert_or_assign(record.number, std::move(turn));
      else
        past_.cut.push_back(std::move(turn.reply));
      break;
    }
    case JournalKind::decision:
      past_.calls[record.number].decision = PastDecision{fields.flag("allowed"), fields.text("reason")};
      break;
    case JournalKind::call: {
      PastCall& call = past_.calls[record.number];
      const bool changes = fields.flag("changes"), idempotent = fields.flag("idempotent");
      call.begun = true;
      call.repeatable = !changes || idempotent;
      break;
    }
    case JournalKind::result: {
      CallResult result;
      result.event = {.call = record.number, .name = fields.text("name"), .text = record.text};
      result.event.is_error = fields.flag("is_error");
      result.event.malformed = fields.flag("malformed");
      result.event.seconds = fields.number("seconds");
      result.refused = fields.flag("refused");
      result.changed = fields.flag("changed");
      PastCall& call = past_.calls[record.number];
      result.whole = std::exchange(call.whole, {});
      call.result = std::move(result);
      break;
    }
    case JournalKind::output:  // stands before its result
      past_.calls[record.number].whole = record.text;
      break;
    case JournalKind::compaction:
      past_.compactions.insert_or_assign(record.number, record.data);
      break;
    case JournalKind::checkpoint:
      if (fields.text("file") != checkpoint_name(record.number)) fields.note("file");  // it is never a path to somewhere else
      std::erase(past_.checkpoints, record.number);
      past_.checkpoints.push_back(record.number);
      break;
    case JournalKind::finished:
      past_.finished = record.data;
      break;
  }
  return fields.done();
}

Result<void> StepJournal::write(JournalKind kind, int64_t number, const Json& data, std::string_view text) {
  if (!run_) return {};
  QUERN_TRY(run_->record(step_, kind, number, data, text));
  return {};
}

Result<void> StepJournal::turn(int64_t turn, const Reply& reply, const std::string& prompt_sha256) {
  Json data = Json::object();
  data["finish"] = kFinish[static_cast<size_t>(reply.finish)];
  data["prompt_tokens"] = reply.prompt_tokens;
  data["reused_tokens"] = reply.reused_tokens;
  data["tokens"] = reply.tokens;
  data["prefill_s"] = reply.prefill_s;
  data["decode_s"] = reply.decode_s;
  data["prompt_sha256"] = prompt_sha256;
  return write(JournalKind::turn, turn, data, reply.text);
}

Result<void> StepJournal::decision(int64_t call, const PastDecision& decision) {
  Json data = Json::object();
  data["allowed"] = decision.allowed;
  data["reason"] = decision.reason;
  return write(JournalKind::decision, call, data);
}

Result<void> StepJournal::call(int64_t call, const std::string& name, const Json& arguments, bool changes, bool idempotent) {
  Json data = Json::object();
  data["name"] = name;
  data["arguments"] = arguments;
  data["changes"] = changes;
  data["idempotent"] = idempotent;
  return write(JournalKind::call, call, data);
}

Result<void> StepJournal::result(int64_t call, const CallResult& result) {
  if (result.whole) QUERN_TRY(write(JournalKind::output, call, Json(), *result.whole));
  Json data = Json::object();
  data["name"] = result.event.name;
  data["is_error"] = result.event.is_error;
  data["malformed"] = result.event.malformed;
  data["refused"] = result.refused;
  data["changed"] = result.changed;
  data["seconds"] = result.event.seconds;
  return write(JournalKind::result, call, data, result.event.text);
}

Result<void> StepJournal::compaction(int64_t turn, const Json& plan) { return write(JournalKind::compaction, turn, plan); }

Result<void> StepJournal::check(int64_t turn, bool passed, const std::string& output) {
  Json data = Json::object();
  data["passed"] = passed;
  return write(JournalKind::check, turn, data, output);
}

Result<void> StepJournal::finish(const EndEvent& end) {
  if (!run_) return {};
  Json data = event_json(end);
  QUERN_TRY(run_->finish_step(step_, data));
  delete_checkpoints(0);
  return {};
}

// A step's key may be any text; a file's name may not.
std::string StepJournal::checkpoint_prefix() const { return sha256_hex(step_).substr(0, 12) + "-"; }
std::string StepJournal::checkpoint_name(int64_t turn) const { return fmt::format("{}{}.state", checkpoint_prefix(), turn); }

std::filesystem::path StepJournal::checkpoint_file(int64_t turn) const { return run_->folder() / checkpoint_name(turn); }

Result<void> StepJournal::checkpoint(int64_t turn) {
  Json data = Json::object();
  data["file"] = checkpoint_name(turn);
  QUERN_TRY(write(JournalKind::checkpoint, turn, data));
  std::erase(past_.checkpoints, turn);
  past_.checkpoints.push_back(turn);
  delete_checkpoints(kKeptCheckpoints);
  return {};
}

// What a process that was killed left half written, or whole and not yet recorded.
void StepJournal::delete_strays() const {
  std::vector<std::string> recorded;
  for (const int64_t turn : past_.checkpoints) recorded.push_back(checkpoint_name(turn));
  std::error_code ignored;
  std::vector<std::filesystem::path> strays;
  for (const auto& entry : std::filesystem::directory_iterator(run_->folder(), ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(checkpoint_prefix()) && std::find(recorded.begin(), recorded.end(), name) == recorded.end())
      strays.push_back(entry.path());
  }
  for (const auto& stray : strays) std::filesystem::remove(stray, ignored);
}

void StepJournal::delete_checkpoints(size_t but_the_last) {
  std::error_code ignored;  // a file that stays costs room, nothing else
  while (past_.checkpoints.size() > but_the_last) {
    std::filesystem::remove(checkpoint_file(past_.checkpoints.front()), ignored);
    past_.checkpoints.erase(past_.checkpoints.begin());
  }
}

}  // namespace quern
