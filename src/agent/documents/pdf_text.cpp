#include "agent/documents/pdf_text.h"

#include <stdlib.h>

#include "agent/sandbox/command.h"
#include "base/file.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxText = size_t{32} << 20;

struct OwnFolder {
  fs::path path;
  ~OwnFolder() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
  }
};

}  // namespace

Result<std::string> pdf_text(const std::string& bytes, const PdfOptions& options) {
  CommandOptions command{.process = {}, .keep_first = kMaxText, .keep_last = 0, .cancelled = options.cancelled, .on_line = {}};
  ProcessOptions& process = command.process;
  const auto program = find_program("pdftotext", options.temporary, options.environment);
  if (!program) return fail(Errc::unsupported, "PDF needs pdftotext (Debian: poppler-utils)");
  std::string name = (options.temporary / "quern-pdf-XXXXXX").string();
  if (!::mkdtemp(name.data())) return fail(Errc::io, "{}: cannot make a folder there", options.temporary.string());
  const OwnFolder folder{name};
  const fs::path file = folder.path / "document.pdf";
  QUERN_TRY(write_file(file, bytes));
  process.arguments = {program->string(), "-enc", "UTF-8", "-q", file.string(), "-"};
  process.folder = folder.path;
  process.environment = options.environment;
  process.sandbox.mode = options.sandbox;
  process.sandbox.readable = {folder.path};
  process.sandbox.wall_seconds = options.seconds;
  process.sandbox.memory_bytes = int64_t{2} << 30;
  process.sandbox.output_bytes = int64_t{kMaxText};
  QUERN_ASSIGN(CommandOutcome outcome, run_command(command));
  if (!outcome.ended_by_us.empty()) return fail(Errc::malformed, "pdftotext {}", outcome.ended_by_us);
  if (outcome.exit_code != 0) {
    const std::string said = outcome.first.substr(0, outcome.first.find('\n'));
    return fail(Errc::malformed, "pdftotext cannot read it{}{}", said.empty() ? "" : ": ", said.substr(0, 200));
  }
  if (outcome.left_out > 0) return fail(Errc::malformed, "more than {} MiB of text", kMaxText >> 20);
  return std::move(outcome.first);
}

}  // namespace quern
