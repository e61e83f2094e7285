// What a run may use up, and what it costs. Tokens of a prompt count where they were read: what the session still held costs nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/events.h"

namespace quern {

// In units of one's own choice.
struct Prices {
  double prompt = 0, generated = 0;                   // of 1,000 tokens
  std::vector<std::pair<std::string, double>> calls;  // of a tool's call, by a glob of its name; the first that fits counts

  double of_call(std::string_view tool) const;  // 0: no glob fits
  double of_tokens(int64_t read, int64_t made) const;
};

struct Budget {
  int64_t turns = 60;     // answers of the model
  int64_t tokens = 4096;  // in one answer
  std::optional<double> seconds;
  std::optional<int64_t> calls;         // of tools
  std::optional<int64_t> total_tokens;  // read and generated
  std::optional<double> cost;
  std::optional<int64_t> context;  // tokens a prompt may have, below the model's own limit
  Prices prices;

  // A budget of nothing but what the whole run may use: turns and answers are bounded elsewhere.
  static Budget unlimited();
  // Why no further turn, or no further call, may begin: "the budget of 60 turns is used up"; empty: it may.
  std::string no_turn(const RunCounts& used) const;
  std::string no_call(const RunCounts& used) const;
  // The tokens the next answer may have.
  int64_t next_answer(const RunCounts& used) const;
};

// Tokens that were read or generated.
int64_t total_tokens(const RunCounts& used);

}  // namespace quern
