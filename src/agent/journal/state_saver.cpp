#include "agent/journal/state_saver.h"

#include <algorithm>
#include <chrono>

namespace quern {
namespace {

constexpr double kShare = 1.0 / 20;  // of the model's time, at most, goes into saving

}  // namespace

bool StateSaver::restore(const StepJournal& journal) {
  const std::vector<int64_t>& saved = journal.past().checkpoints;
  return std::any_of(saved.rbegin(), saved.rend(),
                     [&](int64_t turn) { return model_.restore_state(journal.checkpoint_file(turn)).has_value(); });
}

Result<void> StateSaver::after_turn(StepJournal& journal, int64_t turn, double worked_s) {
  if (!journal.on() || !possible_) return {};
  unsaved_s_ += worked_s;
  if (unsaved_s_ < std::max(after_s_, saving_s_ / kShare)) return {};
  const auto start = std::chrono::steady_clock::now();
  possible_ = model_.save_state(journal.checkpoint_file(turn)).has_value();
  if (!possible_) return {};
  saving_s_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  unsaved_s_ = 0;
  return journal.checkpoint(turn);
}

}  // namespace quern
