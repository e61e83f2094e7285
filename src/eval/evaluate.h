// Evaluation: a model plays episodes against their mocked services, free-running, greedy or however its function generates.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "eval/episodes.h"
#include "text/chat_template.h"

namespace quern {

// The text of the assistant's next turn, without the end-of-turn token.
using ReplyFunction = std::function<Result<std::string>(const Conversation& conversation)>;

// How one episode went, call by call.
struct EpisodeOutcome {
  int64_t expected = 0;                     // calls the expert made
  int64_t right = 0;                        // calls before the first difference from them
  std::optional<int64_t> before_malformed;  // calls before the first malformed one; absent: none was
  bool complete = false;                    // every call was the expert's, with nothing more, and the answer names what it must
};

struct ToolScores {
  int64_t episodes = 0;
  int64_t expected = 0;   // calls the experts made
  int64_t calls = 0;      // calls the model made
  int64_t malformed = 0;  // of them: unknown name, unparsable, invalid under its schema, or without its opener
  // Expected calls that were made: the same name and arguments, at the same place; after a first difference, at any.
  int64_t exact = 0;
  int64_t complete = 0;  // episodes that went as EpisodeOutcome::complete says
  int64_t done = 0;      // episodes that ended in the expert's final state, whatever the way
  int64_t cut = 0;       // episodes that the model's context or budget ended; a call left unfinished there is none
  std::vector<EpisodeOutcome> outcomes;

  void add(const ToolScores& other);
};

struct EpisodeRecord {
  ToolScores scores;
  Conversation played;     // what the model did
  std::string difference;  // empty when complete; else what was expected and what came
};

// Plays one episode: gives the user's turns in order, executes what the model calls, ends at its answer to the last user turn, after
// twice the expert's calls, or where the model's context or budget does (its function's out_of_range: a failure of the episode, not of
// the evaluation). Other errors are the model function's own. `format`: what the replies are written in.
Result<EpisodeRecord> play_episode(const ToolEpisode& episode, const ReplyFunction& reply,
                                   ChatFormat format = ChatFormat::instruct);

}  // namespace quern
