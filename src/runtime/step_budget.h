// StepBudget: how many tokens of prompts a step may read beside what it generates, so that streams go on at short intervals. What a token of
// a prompt costs depends on the model, the machine and how many there are (experts are read once for all), so it is found by trying: a step
// that took too long makes the next piece smaller.
#pragma once

#include <algorithm>
#include <cstdint>

namespace quern {

class StepBudget {
 public:
  // most: tokens; target_s: of a step while streams wait for it. Where generating alone takes long, reading may take as long again.
  StepBudget(int64_t most, double target_s)
      : most_(std::max(static_cast<double>(most), kLeast)), target_s_(target_s), beside_(std::min(kFirst, most_)), alone_(most_) {}

  int64_t tokens(bool streams) const { return static_cast<int64_t>(streams ? beside_ : alone_); }

  // A step that read `tokens` of prompts and took `seconds`.
  void measured(bool streams, int64_t tokens, double seconds) {
    if (tokens == 0) {
      if (streams) generating_s_ = generating_s_ == 0 ? seconds : 0.9 * generating_s_ + 0.1 * seconds;
      return;
    }
    double& piece = streams ? beside_ : alone_;
    const double target = streams ? std::max(target_s_, 2 * generating_s_) : kAloneTarget,
                 factor = target / std::max(seconds, 1e-6);
    if (factor < 1)
      piece = std::max(kLeast, static_cast<double>(tokens) * std::max(factor, 0.25));
    else if (static_cast<double>(tokens) >= 0.9 * piece)  // it was made use of
      piece = std::min(most_, piece * std::min(factor, 1.5));
  }

 private:
  static constexpr double kLeast = 8, kFirst = 64;
  static constexpr double kAloneTarget = 2;  // seconds: whoever comes meanwhile, or goes, waits for the end of a step
  double most_, target_s_, beside_, alone_, generating_s_ = 0;
};

}  // namespace quern
