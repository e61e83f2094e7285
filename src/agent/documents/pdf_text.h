// A PDF file's text, by poppler's pdftotext where it is installed: another program, because reading that format safely is a work of
// its own, and in a sandbox, because the file may be made to break it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "agent/sandbox/policy.h"
#include "base/result.h"

namespace quern {

struct PdfOptions {
  std::filesystem::path temporary;       // a folder where a folder for one file can be made
  std::vector<std::string> environment;  // NAME=value; PATH is where pdftotext is looked for
  SandboxPolicy::Mode sandbox = SandboxPolicy::Mode::best;
  double seconds = 60;
  std::function<bool()> cancelled;
};

// Each page ends with a form feed. unsupported: no pdftotext; malformed: it could not read the file, or took too long; io.
Result<std::string> pdf_text(const std::string& bytes, const PdfOptions& options);

}  // namespace quern
