// One step of a run as the agent loop journals it: what it records, each before it takes effect, and what an earlier process recorded of
// the same step, for the loop to go through again. What each kind of record holds is said here and nowhere else:
//   begin       data {instruction, system, tools}; tools: SHA-256 of their definitions
//   turn n      data {finish, prompt_tokens, reused_tokens, tokens, prefill_s, decode_s, prompt_sha256}, text: as generated
//   decision k  data {allowed, reason}: somebody was asked about call k
//   call k      data {name, arguments, changes, idempotent}; call k is about to be carried out
//   result k    data {name, is_error, malformed, refused, changed, seconds}, text: as the model is shown it
//   output k    text: the whole result, where the model was shown only its beginning
//   compaction n   data: the plan by which the conversation was made shorter before turn n
//   checkpoint n   data {file}: the model's state after turn n is in that file of the run's folder
//   check n     data {passed}, text: what it said of the answer in turn n
//   finished    data {answer, …}
// Turns and calls are counted from 1 in each step.
// Without a journal every function succeeds and nothing is recorded.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "agent/chat_model.h"
#include "agent/events.h"
#include "agent/journal/journal.h"

namespace quern {

struct PastTurn {
  Reply reply;
  std::string prompt_sha256;
};

struct CallResult {
  ResultEvent event;
  bool refused = false, changed = false;
  std::optional<std::string> whole;  // where the event's text is only its beginning
};

struct PastDecision {
  bool allowed = false;
  std::string reason;
};

struct PastCall {
  std::optional<PastDecision> decision;
  bool begun = false;       // it was about to be carried out; without a result nobody knows whether it was
  bool repeatable = false;  // and may be carried out again: it reads, or is idempotent
  std::optional<std::string> whole;
  std::optional<CallResult> result;
};

struct Past {
  std::map<int64_t, PastTurn> turns;  // those that were complete
  std::vector<Reply> cut;             // those that were not, which are asked for again: what they used is used
  std::map<int64_t, PastCall> calls;
  std::map<int64_t, std::string> checks;  // what the check said of an answer, by its turn
  std::map<int64_t, Json> compactions;    // by the turn they came before
  std::vector<int64_t> checkpoints;       // the turns after which the model's state was saved, the newest last
  std::optional<Json> finished;
  bool empty() const { return turns.empty() && !finished; }
};

class StepJournal {
 public:
  // run: not owned, may be null. mismatch: the step began with another instruction or system prompt; malformed: a damaged record.
  static Result<StepJournal> open(JournalRun* run, std::string step, const std::string& instruction, const std::string& system,
                                  const std::vector<Json>& tools);

  bool on() const { return run_ != nullptr; }
  std::string run_id() const { return run_ ? run_->id() : std::string(); }
  const Past& past() const { return past_; }
  bool same_tools() const { return same_tools_; }

  Result<void> turn(int64_t turn, const Reply& reply, const std::string& prompt_sha256);
  Result<void> decision(int64_t call, const PastDecision& decision);
  Result<void> call(int64_t call, const std::string& name, const Json& arguments, bool changes, bool idempotent);
  Result<void> result(int64_t call, const CallResult& result);
  Result<void> compaction(int64_t turn, const Json& plan);
  Result<void> check(int64_t turn, bool passed, const std::string& output);
  Result<void> finish(const EndEvent& end);

  // Where the model's state after a turn is to be saved; then, once it is there, its record: the one before the last is deleted.
  std::filesystem::path checkpoint_file(int64_t turn) const;
  Result<void> checkpoint(int64_t turn);

 private:
  StepJournal(JournalRun* run, std::string step) : run_(run), step_(std::move(step)) {}
  Result<void> read(const std::vector<JournalRecord>& records);
  Result<void> read(const JournalRecord& record);
  Result<void> write(JournalKind kind, int64_t number, const Json& data, std::string_view text = {});
  std::string checkpoint_prefix() const;
  std::string checkpoint_name(int64_t turn) const;
  void delete_strays() const;
  void delete_checkpoints(size_t but_the_last);

  JournalRun* run_;
  std::string step_;
  Past past_;
  bool same_tools_ = true;
};

}  // namespace quern
