// SQLite, as far as quern needs it: a database file, statements with bound values, transactions. Every text that reaches SQL is bound,
// never pasted into it. A damaged or foreign file, a full disk and a lock held by somebody else are errors, not crashes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace quern {

// A compiled statement. Belongs to its database's thread and must not outlive the database.
class SqlStatement {
 public:
  // Parameters count from 1. A text or blob is copied.
  SqlStatement& bind(int parameter, int64_t value);
  SqlStatement& bind(int parameter, double value);
  SqlStatement& bind(int parameter, std::string_view text);
  SqlStatement& bind(int parameter, const char* text) { return bind(parameter, std::string_view(text)); }
  SqlStatement& bind_blob(int parameter, std::string_view bytes);
  SqlStatement& bind_null(int parameter);
  template <class T>
  SqlStatement& bind(int parameter, const std::optional<T>& value) {
    return value ? bind(parameter, *value) : bind_null(parameter);
  }

  // True: a row is there. False: done. An error also tells of a value that could not be bound.
  Result<bool> step();
  // For statements without rows: steps once and gets ready for the next values.
  Result<void> run();
  void reset();  // and forgets the bound values

  // Columns of the present row count from 0; views hold until the next step or reset.
  int64_t integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;  // of a blob too: its bytes
  bool is_null(int column) const;
  int columns() const;  // 0: a statement that gives no rows
  std::string_view column_name(int column) const;
  bool has_more_sql() const { return has_more_sql_; }  // behind the statement stood another one

 private:
  friend class SqlDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit SqlStatement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int failed_ = 0;  // the first bind that went wrong
  bool has_more_sql_ = false;
};

// A database file of ours: what it is told by, and what is in it.
struct SqlContents {
  int64_t application;      // PRAGMA application_id, so that no other program's database is taken for one of these
  int64_t version;          // PRAGMA user_version
  std::string_view what;    // for errors: "one of conversations"
  std::string_view schema;  // CREATE TABLE IF NOT EXISTS …
};

// One connection; not shared between threads.
class SqlDatabase {
 public:
  enum class Mode { read_only, create };
  // create: a file that only its owner may read, in WAL mode with full synchronisation: what a statement has committed survives a loss of
  // power. An empty path: a temporary database in memory. io, malformed (not a database).
  static Result<SqlDatabase> open(const std::filesystem::path& path, Mode mode);
  // Mode::create, with the folders above the file, and what belongs into it. malformed: something else is there; unsupported: of a
  // newer version.
  static Result<SqlDatabase> open(const std::filesystem::path& path, const SqlContents& contents);

  Result<void> execute(const std::string& sql);  // statements separated by ';', rows are dropped
  Result<SqlStatement> prepare(std::string_view sql) const;
  Result<int64_t> number(std::string_view sql) const;  // in the first column of the first row; 0 where there is no row
  int64_t last_insert_id() const;
  int64_t changed_rows() const;             // by the last INSERT, UPDATE or DELETE
  void set_busy_timeout(int milliseconds);  // how long to wait for another connection's lock; 5,000 at first

  // For statements that somebody else wrote: from now on only SELECT, without functions that reach outside. It ends with an error when
  // it takes too long or too much memory (both counted from here on) or is cancelled; why_stopped() then says which.
  struct ReadingLimits {
    double seconds = 10;
    int64_t memory_bytes = int64_t{256} << 20;
    size_t value_bytes = size_t{1} << 20;  // of one text or blob
    std::function<bool()> cancelled;       // empty: never
  };
  void allow_only_reading(ReadingLimits limits);
  std::string why_stopped() const;

 private:
  struct Reading;
  struct ForgetReading {
    void operator()(Reading* reading) const;
  };
  struct Close {
    void operator()(sqlite3* database) const;
  };
  explicit SqlDatabase(sqlite3* database) : database_(database) {}
  Result<void> expect(const std::string& path, const SqlContents& contents);
  std::unique_ptr<Reading, ForgetReading> reading_;  // what SQLite calls back; goes after the database
  std::unique_ptr<sqlite3, Close> database_;
};

// BEGIN IMMEDIATE … COMMIT; without commit() the destructor rolls back.
class SqlTransaction {
 public:
  static Result<SqlTransaction> begin(SqlDatabase& database);
  SqlTransaction(SqlTransaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  SqlTransaction& operator=(SqlTransaction&&) = delete;
  ~SqlTransaction();
  Result<void> commit();

 private:
  explicit SqlTransaction(SqlDatabase* database) : database_(database) {}
  SqlDatabase* database_;
};

}  // namespace quern
