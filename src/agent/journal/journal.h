// The journal of runs: a SQLite file that says of every run what it was asked and, step by step, what happened, each thing before it takes
// effect. A run that ended in the middle (kill -9, a loss of power) is continued from what stands there: see agent/loop.h. Records are
// ordered by numbers that only grow, never by a clock. Several processes may write to one journal; a run belongs to one at a time.
// Secrets are the caller's business: what is given to a journal is written as it is (agent/trust/secrets.h redacts before).
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"
#include "base/sqlite.h"

namespace quern {

// What a record is about; `number` is a turn's or a call's. What `data` holds is up to who writes it (agent/journal/step_journal.h), `text` is kept to the byte.
enum class JournalKind { begin, turn, call, decision, result, output, compaction, checkpoint, check, finished };
std::string_view record_kind_name(JournalKind kind);

struct JournalRecord {
  int64_t sequence = 0;  // of the whole journal, from 1
  std::string step;
  JournalKind kind = JournalKind::begin;
  int64_t number = 0;
  Json data;
  std::string text;
};

struct RunDescription {
  std::string name, root;
  Json task;  // whatever its runner needs to go on: the task's text, its inputs (secrets as names), options
};

enum class RunState { running, interrupted, success, failed, cancelled };  // interrupted: nobody is at it, and it has no end
std::string_view run_state_name(RunState state);

struct RunSummary {
  std::string id;
  RunDescription description;
  RunState state = RunState::interrupted;
  std::string reason;   // why it failed
  int64_t began = 0;    // seconds since 1970, by the clock of then: to be shown, not to order by
  int64_t process = 0;  // the last one that was at it
  int64_t turns = 0, calls = 0;
};

// How far a step has come. partial: its records say, and it goes on from there.
enum class StepState { not_begun, partial, finished };
struct StepProgress {
  StepState state = StepState::not_begun;
  Json output;                         // of a finished step, what finish_step was given
  std::vector<JournalRecord> records;  // in order; of a partial step: all
};

class JournalRun;

// May be shared between threads. Errors of all functions: io (disk full, locked for longer than five seconds), malformed (damaged),
// denied (read-only); whoever gets one must not do what it was about to record.
class Journal : public std::enable_shared_from_this<Journal> {
 public:
  static constexpr int64_t kVersion = 1;

  // Makes the file and its folder where there is none. unsupported: a newer quern's journal; malformed: some other file.
  static Result<std::shared_ptr<Journal>> open(const std::filesystem::path& path);
  // $XDG_STATE_HOME/quern/journal.db, or ~/.local/state/quern/journal.db. The values of the variables, null where unset; not_found when
  // both are.
  static Result<std::filesystem::path> default_path(const char* xdg_state_home, const char* home);

  // How many runs, of the newest, keep their files (states of models) when they have not succeeded. An older one can still be resumed.
  static constexpr int64_t kFoldersKept = 8;

  // A new run, held by this process until the JournalRun is gone.
  Result<std::unique_ptr<JournalRun>> begin(const RunDescription& description);
  // Continues one. not_found: no such run; mismatch: it has succeeded; denied: another process (named) is at it.
  Result<std::unique_ptr<JournalRun>> resume(std::string_view id);

  Result<std::vector<RunSummary>> runs(int64_t most = 100);  // the newest first
  Result<RunSummary> summary(std::string_view id);
  Result<std::vector<JournalRecord>> records(std::string_view id);  // of all steps, in order

  enum class Prune { act, preview };
  // Removes the runs that began before that time (seconds since 1970), whatever became of them, with all that is kept of them; one that a
  // process is at stays. Those that were removed, or would be, the oldest first.
  Result<std::vector<RunSummary>> prune(int64_t before, Prune how);

  const std::filesystem::path& path() const { return path_; }

 private:
  friend class JournalRun;
  Journal(std::filesystem::path path, SqlDatabase database) : path_(std::move(path)), database_(std::move(database)) {}
  std::filesystem::path folder_of(std::string_view id) const;
  void remove_old_folders();
  Result<UniqueFd> hold(const std::string& id, int64_t process) const;
  Result<bool> remove_run(const std::string& id);
  Result<std::vector<RunSummary>> read_summaries(SqlStatement& rows) const;
  Result<RunSummary> read_summary(const SqlStatement& row) const;
  Result<std::vector<JournalRecord>> read_records(SqlStatement& rows) const;

  std::filesystem::path path_;
  std::mutex mutex_;  // of the connection
  SqlDatabase database_;
};

// One run, held: nobody else can write to it. Lets go when destroyed, and when the process ends in whatever way.
class JournalRun {
 public:
  ~JournalRun();
  JournalRun(const JournalRun&) = delete;
  JournalRun& operator=(const JournalRun&) = delete;

  const std::string& id() const { return id_; }
  const RunDescription& description() const { return description_; }
  // For files that belong to the run (state checkpoints); it exists, and is removed when the run ends in success.
  const std::filesystem::path& folder() const { return folder_; }

  // A step is named by its key ("main", "steps/2", "steps/2/item/3"): any text that stays the same when the run is continued.
  Result<StepProgress> progress(std::string_view step);
  // Once it returns, the record survives whatever happens. Returns its sequence number.
  Result<int64_t> record(std::string_view step, JournalKind kind, int64_t number, const Json& data, std::string_view text = {});
  // The step is done: from now on progress() gives `output`. mismatch when it was done before.
  Result<void> finish_step(std::string_view step, const Json& output);
  // The text of an output record; not_found.
  Result<std::string> output(std::string_view step, int64_t number);

  // status: success, failed or cancelled; a run that did not succeed can be resumed.
  Result<void> end(RunState status, std::string_view reason);

 private:
  friend class Journal;
  JournalRun(std::shared_ptr<Journal> journal, std::string id, int64_t number, RunDescription description, UniqueFd lock);

  std::shared_ptr<Journal> journal_;
  std::string id_;
  int64_t number_;
  RunDescription description_;
  std::filesystem::path folder_;
  UniqueFd lock_;
};

}  // namespace quern
