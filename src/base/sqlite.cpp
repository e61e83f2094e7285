#include "base/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>

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

}  // namespace

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
    if (!in_memory) QUERN_TRY(database.execute("PRAGMA journal_mode = WAL"));
  }
  QUERN_TRY(database.execute("SELECT count(*) FROM sqlite_master"));  // the header is looked at only now
  return database;
}

Result<void> SqlDatabase::execute(const std::string& sql) {
  if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return failure(database_.get());
  return {};
}

Result<SqlStatement> SqlDatabase::prepare(std::string_view sql) const {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr) != SQLITE_OK)
    return failure(database_.get());
  return SqlStatement(raw);
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
