// An engine plays episodes of the evaluation as `quern run` plays a task: greedy turns, constrained unless one wants to see what the model
// does alone.
#pragma once

#include "agent/engine_model.h"
#include "eval/evaluate.h"

namespace quern {

struct PlayOptions {
  bool constrained = true;
  ToolChoice choice;
};

// What all turns together took.
struct PlayWork {
  int64_t tokens = 0, forced_tokens = 0;
  double decode_s = 0, constrain_s = 0;

  double constrain_share() const { return decode_s > 0 ? constrain_s / decode_s : 0; }
};

// Adds to `work`. Errors: not_found (no tokenizer); those of the engine that are not the model's failure, which the record tells.
Result<EpisodeRecord> play_episode(const Engine& engine, const ToolEpisode& episode, const PlayOptions& options, PlayWork& work);

}  // namespace quern
