// An engine looks for needles: one greedy turn each, from a session of its own. Turns of the kind tools are constrained as in `quern run`.
#pragma once

#include <functional>
#include <string>

#include "eval/needle_grid.h"
#include "runtime/engine.h"

namespace quern {

struct NeedlePlan {
  NeedleKind kind = NeedleKind::prose;
  std::vector<int64_t> lengths;
  std::vector<double> depths;
  int64_t trials = 10;
  uint64_t seed = 1;
  Split split = Split::training;
};

struct NeedleWork {
  int64_t prompt_tokens = 0, tokens = 0;
  double prefill_s = 0, decode_s = 0;
};

// Tokens set aside for the answer: a prompt may be as long as the context less these.
int64_t needle_room(NeedleKind kind, ChatFormat format);

// The kind that the model can do at all: prose when it finds two of three needles that lie in no haystack; else tools, when its tokenizer
// has <tool_call>.
Result<NeedleKind> choose_needle_kind(const Engine& engine, Split split);

struct NeedleEvents {
  std::function<void(double done, double total)> progress;  // prompt tokens
  std::function<void(const NeedleRequest&, const NeedleTask&, const std::string& reply)> missed;
};

// Errors: not_found (no tokenizer); out_of_range (a length past the context, or shorter than the needle); those of the engine.
Result<NeedleGrid> find_needles(const Engine& engine, const NeedlePlan& plan, const NeedleEvents& events, NeedleWork& work);

}  // namespace quern
