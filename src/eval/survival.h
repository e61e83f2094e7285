// Survival: how many episodes are still without a fault after their first n calls. A share per call averages over chains; this says how
// far into one a model can be trusted, and what a constraint buys there.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/evaluate.h"

namespace quern {

// Shares of all episodes, [0] to [length()], none of them rising; [0] is 1. An episode with fewer calls than n is judged by those it has.
struct SurvivalCurve {
  std::vector<double> exact;        // [n]: whose first n calls were the expert's
  std::vector<double> well_formed;  // [n]: without a malformed call among the first n
  double complete = 0;              // whose answer was right too

  int64_t length() const { return static_cast<int64_t>(exact.size()) - 1; }  // calls of the longest episode
  // Past the end what held there holds.
  double exact_at(int64_t n) const { return exact[static_cast<size_t>(std::min(n, length()))]; }
  double well_formed_at(int64_t n) const { return well_formed[static_cast<size_t>(std::min(n, length()))]; }
};

SurvivalCurve survival_curve(const ToolScores& scores);  // of one episode or more

struct NamedCurve {
  std::string name;
  SurvivalCurve curve;
};

// A table with a row for each of some n and the curves side by side, under their names where there are several. At least one curve.
std::string survival_text(std::span<const NamedCurve> curves);
// {"exact": [1, …], "well_formed": [1, …], "complete": …}, the arrays with n as their index.
Json survival_json(const SurvivalCurve& curve);

}  // namespace quern
