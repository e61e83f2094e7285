#include "agent/budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/file_tools.h"

namespace quern {

double Prices::of_call(std::string_view tool) const {
  for (const auto& [glob, price] : calls)
    if (file_tools::glob_matches(glob, tool)) return price;
  return 0;
}

double Prices::of_tokens(int64_t read, int64_t made) const {
  return (static_cast<double>(read) * prompt + static_cast<double>(made) * generated) / 1000;
}

Budget Budget::unlimited() {
  Budget budget;
  budget.turns = budget.tokens = int64_t{1} << 60;
  return budget;
}

int64_t total_tokens(const RunCounts& used) { return used.prompt_tokens - used.reused_tokens + used.tokens; }

namespace {

std::string used_up(const Budget& budget, const RunCounts& used) {
  if (budget.total_tokens && total_tokens(used) >= *budget.total_tokens)
    return fmt::format("the budget of {} tokens in all is used up", *budget.total_tokens);
  if (budget.cost && used.cost >= *budget.cost) return fmt::format("the budget of {} cost units is used up", *budget.cost);
  return {};
}

}  // namespace

std::string Budget::no_turn(const RunCounts& used) const {
  if (used.turns >= turns) return fmt::format("the budget of {} turns is used up", turns);
  return used_up(*this, used);
}

std::string Budget::no_call(const RunCounts& used) const {
  if (calls && used.calls >= *calls) return fmt::format("the budget of {} calls is used up", *calls);
  return used_up(*this, used);
}

int64_t Budget::next_answer(const RunCounts& used) const {
  if (!total_tokens) return tokens;
  return std::clamp<int64_t>(*total_tokens - quern::total_tokens(used), 1, tokens);
}

}  // namespace quern
