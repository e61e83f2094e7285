#include "agent/tools/builtin_test.h"
#include "agent/tools/data_table.h"
#include "agent/tools/memory_store.h"
#include "base/random.h"

namespace quern {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using QueryData = BuiltinTest;

constexpr std::string_view kOrders =
    "id,customer,total,note\n1,\"Smith, Ann\",10.50,first\n2,Bob,7,\"says \"\"hi\"\"\"\n3,Bob,0.5,\n4,Zoë,007,\"two\nlines\"\n";

TEST_F(QueryData, AnswersSqlOverCsv) {
  put(root() / "orders.csv", kOrders);
  EXPECT_EQ(said("query_data", R"({"path": "orders.csv"})"), "table data: 4 rows, columns: id, customer, total, note");
  EXPECT_EQ(
      said(
          "query_data",
          R"({"path": "orders.csv", "sql": "SELECT customer, sum(total) AS s FROM data WHERE id < 4 GROUP BY customer ORDER BY s"})"),
      "customer\ts\nBob\t7.5\nSmith, Ann\t10.5\n(2 rows)");
  EXPECT_EQ(said("query_data", R"({"path": "orders.csv", "sql": "SELECT id, total, note FROM data WHERE id > 1"})"),
            "id\ttotal\tnote\n2\t7\tsays \"hi\"\n3\t0.5\tNULL\n4\t007\ttwo\\nlines\n(3 rows)");
  EXPECT_EQ(said("query_data", R"({"path": "orders.csv", "sql": "SELECT id FROM data", "most": 2})"),
            "id\n1\n2\n(only the first 2 rows are shown)");
  EXPECT_EQ(said("query_data", R"({"path": "orders.csv", "sql": "SELECT id FROM data WHERE customer = 'nobody'"})"),
            "id\n(0 rows)");
}

TEST_F(QueryData, TellsSeparatorsAndNamesApart) {
  put(root() / "a.csv",
      "\xEF\xBB\xBF"
      "Name;name;;\"a;b\"\r\nx;1,5;2;3\r\n\r\ny\r\n");
  EXPECT_EQ(said("query_data", R"({"path": "a.csv", "sql": "SELECT * FROM data"})"),
            "Name\tname_2\tc3\ta;b\nx\t1,5\t2\t3\ny\tNULL\tNULL\tNULL\n(2 rows)");
  put(root() / "b.tsv", "a\tb\n1\t2\n");
  EXPECT_EQ(said("query_data", R"({"path": "b.tsv", "sql": "SELECT a + b FROM data"})"), "a + b\n3\n(1 row)");
  put(root() / "bad.csv", "a,b\n1,2,3\n");
  EXPECT_EQ(refused("query_data", R"({"path": "bad.csv"})"), "error: bad.csv: line 2: 3 fields, the first line has 2");
  put(root() / "bad.csv", "a,b\n1,2\n\"open,3\n");
  EXPECT_EQ(refused("query_data", R"({"path": "bad.csv"})"), "error: bad.csv: line 3: a quote without its end");
  put(root() / "bad.csv", "a,b\n\"x\"y,3\n");
  EXPECT_EQ(refused("query_data", R"({"path": "bad.csv"})"), "error: bad.csv: line 2: text behind a closing quote");
  put(root() / "empty.csv", "");
  EXPECT_EQ(refused("query_data", R"({"path": "empty.csv"})"), "error: empty.csv: the file is empty");
}

TEST_F(QueryData, AnswersSqlOverJson) {
  put(root() / "a.json", R"({"meta": {"n": 2}, "items": [{"a": 1, "b": "x", "tags": ["p", "q"]}, {"a": 2.5, "c": true}]})");
  EXPECT_EQ(said("query_data", R"({"path": "a.json", "pointer": "/items", "sql": "SELECT * FROM data ORDER BY a DESC"})"),
            "a\tb\ttags\tc\n2.5\tNULL\tNULL\t1\n1\tx\t[\"p\",\"q\"]\tNULL\n(2 rows)");
  EXPECT_EQ(
      said(
          "query_data",
          R"({"path": "a.json", "pointer": "/items", "sql": "SELECT json_extract(tags, '$[1]') AS t FROM data WHERE tags IS NOT NULL"})"),
      "t\nq\n(1 row)");
  EXPECT_EQ(said("query_data", R"({"path": "a.json", "pointer": "/items/1/a"})"), "2.5");
  EXPECT_EQ(said("query_data", R"({"path": "a.json", "pointer": "/meta"})"), "{\n  \"n\": 2\n}");
  EXPECT_EQ(said("query_data", R"({"path": "a.json"})"), "table data: 2 rows, columns: key, value");
  EXPECT_EQ(refused("query_data", R"({"path": "a.json", "pointer": "/items/2"})"),
            "error: pointer: \"2\" is not in this array of 2");
  EXPECT_THAT(refused("query_data", R"({"path": "a.json", "pointer": "items"})"), HasSubstr("begins with /"));
  put(root() / "l.jsonl", "{\"a\": 1}\n\n{\"a\": 2}\n");
  EXPECT_EQ(said("query_data", R"({"path": "l.jsonl", "sql": "SELECT sum(a) AS s FROM data"})"), "s\n3\n(1 row)");
  put(root() / "l.jsonl", "{\"a\": 1}\n{\"a\": \n");
  EXPECT_THAT(refused("query_data", R"({"path": "l.jsonl"})"), HasSubstr("l.jsonl, line 2: "));
  put(root() / "m.json", "[[1, 2], [3, 4]]");
  EXPECT_EQ(said("query_data", R"({"path": "m.json", "sql": "SELECT c2 FROM data"})"), "c2\n2\n4\n(2 rows)");
  put(root() / "m.json", "3");
  EXPECT_THAT(refused("query_data", R"({"path": "m.json", "sql": "SELECT 1"})"), HasSubstr("only an array or an object"));
}

TEST_F(QueryData, OnlyReads) {
  put(root() / "a.csv", "a\n1\n");
  for (const char* sql :
       {"DELETE FROM data", "UPDATE data SET a = 2", "ATTACH '/tmp/x.db' AS x", "PRAGMA user_version", "DROP TABLE data",
        "CREATE TABLE t(a)", "VACUUM INTO 'x'", "SELECT load_extension('x')", "SELECT 1; DELETE FROM data",
        "EXPLAIN DELETE FROM data", "SELECT * FROM pragma_database_list", "not sql", "SELECT b FROM data", ";"})
    refused("query_data", fmt::format(R"({{"path": "a.csv", "sql": "{}"}})", sql));
  EXPECT_EQ(refused("query_data", R"({"path": "a.csv", "sql": "SELECT b FROM data"})"),
            "error: database: no such column: b (table data has the columns a)");
  EXPECT_THAT(refused("query_data", R"({"path": "link.txt", "sql": "SELECT 1"})"), HasSubstr("outside"));
  EXPECT_EQ(text_of(root() / "a.csv"), "a\n1\n");
  EXPECT_FALSE(tool("query_data").changes);
}

TEST_F(QueryData, BoundsTimeMemoryAndOutput) {
  std::string text = "a\n";
  for (int i = 0; i < 3000; ++i) text += fmt::format("{}\n", i);
  put(root() / "a.csv", text);
  const CallContext cancelled{.cancelled = [] { return true; }, .on_output = {}};
  EXPECT_EQ(call("query_data", R"({"path": "a.csv", "sql": "SELECT count(*) FROM data x, data y, data z"})", cancelled).text,
            "error: interrupted");
  EXPECT_THAT(
      refused("query_data", R"({"path": "a.csv", "sql": "SELECT group_concat(x.a || hex(zeroblob(900))) FROM data x, data y"})"),
      testing::StartsWith("error: "));
  const std::string wide =
      said("query_data", R"({"path": "a.csv", "sql": "SELECT hex(zeroblob(1000)) || a FROM data", "most": 1000})");
  EXPECT_LT(wide.size(), 70'000u);
  EXPECT_THAT(wide, testing::EndsWith("rows are shown)"));
}

TEST(DataTable, PointersAsRfc6901HasThem) {
  const Json json = Json::parse(R"({"": 1, "a/b": {"~": [10, 20]}, "0": "x"})", "j").value();
  EXPECT_EQ(*at_pointer(json, "").value(), json);
  EXPECT_EQ(at_pointer(json, "/").value()->dump(), "1");
  EXPECT_EQ(at_pointer(json, "/a~1b/~0/1").value()->dump(), "20");
  EXPECT_EQ(at_pointer(json, "/0").value()->dump(), "\"x\"");
  EXPECT_EQ(at_pointer(json, "/a~1b/~0/2").error().code, Errc::not_found);
  EXPECT_EQ(at_pointer(json, "/a~2b").error().code, Errc::malformed);
  EXPECT_EQ(at_pointer(json, "/a~").error().code, Errc::malformed);
}

TEST(DataTable, AnyBytesAsCsvAreATableOrAnError) {
  Random random(3);
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (int64_t length = random.between(0, 40); length > 0; --length) text += random.pick(std::string_view("ab1,;\t\"\"\n\r\xFF"));
    const auto table = table_from_csv(text);
    EXPECT_TRUE(!table || !table->columns.empty());
  }
}

using MemoryTools = BuiltinTest;

TEST_F(MemoryTools, RemembersAndFindsAgain) {
  EXPECT_EQ(said("remember", R"({"text": "The printer is called Gutenberg.", "topic": "office"})"), "remembered as #1");
  EXPECT_EQ(said("remember", R"({"text": "Ann prefers tea.", "topic": "people"})"), "remembered as #2");
  EXPECT_EQ(said("remember", R"({"text": "Ann prefers tea."})"), "remembered as #2");
  EXPECT_THAT(said("recall", R"({"query": "which PRINTERS are there?"})"), HasSubstr("nothing"));
  EXPECT_THAT(said("recall", R"({"query": "what does ann drink"})"),
              testing::MatchesRegex("#2 \\(20..-..-.., people\\) Ann prefers tea\\."));
  EXPECT_THAT(said("recall", R"({"query": "print"})"), HasSubstr("Gutenberg"));  // the beginning of a word
  EXPECT_THAT(said("recall", R"({"query": "office"})"), HasSubstr("Gutenberg"));
  EXPECT_THAT(said("recall", R"({"query": ""})"), testing::MatchesRegex("#2 .*\n#1 .*"));
  EXPECT_THAT(said("recall", R"({"query": "", "most": 1})"), testing::StartsWith("#2"));
  EXPECT_EQ(said("remember", R"({"text": "Ann prefers coffee now.", "replaces": 2})"), "remembered as #3");
  EXPECT_EQ(said("remember", R"({"text": "Ann prefers coffee now.", "replaces": 2})"), "remembered as #3");
  EXPECT_EQ(said("recall", R"({"query": "tea"})"), "nothing is remembered about that");
  EXPECT_EQ(refused("remember", R"({"text": "x", "replaces": 9})"), "error: there is no memory 9 to replace");
  EXPECT_TRUE(tool("remember").changes && tool("remember").idempotent);
  EXPECT_FALSE(tool("recall").changes);
}

TEST_F(MemoryTools, KeepsWhatItIsToldForTheNextRun) {
  said("remember", R"({"text": "blue"})");
  registry = ToolRegistry();
  EXPECT_THAT(said("recall", R"({"query": "blue"})"), HasSubstr("blue"));
}

TEST_F(MemoryTools, SurvivesHostileTexts) {
  for (const char* text : {"'; DROP TABLE memory; --", "\\\"", "NEAR(a b)", "a AND", "text: *", "-x", "\\u0000 zero", "ünïcode"}) {
    const std::string arguments = fmt::format(R"({{"text": "{}", "query": "{}"}})", text, text);
    said("remember", arguments);
    said("recall", arguments);
  }
  EXPECT_THAT(said("recall", R"({"query": "unicode"})"), HasSubstr("ünïcode"));
  EXPECT_EQ(refused("remember", R"({"text": "  "})"), "error: there is nothing to remember");
  EXPECT_EQ(refused("remember", fmt::format(R"({{"text": "{}"}})", std::string(5000, 'x'))),
            "error: 5000 bytes, a memory has at most 4096");
  EXPECT_THAT(refused("remember", fmt::format(R"({{"text": "x", "topic": "{}"}})", std::string(101, 'x'))), HasSubstr("topic"));
}

TEST_F(MemoryTools, RefusesAFileThatIsNotItsOwn) {
  put(options.memory, std::string(4096, 'x'));
  EXPECT_THAT(refused("recall", R"({"query": "x"})"), HasSubstr("not a database"));
  options.memory = top.path() / "other.db";
  ASSERT_TRUE(SqlDatabase::open(options.memory, SqlDatabase::Mode::create)->execute("CREATE TABLE t(a)"));
  registry = ToolRegistry();
  EXPECT_EQ(refused("recall", R"({"query": "x"})"), "error: " + options.memory.string() + ": a database, but not one of memories");
}

}  // namespace
}  // namespace quern
