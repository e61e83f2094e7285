// A journalled run as the lines of --json, for a report. Of its end only the totals that the journal holds are told; times within the run
// are what turns and calls took, one after the other.
#pragma once

#include <vector>

#include "agent/journal/journal.h"
#include "agent/report/run_record.h"

namespace quern {

// Errors: the journal's; not_found: no such run.
Result<RunRecord> record_of_journal(Journal& journal, std::string_view id);

}  // namespace quern
