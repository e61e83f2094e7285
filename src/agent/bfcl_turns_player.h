// The leaderboard's multi-turn questions, played and judged. Playing gives the calls of each step; judging makes them again on new
// services, turn by turn beside those of the ground truth, so that what was recorded elsewhere is judged in the same way.
#pragma once

#include <string>
#include <vector>

#include "agent/bfcl_player.h"
#include "agent/bfcl_services.h"
#include "eval/bfcl_turns.h"

namespace quern {

inline constexpr int kBfclMostSteps = 20;  // with calls, in a turn: after one more, the item ends there

// After every turn that has a ground truth, its services' states must be those of the ground truth, and the results of the ground
// truth's calls of this turn must be among the results that the model saw up to here. Kinds of error: "force_terminated" (turns are
// missing), "empty_turn" (nothing called where something had to be), "state", "response"; "data" (a ground truth that is none) and
// "services" (they failed, or took too long).
BfclVerdict score_bfcl_turns(const BfclTurnsItem& item, const std::vector<BfclSteps>& turns, BfclServices& services);

// record.turns is what load_bfcl_turns_results reads: lists of calls, and as text what a step without them said. Errors: the model's.
Result<BfclRecord> play_bfcl_turns(ChatModel& model, const BfclTurnsItem& item, BfclServices& services, int64_t max_tokens,
                                   BfclWork& work);

}  // namespace quern
