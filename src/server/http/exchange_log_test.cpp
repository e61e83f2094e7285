#include "server/http/exchange_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"

namespace quern {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ExchangeRecord example() {
  ExchangeRecord record;
  record.begun = std::chrono::system_clock::time_point(std::chrono::milliseconds(1795828764123));
  record.id = "req_1";
  record.client = "ann";
  record.address = "127.0.0.1";
  record.method = "POST";
  record.route = "/v1/chat/completions";
  record.status = 200;
  record.seconds = 1.23456;
  record.first_byte_s = 0.5;
  record.received = 20, record.sent = 30;
  record.notes = {.model = "two words", .prompt_tokens = 7, .tokens = 3, .queued_s = 0.025, .finish = "stop"};
  auto transcript = std::make_shared<Transcript>();
  transcript->path = "/v1/chat/completions";
  transcript->headers = {{"x-api-key", "(removed)"}};
  transcript->body = R"({"secret":"plan"})";
  transcript->answer = {{0.5, "data: a\n\n"}, {1.0, "data: \xff\n\n"}};
  record.transcript = transcript;
  return record;
}

TEST(ExchangeLog, ALineHasNoTextOfPromptsUnlessAskedFor) {
  const std::string line = logfmt_line(log_fields(example(), false));
  EXPECT_EQ(
      line,
      "time=2026-11-28T01:19:24.123Z level=info msg=request id=req_1 client=ann address=127.0.0.1 method=POST "
      "route=/v1/chat/completions status=200 ms=1234.6 first_byte_ms=500 received=20 sent=30 model=\"two words\" queued_ms=25 "
      "prompt_tokens=7 "
      "tokens=3 finish=stop");
  EXPECT_THAT(logfmt_line(log_fields(example(), true)), HasSubstr(R"(body="{\"secret\":\"plan\"}")"));
}

TEST(ExchangeLog, NothingBreaksALine) {
  ExchangeRecord record = example();
  record.notes.model = "a\nb\x1b[31m";
  record.cut_off = true;
  const std::string line = logfmt_line(log_fields(record, false));
  EXPECT_EQ(line.find_first_of("\n\x1b"), std::string::npos);
  EXPECT_THAT(line, HasSubstr("level=warn"));
  EXPECT_THAT(line, HasSubstr("cut_off=true"));
}

TEST(ExchangeLog, LinesAndTracesAreThereAtItsEnd) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / fmt::format("quern-trace-{}", ::getpid());
  std::string lines;
  {
    const auto log =
        ExchangeLog::open({.format = LogFormat::json, .trace = folder, .write = [&](std::string_view line) { lines += line; }});
    ASSERT_TRUE(log) << log.error().message;
    EXPECT_TRUE((*log)->wants_transcripts());
    (*log)->event("info", "starts");
    (*log)->put(example());
  }
  EXPECT_THAT(lines, HasSubstr(R"("level":"info","msg":"starts"})"));
  EXPECT_THAT(lines, HasSubstr(R"("id":"req_1")"));
  EXPECT_THAT(lines, Not(HasSubstr("plan")));
  const auto file = read_file(folder / "2026-11-28T011924.123Z-req_1.json");
  ASSERT_TRUE(file) << file.error().message;
  const auto trace = Json::parse(*file, "trace");
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_EQ(trace->find("request")->find("body")->find("secret")->as_string(), "plan");
  EXPECT_EQ(trace->find("answer")->as_array()[1].find("body")->as_string(), "data: \xef\xbf\xbd\n\n");
  std::filesystem::remove_all(folder);
}

TEST(ExchangeLog, AFolderThatCannotBe) { EXPECT_EQ(ExchangeLog::open({.trace = "/proc/none/here"}).error().code, Errc::io); }

}  // namespace
}  // namespace quern
