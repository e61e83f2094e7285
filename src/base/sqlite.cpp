#include "base/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/file.h"

namespace quern {
namespace {

Errc errc_of(int code) {
  switch (code & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Errc::malformed;
    case SQLITE_TOOBIG:
      return Errc::out_of_range;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Errc::denied;
    case SQLITE_CONSTRAINT:
      return Errc::mismatch;
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
      return Errc::invalid_argument;
    default:
      return Errc::io;
  }
}

tl::unexpected<Error> failure(sqlite3* database) {
  const char* name = sqlite3_db_filename(database, "main");
  return fail(errc_of(sqlite3_extended_errcode(database)), "{}: {}", name && *name ? name : "database", sqlite3_errmsg(database));
}

// What SELECT consists of. Everything else changes something or reaches for another file.
int authorize(void*, int action, const char*, const char* name, const char*, const char*) {
  if (action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_RECURSIVE) return SQLITE_OK;
  if (action != SQLITE_FUNCTION || !name) return SQLITE_DENY;
  for (const char* refused : {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})
    if (sqlite3_stricmp(name, refused) == 0) return SQLITE_DENY;
  return SQLITE_OK;
}

// SQLite does not wait for a lock where the journal's mode changes: two that open a new file at the same time would meet.
Result<void> use_wal(SqlDatabase& database) {
  for (int attempt = 0;; ++attempt) {
    auto done = database.execute("PRAGMA journal_mode = WAL");
    if (done || done.error().code != Errc::io || attempt == 100) return done;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

struct SqlDatabase::Reading {
  ReadingLimits limits;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  int64_t memory_before = sqlite3_memory_used();
  std::string stopped;  // why

  int look() {
    if (limits.cancelled && limits.cancelled())
      stopped = "interrupted";
    else if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > limits.seconds)
      stopped = fmt::format("took longer than {} s", limits.seconds);
    else if (sqlite3_memory_used() - memory_before > limits.memory_bytes)
      stopped = fmt::format("used more than {} MiB of memory", limits.memory_bytes >> 20);
    return stopped.empty() ? 0 : 1;
  }
};

void SqlDatabase::ForgetReading::operator()(Reading* reading) const { delete reading; }

void SqlDatabase::allow_only_reading(ReadingLimits limits) {
  sqlite3* database = database_.get();
  sqlite3_limit(database, SQLITE_LIMIT_LENGTH, static_cast<int>(std::min<size_t>(limits.value_bytes, 1'000'000'000)));
  sqlite3_limit(database, SQLITE_LIMIT_SQL_LENGTH, 100'000);
  sqlite3_limit(database, SQLITE_LIMIT_EXPR_DEPTH, 200);
  sqlite3_limit(database, SQLITE_LIMIT_COMPOUND_SELECT, 50);
  sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_limit(database, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000);
  sqlite3_set_authorizer(database, authorize, nullptr);
  reading_.reset(new Reading{.limits = std::move(limits), .stopped = {}});
  sqlite3_progress_handler(database, 1000, [](void* reading) { return static_cast<Reading*>(reading)->look(); }, reading_.get());
}

std::string SqlDatabase::why_stopped() const { return reading_ ? reading_->stopped : ""; }

void SqlStatement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

SqlStatement& SqlStatement::bind(int parameter, int64_t value) {
  const int code = sqlite3_bind_int64(statement_.get(), parameter, value);
  if (failed_ == SQLITE_OK) failed_ = code;
  return *this;
}

SqlStatement& SqlStatement::bind(int parameter, double value) {
  const int code = sqlite3_bind_double(statement_.get(), parameter, value);
  if (failed_ == SQLITE_OK) failed_ = code;
  return *this;
}

SqlStatement& SqlStatement::bind(int parameter, std::string_view text) {
  const char* data = text.data() ? text.data() : "";  // a null pointer would bind NULL
  const int code = sqlite3_bind_text64(statement_.get(), parameter, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (failed_ == SQLITE_OK) failed_ = code;
  return *this;
}

SqlStatement& SqlStatement::bind_blob(int parameter, std::string_view bytes) {
  const char* data = bytes.data() ? bytes.data() : "";
  const int code = sqlite3_bind_blob64(statement_.get(), parameter, data, bytes.size(), SQLITE_TRANSIENT);
  if (failed_ == SQLITE_OK) failed_ = code;
  return *this;
}

SqlStatement& SqlStatement::bind_null(int parameter) {
  const int code = sqlite3_bind_null(statement_.get(), parameter);
  if (failed_ == SQLITE_OK) failed_ = code;
  return *this;
}

Result<bool> SqlStatement::step() {
  if (failed_ != SQLITE_OK) return fail(errc_of(failed_), "database: {}", sqlite3_errstr(failed_));
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  const auto error = failure(sqlite3_db_handle(statement_.get()));
  sqlite3_reset(statement_.get());
  return error;
}

Result<void> SqlStatement::run() {
  const auto stepped = step();
  reset();
  if (!stepped) return tl::unexpected(stepped.error());
  return {};
}

void SqlStatement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
  failed_ = SQLITE_OK;
}

int64_t SqlStatement::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
double SqlStatement::real(int column) const { return sqlite3_column_double(statement_.get(), column); }
int SqlStatement::columns() const { return sqlite3_column_count(statement_.get()); }
std::string_view SqlStatement::column_name(int column) const {
  const char* name = sqlite3_column_name(statement_.get(), column);
  return name ? name : "";
}
bool SqlStatement::is_null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }

std::string_view SqlStatement::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return bytes ? std::string_view(static_cast<const char*>(bytes), static_cast<size_t>(size)) : std::string_view();
}

void SqlDatabase::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Result<SqlDatabase> SqlDatabase::open(const std::filesystem::path& path, Mode mode) {
  const bool create = mode == Mode::create, in_memory = path.empty();
  if (create && !in_memory) {  // SQLite would make it readable for everybody
    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail(Errc::io, "{}: {}", path.string(), std::generic_category().message(errno));
  }
  sqlite3* raw = nullptr;
  const int flags = (create ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(in_memory ? ":memory:" : path.c_str(), &raw, flags, nullptr);
  SqlDatabase database(raw);
  if (!raw) return fail(Errc::io, "{}: out of memory", path.string());
  if (code != SQLITE_OK) return fail(errc_of(code), "{}: {}", path.string(), sqlite3_errmsg(raw));
  sqlite3_busy_timeout(raw, 5000);
  // What a hostile file could make SQLite do: run functions from its schema, or write to it from a view.
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (create) {
    QUERN_TRY(database.execute("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL"));
    if (!in_memory) QUERN_TRY(use_wal(database));
  }
  QUERN_TRY(database.execute("SELECT count(*) FROM sqlite_master"));  // the header is looked at only now
  return database;
}

Result<SqlDatabase> SqlDatabase::open(const std::filesystem::path& path, const SqlContents& contents) {
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) return fail(Errc::io, "{}: {}", path.parent_path().string(), error.message());
  QUERN_ASSIGN(SqlDatabase database, open(path, Mode::create));
  QUERN_TRY(database.expect(path.string(), contents));
  return database;
}

Result<void> SqlDatabase::expect(const std::string& path, const SqlContents& contents) {
  QUERN_ASSIGN(SqlTransaction transaction, SqlTransaction::begin(*this));  // two processes may find an empty file at once
  QUERN_ASSIGN(const int64_t application, number("PRAGMA application_id"));
  QUERN_ASSIGN(const int64_t version, number("PRAGMA user_version"));
  QUERN_ASSIGN(const int64_t tables, number("SELECT count(*) FROM sqlite_master"));
  if (application != contents.application && (application != 0 || version != 0 || tables != 0))
    return fail(Errc::malformed, "{}: a database, but not {}", path, contents.what);
  if (version > contents.version)
    return fail(Errc::unsupported, "{}: written by a newer quern (version {} of its format, this one reads up to {})", path,
                version, contents.version);
  if (application != contents.application || version != contents.version) {
    QUERN_TRY(execute(std::string(contents.schema)));
    QUERN_TRY(execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", contents.application, contents.version)));
  }
  return transaction.commit();
}

Result<int64_t> SqlDatabase::number(std::string_view sql) const {
  QUERN_ASSIGN(SqlStatement statement, prepare(sql));
  QUERN_ASSIGN(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Result<void> SqlDatabase::execute(const std::string& sql) {
  if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return failure(database_.get());
  return {};
}

Result<SqlStatement> SqlDatabase::prepare(std::string_view sql) const {
  sqlite3_stmt* raw = nullptr;
  const char* rest = nullptr;
  if (sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &raw, &rest) != SQLITE_OK)
    return failure(database_.get());
  SqlStatement statement(raw);
  if (!raw) return fail(Errc::invalid_argument, "database: the statement is empty");
  // VACUUM INTO asks the authorizer for nothing.
  if (reading_ && sqlite3_stmt_readonly(raw) == 0) return fail(Errc::denied, "database: not authorized");
  const std::string_view behind = rest ? sql.substr(static_cast<size_t>(rest - sql.data())) : std::string_view();
  statement.has_more_sql_ = behind.find_first_not_of(" \t\r\n;") != std::string_view::npos;
  return statement;
}

int64_t SqlDatabase::last_insert_id() const { return sqlite3_last_insert_rowid(database_.get()); }
int64_t SqlDatabase::changed_rows() const { return sqlite3_changes(database_.get()); }
void SqlDatabase::set_busy_timeout(int milliseconds) { sqlite3_busy_timeout(database_.get(), milliseconds); }

Result<SqlTransaction> SqlTransaction::begin(SqlDatabase& database) {
  QUERN_TRY(database.execute("BEGIN IMMEDIATE"));
  return SqlTransaction(&database);
}

SqlTransaction::~SqlTransaction() {
  if (database_) (void)database_->execute("ROLLBACK");  // nothing is left to be told
}

Result<void> SqlTransaction::commit() {
  QUERN_TRY(database_->execute("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace quern
