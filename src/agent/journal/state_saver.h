// StateSaver: when a model's state is saved beside the journal, and which one is taken up. A state is a short cut: one that cannot be saved or
// used costs time, and nothing else.
#pragma once

#include "agent/chat_model.h"
#include "agent/journal/step_journal.h"

namespace quern {

class StateSaver {
 public:
  // after_s: how long the model works from one state to the next, at least; and twenty times as long as saving takes.
  StateSaver(ChatModel& model, double after_s) : model_(model), after_s_(after_s) {}

  // The newest that can be used; false: none.
  bool restore(const StepJournal& journal);
  // After a turn that took the model worked_s. An error is the journal's.
  Result<void> after_turn(StepJournal& journal, int64_t turn, double worked_s);

 private:
  ChatModel& model_;
  const double after_s_;
  bool possible_ = true;
  double unsaved_s_ = 0, saving_s_ = 0;
};

}  // namespace quern
