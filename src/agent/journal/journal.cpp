#include "agent/journal/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr SqlContents kContents{.application = 0x7175726e,  // "qurn"
                                .version = Journal::kVersion,
                                .what = "a journal of quern",
                                .schema = R"(
CREATE TABLE runs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  root TEXT NOT NULL,
  task TEXT NOT NULL,      -- JSON
  began INTEGER NOT NULL,  -- seconds since 1970
  status TEXT NOT NULL,    -- open, success, failed, cancelled
  reason TEXT NOT NULL,
  process INTEGER NOT NULL);
CREATE TABLE records (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  run INTEGER NOT NULL REFERENCES runs(number),
  step TEXT NOT NULL,
  kind TEXT NOT NULL,
  number INTEGER NOT NULL,
  data TEXT NOT NULL,      -- JSON
  text BLOB NOT NULL);
CREATE INDEX records_of_step ON records(run, step, sequence);
CREATE UNIQUE INDEX finished_once ON records(run, step) WHERE kind = 'finished';
)"};
constexpr std::string_view kSummary =
    "SELECT id, name, root, task, began, status, reason, process, "
    "(SELECT count(*) FROM records WHERE run = runs.number AND kind = 'turn'), "
    "(SELECT count(*) FROM records WHERE run = runs.number AND kind = 'call') FROM runs ";
constexpr std::string_view kRecord = "SELECT sequence, step, kind, number, data, text FROM records WHERE run = ";

constexpr std::array<std::string_view, 10> kKinds = {"begin",  "turn",       "call",       "decision", "result",
                                                     "output", "compaction", "checkpoint", "check",    "finished"};
constexpr std::array<std::string_view, 5> kStates = {"running", "interrupted", "success", "failed", "cancelled"};

Result<void> make_private_folder(const fs::path& path) {
  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return fail(Errc::io, "{}: {}", path.string(), std::generic_category().message(errno));
}

// An id becomes the name of a folder: one that a forged journal contains must not lead elsewhere.
bool is_run_id(std::string_view id) {
  return !id.empty() && id.size() <= 40 && id.front() != '-' &&
         std::all_of(id.begin(), id.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

// "tidy-folder-k7q2": of the name what can stand in an id, and four random characters that are not mistaken for one another.
Result<std::string> new_id(const std::string& name) {
  constexpr std::string_view alphabet = "abcdefghjkmnpqrstuvwxyz23456789";
  std::string id;
  for (const char c : name) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x80 && std::isalnum(u))
      id += static_cast<char>(std::tolower(u));
    else if (!id.empty() && id.back() != '-')
      id += '-';
    if (id.size() == 20) break;
  }
  while (id.ends_with('-')) id.pop_back();
  if (id.empty()) id = "run";
  std::array<unsigned char, 4> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return fail(Errc::io, "no random bytes: {}", std::generic_category().message(errno));
  id += '-';
  for (const unsigned char byte : bytes) id += alphabet[byte % alphabet.size()];
  return id;
}

tl::unexpected<Error> no_such_run(const fs::path& path, std::string_view id) {
  return fail(Errc::not_found, "{}: no run is called {}", path.string(), id.substr(0, 60));
}

}  // namespace

std::string_view record_kind_name(JournalKind kind) { return kKinds[static_cast<size_t>(kind)]; }
std::string_view run_state_name(RunState state) { return kStates[static_cast<size_t>(state)]; }

Result<fs::path> Journal::default_path(const char* xdg_state_home, const char* home) {
  // The XDG specification: a relative path there is to be ignored.
  if (xdg_state_home && *xdg_state_home == '/') return fs::path(xdg_state_home) / "quern/journal.db";
  if (home && *home) return fs::path(home) / ".local/state/quern/journal.db";
  return fail(Errc::not_found, "no place for the journal: neither HOME nor XDG_STATE_HOME is set (--journal FILE names one)");
}

Result<std::shared_ptr<Journal>> Journal::open(const fs::path& path) {
  auto database = SqlDatabase::open(path, kContents);
  if (!database) return with_context(database.error(), "journal");
  return std::shared_ptr<Journal>(new Journal(path, std::move(*database)));
}

fs::path Journal::folder_of(std::string_view id) const { return fs::path(path_.string() + ".d") / id; }

// The kernel's lock on a file of the run's folder: it goes when the process does, in whatever way, and holds across containers, where
// process numbers mean nothing.
Result<UniqueFd> Journal::hold(const std::string& id, int64_t process) const {
  QUERN_TRY(make_private_folder(path_.string() + ".d"));
  const fs::path folder = folder_of(id), file = folder / "lock";
  QUERN_TRY(make_private_folder(folder));
  for (;;) {
    UniqueFd lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock) return fail(Errc::io, "{}: {}", file.string(), std::generic_category().message(errno));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return fail(Errc::denied, "run {}: process {} is at it", id, process);
      return fail(Errc::io, "{}: {}", file.string(), std::generic_category().message(errno));
    }
    struct stat held{}, there{};
    if (::fstat(lock.get(), &held) == 0 && ::stat(file.c_str(), &there) == 0 && held.st_ino == there.st_ino) return lock;
    QUERN_TRY(make_private_folder(folder));  // it was removed just then: a lock on a file that has no name keeps nobody out
  }
}

// Best effort: what cannot be removed costs room, nothing else.
void Journal::remove_old_folders() {
  auto newer = database_.prepare("SELECT count(*) FROM runs WHERE number > (SELECT number FROM runs WHERE id = ?)");
  std::error_code error;
  std::vector<std::string> old;
  for (const auto& entry : fs::directory_iterator(path_.string() + ".d", error)) {
    const std::string id = entry.path().filename().string();
    if (!newer || !is_run_id(id)) continue;
    const auto counted = newer->bind(1, id).step();
    if (counted && *counted && newer->integer(0) >= kFoldersKept) old.push_back(id);
    newer->reset();
  }
  for (const std::string& id : old)
    if (const auto held = hold(id, 0)) fs::remove_all(folder_of(id), error);  // nobody is at it
}

Result<std::unique_ptr<JournalRun>> Journal::begin(const RunDescription& description) {
  const std::lock_guard guard(mutex_);
  remove_old_folders();
  for (int attempt = 0;; ++attempt) {
    QUERN_ASSIGN(std::string id, new_id(description.name));
    auto lock = hold(id, 0);  // before anybody can see the run
    if (!lock && lock.error().code == Errc::denied && attempt < 100) continue;
    if (!lock) return with_context(lock.error(), "journal");
    QUERN_ASSIGN(SqlStatement insert, database_.prepare("INSERT OR IGNORE INTO runs (id, name, root, task, began, status, reason, "
                                                        "process) VALUES (?, ?, ?, ?, ?, 'open', '', ?)"));
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    insert.bind(1, id).bind(2, description.name).bind(3, description.root);
    insert.bind(4, description.task.dump(Json::Spacing::compact));
    insert.bind(5, int64_t{std::chrono::duration_cast<std::chrono::seconds>(now).count()});
    if (auto done = insert.bind(6, int64_t{::getpid()}).run(); !done) return with_context(done.error(), "journal");
    if (database_.changed_rows() == 0) {
      if (attempt < 100) continue;  // an id that exists, one time in a million
      return fail(Errc::io, "journal: {}: no unused name for the run", path_.string());
    }
    const int64_t number = database_.last_insert_id();
    return std::unique_ptr<JournalRun>(new JournalRun(shared_from_this(), std::move(id), number, description, std::move(*lock)));
  }
}

Result<std::unique_ptr<JournalRun>> Journal::resume(std::string_view id) {
  QUERN_ASSIGN(const RunSummary before, summary(id));
  const std::lock_guard guard(mutex_);
  QUERN_ASSIGN(UniqueFd lock, hold(before.id, before.process));
  QUERN_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database_));
  QUERN_ASSIGN(SqlStatement find, database_.prepare("SELECT number, status FROM runs WHERE id = ?"));
  QUERN_ASSIGN(const bool found, find.bind(1, id).step());
  if (!found) return no_such_run(path_, id);
  const int64_t number = find.integer(0);
  if (find.text(1) == "success") return fail(Errc::mismatch, "run {}: has succeeded; there is nothing to resume", before.id);
  find.reset();
  QUERN_ASSIGN(SqlStatement take, database_.prepare("UPDATE runs SET status = 'open', reason = '', process = ? WHERE number = ?"));
  QUERN_TRY(take.bind(1, int64_t{::getpid()}).bind(2, number).run());
  QUERN_TRY(transaction.commit());
  return std::unique_ptr<JournalRun>(new JournalRun(shared_from_this(), before.id, number, before.description, std::move(lock)));
}

Result<RunSummary> Journal::read_summary(const SqlStatement& row) const {
  RunSummary run;
  run.id = row.text(0);
  if (!is_run_id(run.id)) return fail(Errc::malformed, "journal: {}: a run is called {}", path_.string(), run.id.substr(0, 60));
  run.description.name = row.text(1);
  run.description.root = row.text(2);
  QUERN_ASSIGN(run.description.task, Json::parse(row.text(3), fmt::format("journal: run {}: task", run.id)));
  run.began = row.integer(4);
  run.reason = row.text(6);
  run.process = row.integer(7);
  run.turns = row.integer(8);
  run.calls = row.integer(9);
  const std::string_view status = row.text(5);
  const auto known = std::find(kStates.begin() + 2, kStates.end(), status);
  if (known != kStates.end()) {
    run.state = static_cast<RunState>(known - kStates.begin());
    return run;
  }
  if (status != "open") return fail(Errc::malformed, "journal: run {}: status {}", run.id, status.substr(0, 60));
  const UniqueFd lock(::open((folder_of(run.id) / "lock").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  const bool held = lock && ::flock(lock.get(), LOCK_SH | LOCK_NB) != 0;
  run.state = held ? RunState::running : RunState::interrupted;
  return run;
}

Result<std::vector<RunSummary>> Journal::runs(int64_t most) {
  const std::lock_guard guard(mutex_);
  QUERN_ASSIGN(SqlStatement rows, database_.prepare(std::string(kSummary) + "ORDER BY number DESC LIMIT ?"));
  rows.bind(1, most);
  return read_summaries(rows);
}

Result<std::vector<RunSummary>> Journal::read_summaries(SqlStatement& rows) const {
  std::vector<RunSummary> all;
  for (;;) {
    QUERN_ASSIGN(const bool row, rows.step());
    if (!row) return all;
    QUERN_ASSIGN(RunSummary one, read_summary(rows));
    all.push_back(std::move(one));
  }
}

// False: somebody is at it. Its folder goes last: what a process that dies here leaves is files that nothing points to.
Result<bool> Journal::remove_run(const std::string& id) {
  const auto held = hold(id, 0);
  if (!held && held.error().code == Errc::denied) return false;
  if (!held) return tl::unexpected(held.error());
  QUERN_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(database_));
  for (const char* what :
       {"DELETE FROM records WHERE run = (SELECT number FROM runs WHERE id = ?)", "DELETE FROM runs WHERE id = ?"}) {
    QUERN_ASSIGN(SqlStatement statement, database_.prepare(what));
    QUERN_TRY(statement.bind(1, id).run());
  }
  QUERN_TRY(transaction.commit());
  std::error_code ignored;
  fs::remove_all(folder_of(id), ignored);
  return true;
}

Result<std::vector<RunSummary>> Journal::prune(int64_t before, Prune how) {
  const std::lock_guard guard(mutex_);
  QUERN_ASSIGN(SqlStatement rows, database_.prepare(std::string(kSummary) + "WHERE began < ? ORDER BY number"));
  QUERN_ASSIGN(std::vector<RunSummary> old, read_summaries(rows.bind(1, before)));
  rows.reset();
  std::erase_if(old, [](const RunSummary& run) { return run.state == RunState::running; });
  if (how == Prune::preview) return old;
  std::vector<RunSummary> removed;
  for (RunSummary& run : old) {
    QUERN_ASSIGN(const bool gone, remove_run(run.id));
    if (gone) removed.push_back(std::move(run));
  }
  if (!removed.empty()) (void)database_.execute("VACUUM");  // not while another process reads; the room is used again in any case
  return removed;
}

Result<RunSummary> Journal::summary(std::string_view id) {
  const std::lock_guard guard(mutex_);
  QUERN_ASSIGN(SqlStatement rows, database_.prepare(std::string(kSummary) + "WHERE id = ?"));
  QUERN_ASSIGN(const bool row, rows.bind(1, id).step());
  if (!row) return no_such_run(path_, id);
  return read_summary(rows);
}

Result<std::vector<JournalRecord>> Journal::read_records(SqlStatement& rows) const {
  std::vector<JournalRecord> all;
  for (;;) {
    QUERN_ASSIGN(const bool row, rows.step());
    if (!row) return all;
    JournalRecord record;
    record.sequence = rows.integer(0);
    record.step = rows.text(1);
    const auto kind = std::find(kKinds.begin(), kKinds.end(), rows.text(2));
    if (kind == kKinds.end())
      return fail(Errc::malformed, "journal: record {}: unknown kind {}", record.sequence, rows.text(2).substr(0, 60));
    record.kind = static_cast<JournalKind>(kind - kKinds.begin());
    record.number = rows.integer(3);
    QUERN_ASSIGN(record.data, Json::parse(rows.text(4), fmt::format("journal: record {}", record.sequence)));
    record.text = rows.text(5);
    all.push_back(std::move(record));
  }
}

Result<std::vector<JournalRecord>> Journal::records(std::string_view id) {
  const std::lock_guard guard(mutex_);
  QUERN_ASSIGN(SqlStatement rows,
               database_.prepare(std::string(kRecord) + "(SELECT number FROM runs WHERE id = ?) ORDER BY sequence"));
  rows.bind(1, id);
  return read_records(rows);
}

JournalRun::JournalRun(std::shared_ptr<Journal> journal, std::string id, int64_t number, RunDescription description, UniqueFd lock)
    : journal_(std::move(journal)),
      id_(std::move(id)),
      number_(number),
      description_(std::move(description)),
      folder_(journal_->folder_of(id_)),
      lock_(std::move(lock)) {}
JournalRun::~JournalRun() = default;

Result<StepProgress> JournalRun::progress(std::string_view step) {
  const std::lock_guard guard(journal_->mutex_);
  QUERN_ASSIGN(SqlStatement rows, journal_->database_.prepare(std::string(kRecord) + "? AND step = ? ORDER BY sequence"));
  rows.bind(1, number_).bind(2, step);
  StepProgress progress;
  QUERN_ASSIGN(progress.records, journal_->read_records(rows));
  if (progress.records.empty()) return progress;
  progress.state = StepState::partial;
  for (const JournalRecord& record : progress.records)
    if (record.kind == JournalKind::finished) progress.state = StepState::finished, progress.output = record.data;
  return progress;
}

Result<int64_t> JournalRun::record(std::string_view step, JournalKind kind, int64_t number, const Json& data,
                                   std::string_view text) {
  const std::lock_guard guard(journal_->mutex_);
  auto insert = journal_->database_.prepare("INSERT INTO records (run, step, kind, number, data, text) VALUES (?, ?, ?, ?, ?, ?)");
  if (!insert) return with_context(insert.error(), "journal");
  insert->bind(1, number_).bind(2, step).bind(3, record_kind_name(kind)).bind(4, number);
  insert->bind(5, data.dump(Json::Spacing::compact)).bind_blob(6, text);
  if (auto done = insert->run(); !done) return with_context(done.error(), "journal");
  return journal_->database_.last_insert_id();
}

Result<void> JournalRun::finish_step(std::string_view step, const Json& output) {
  QUERN_TRY(record(step, JournalKind::finished, 0, output));
  return {};
}

Result<std::string> JournalRun::output(std::string_view step, int64_t number) {
  const std::lock_guard guard(journal_->mutex_);
  QUERN_ASSIGN(SqlStatement rows, journal_->database_.prepare("SELECT text FROM records WHERE run = ? AND step = ? AND kind = "
                                                              "'output' AND number = ?"));
  QUERN_ASSIGN(const bool row, rows.bind(1, number_).bind(2, step).bind(3, number).step());
  if (!row) return fail(Errc::not_found, "no result {} is kept", number);
  return std::string(rows.text(0));
}

Result<void> JournalRun::end(RunState status, std::string_view reason) {
  {
    const std::lock_guard guard(journal_->mutex_);
    auto update = journal_->database_.prepare("UPDATE runs SET status = ?, reason = ? WHERE number = ?");
    if (!update) return with_context(update.error(), "journal");
    if (auto done = update->bind(1, run_state_name(status)).bind(2, reason).bind(3, number_).run(); !done)
      return with_context(done.error(), "journal");
  }
  std::error_code ignored;  // a file that stays costs room, nothing else
  if (status == RunState::success) fs::remove_all(folder_, ignored);
  return {};
}

}  // namespace quern
