// run_report(): a run as one HTML document to hand to somebody. It loads nothing, needs no script, and nothing that a model, a tool or a
// file said is obeyed in it. Readable light and dark, on a narrow screen and on paper.
#pragma once

#include <string>

#include "agent/report/run_record.h"

namespace quern {

// Long texts are cut with a note that says so (kMostTextBytes each; much less once the page has kMostPageBytes).
constexpr size_t kMostTextBytes = 64 << 10, kMostPageBytes = size_t{16} << 20;

std::string run_report(const RunRecord& record);

// The same for where a report is built: text that is safe between tags, line ends and tabs kept.
std::string report_text(std::string_view text);

}  // namespace quern
