// An engine plays episodes of the evaluation as `quern run` plays a task: greedy turns, constrained unless one wants to see what the model
// does alone.
#pragma once

#include <filesystem>
#include <optional>

#include "agent/engine_model.h"
#include "eval/evaluate.h"

namespace quern {

struct PlayOptions {
  bool constrained = true;
  ToolChoice choice;
  // Once this many calls are made, the model's state is saved to a file, the model is dropped, and another one takes the state up from
  // there and goes on, as a run does that was cut off; absent: never.
  std::optional<int64_t> resume_at;
  std::filesystem::path state_file;  // where; written over, and left
};

// What all turns together took.
struct PlayWork {
  int64_t tokens = 0, forced_tokens = 0;
  double decode_s = 0, constrain_s = 0;
  int64_t resumed = 0;  // episodes that got as far as PlayOptions::resume_at; of their first turns after it:
  int64_t resumed_prompt_tokens = 0, resumed_read_tokens = 0;  // the second: not taken up with the state

  double constrain_share() const { return decode_s > 0 ? constrain_s / decode_s : 0; }
};

// Adds to `work`. Errors: not_found (no tokenizer); those of the engine that are not the model's failure, which the record tells; io (a state
// that cannot be saved or taken up).
Result<EpisodeRecord> play_episode(const Engine& engine, const ToolEpisode& episode, const PlayOptions& options, PlayWork& work);

}  // namespace quern
