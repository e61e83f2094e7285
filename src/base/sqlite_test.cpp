#include "base/sqlite.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

namespace quern {
namespace {

class Sqlite : public testing::Test {
 protected:
  void SetUp() override { path_ = testing::TempDir() + "quern-sqlite-" + std::to_string(::getpid()) + ".db"; }
  void TearDown() override {
    for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path_ + suffix).c_str());
  }
  std::string path_;
};

TEST_F(Sqlite, ValuesComeBackAsTheyWereBound) {
  auto database = SqlDatabase::open({}, SqlDatabase::Mode::create).value();
  ASSERT_TRUE(database.execute("CREATE TABLE t (i INTEGER, r REAL, s TEXT, b BLOB, n TEXT)"));
  auto insert = database.prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?)").value();
  const std::string bytes("a\0b\xFF", 4);
  ASSERT_TRUE(insert.bind(1, int64_t{-7}).bind(2, 0.5).bind(3, "'; DROP TABLE t; --").bind_blob(4, bytes).bind_null(5).run());
  ASSERT_TRUE(insert.bind(1, int64_t{8}).bind(3, std::string_view()).bind(5, std::optional<std::string_view>("x")).run());
  auto all = database.prepare("SELECT * FROM t ORDER BY i").value();
  ASSERT_TRUE(all.step().value());
  EXPECT_EQ(all.integer(0), -7);
  EXPECT_EQ(all.real(1), 0.5);
  EXPECT_EQ(all.text(2), "'; DROP TABLE t; --");
  EXPECT_EQ(all.text(3), bytes);
  EXPECT_TRUE(all.is_null(4));
  ASSERT_TRUE(all.step().value());
  EXPECT_TRUE(all.is_null(1));
  EXPECT_FALSE(all.is_null(2));
  EXPECT_EQ(all.text(2), "");
  EXPECT_EQ(all.text(4), "x");
  EXPECT_FALSE(all.step().value());
}

TEST_F(Sqlite, ABindThatFailsIsTold) {
  auto database = SqlDatabase::open({}, SqlDatabase::Mode::create).value();
  auto select = database.prepare("SELECT ?").value();
  EXPECT_FALSE(select.bind(2, "no such parameter").step());
  select.reset();
  EXPECT_TRUE(select.bind(1, "fine").step().value());
}

TEST_F(Sqlite, WhatIsNotCommittedIsRolledBack) {
  auto database = SqlDatabase::open(path_, SqlDatabase::Mode::create).value();
  ASSERT_TRUE(database.execute("CREATE TABLE t (i)"));
  {
    auto transaction = SqlTransaction::begin(database).value();
    ASSERT_TRUE(database.execute("INSERT INTO t VALUES (1)"));
  }
  {
    auto transaction = SqlTransaction::begin(database).value();
    ASSERT_TRUE(database.execute("INSERT INTO t VALUES (2)"));
    ASSERT_TRUE(transaction.commit());
  }
  auto reader = SqlDatabase::open(path_, SqlDatabase::Mode::read_only).value();
  auto all = reader.prepare("SELECT i FROM t").value();
  ASSERT_TRUE(all.step().value());
  EXPECT_EQ(all.integer(0), 2);
  EXPECT_FALSE(all.step().value());
  EXPECT_EQ(reader.execute("DELETE FROM t").error().code, Errc::denied);
}

TEST_F(Sqlite, AnotherWritersLockIsAnError) {
  auto one = SqlDatabase::open(path_, SqlDatabase::Mode::create).value();
  auto two = SqlDatabase::open(path_, SqlDatabase::Mode::create).value();
  two.set_busy_timeout(1);
  const auto transaction = SqlTransaction::begin(one).value();
  const auto refused = SqlTransaction::begin(two);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::io);
}

TEST_F(Sqlite, AFileThatIsNoDatabase) {
  ASSERT_TRUE(write_file(path_, std::string(5000, 'x')));
  const auto opened = SqlDatabase::open(path_, SqlDatabase::Mode::create);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::malformed);
  EXPECT_FALSE(SqlDatabase::open(path_ + "-none", SqlDatabase::Mode::read_only));
}

TEST_F(Sqlite, OnlyItsOwnerReadsIt) {
  auto database = SqlDatabase::open(path_, SqlDatabase::Mode::create).value();
  struct stat status{};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(Sqlite, KeepsWhatBelongsIntoAFileApart) {
  constexpr SqlContents letters{.application = 0x4C455454,
                                .version = 2,
                                .what = "one of letters",
                                .schema = "CREATE TABLE IF NOT EXISTS letter(text TEXT NOT NULL)"};
  const std::string deep = path_ + "-folder/deeper/letters.db";
  {
    auto database = SqlDatabase::open(deep, letters).value();
    EXPECT_TRUE(database.execute("INSERT INTO letter VALUES ('a')"));
    EXPECT_EQ(database.number("SELECT count(*) FROM letter").value(), 1);
    EXPECT_EQ(database.number("SELECT 7 FROM letter WHERE text = 'b'").value(), 0) << "no row";
    EXPECT_FALSE(database.number("SELECT count(*) FROM words"));
  }
  EXPECT_EQ(SqlDatabase::open(deep, letters).value().number("SELECT count(*) FROM letter").value(), 1);

  SqlContents other = letters;
  other.application = 5;
  other.what = "one of numbers";
  const auto foreign = SqlDatabase::open(deep, other);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, Errc::malformed);
  EXPECT_EQ(foreign.error().message, deep + ": a database, but not one of numbers");
  other = letters;
  other.version = 1;
  const auto newer = SqlDatabase::open(deep, other);
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, Errc::unsupported);
  other.version = 3;
  other.schema = "CREATE TABLE IF NOT EXISTS letter(text TEXT NOT NULL); CREATE TABLE IF NOT EXISTS word(text TEXT)";
  EXPECT_EQ(SqlDatabase::open(deep, other).value().number("PRAGMA user_version").value(), 3) << "an older one gets what it lacks";

  ASSERT_TRUE(SqlDatabase::open(path_, SqlDatabase::Mode::create).value().execute("CREATE TABLE letter(text TEXT)"));
  EXPECT_FALSE(SqlDatabase::open(path_, letters)) << "somebody's tables under no name";
  std::filesystem::remove_all(path_ + "-folder");
}

TEST_F(Sqlite, AllowsOnlyReadingWhenToldSo) {
  auto database = SqlDatabase::open("", SqlDatabase::Mode::create).value();
  ASSERT_TRUE(database.execute("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'), (2, 'y')"));
  database.allow_only_reading({.seconds = 0.2, .cancelled = {}});
  auto rows = database.prepare("WITH s AS (SELECT a, upper(b) AS u FROM t) SELECT u FROM s ORDER BY a DESC").value();
  EXPECT_EQ(rows.columns(), 1);
  EXPECT_EQ(rows.column_name(0), "u");
  ASSERT_TRUE(rows.step().value());
  EXPECT_EQ(rows.text(0), "Y");
  for (const char* sql : {"DELETE FROM t", "INSERT INTO t VALUES (3, 4)", "DROP TABLE t", "ATTACH '/tmp/x' AS x",
                          "PRAGMA journal_mode", "CREATE TABLE u(a)", "VACUUM INTO '/tmp/x'", "BEGIN", "CREATE TEMP TABLE u(a)"}) {
    const auto refused = database.prepare(sql);
    ASSERT_FALSE(refused) << sql;
    EXPECT_EQ(refused.error().code, Errc::denied) << sql;
  }
  EXPECT_FALSE(database.prepare("SELECT load_extension('x')"));
  EXPECT_TRUE(database.prepare("SELECT 1; DELETE FROM t").value().has_more_sql());
  EXPECT_FALSE(database.prepare("SELECT 1 ; ").value().has_more_sql());
  EXPECT_FALSE(database.prepare("  "));
  auto endless = database.prepare("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n").value();
  EXPECT_FALSE(endless.step());
  EXPECT_EQ(database.why_stopped(), "took longer than 0.2 s");
}

}  // namespace
}  // namespace quern
