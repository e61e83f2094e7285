// What a run has used up, as its records say: so that its budgets hold over all the processes it took.
#pragma once

#include <span>

#include "agent/budget.h"
#include "agent/journal/journal.h"

namespace quern {

// Of the records of one step or of several. An answer that was cut and asked for again is one turn, whose tokens and time count twice;
// `seconds` is what the model and the tools took, since nobody knows how long somebody was asked. What is missing counts nothing.
RunCounts used_by(std::span<const JournalRecord> records, const Prices& prices);

}  // namespace quern
