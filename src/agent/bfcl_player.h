// An engine answers the leaderboard's questions, greedily: one turn each, or turn by turn with the services (bfcl_turns_player.h). Its
// calls are constrained unless one wants to see what the model does alone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/bfcl_services.h"
#include "agent/engine_model.h"
#include "eval/bfcl_score.h"

namespace quern {

struct BfclRecord {
  std::string id;
  std::vector<ToolCall> calls;  // those that could be read
  std::string reply;            // the whole turn; empty where the calls come from a file
  std::optional<Json> turns;    // of an item of several turns, in place of both: as a file of results has them
  BfclVerdict verdict;
  bool malformed = false;   // a call that is none, or of arguments that are no object
  bool cut = false;         // by the context or the budget
  bool unenforced = false;  // its tools' schemas cannot be enforced: it was free to write what it likes
};

struct BfclCounts {
  int64_t items = 0, right = 0, malformed = 0, cut = 0, unenforced = 0;

  void add(const BfclRecord& record);
  void add(const BfclCounts& other);
  double accuracy() const { return items > 0 ? static_cast<double>(right) / static_cast<double>(items) : 0; }
};

struct BfclWork {
  int64_t prompt_tokens = 0, tokens = 0, forced_tokens = 0;
  double prefill_s = 0, decode_s = 0, constrain_s = 0;

  void add(const Reply& reply);
};

// Judges a turn that a model wrote.
BfclRecord judge_bfcl(const BfclItem& item, BfclRule rule, std::string reply, ChatFormat format);

class BfclPlayer {
 public:
  // not_found (no tokenizer). Must not outlive the engine.
  static Result<BfclPlayer> create(const Engine& engine, bool constrained, int64_t max_tokens);
  // Errors: those of the engine that are not the model's failure.
  Result<BfclRecord> play(const BfclItem& item, BfclRule rule);
  Result<BfclRecord> play(const BfclTurnsItem& item, BfclServices& services);
  const BfclWork& work() const { return work_; }

 private:
  BfclPlayer() = default;
  bool can_enforce(const std::vector<Json>& tools) { return constrained_ && constrained_->prepare(tools); }
  std::unique_ptr<EngineModel> constrained_, free_;
  int64_t max_tokens_ = 0;
  BfclWork work_;
};

}  // namespace quern
