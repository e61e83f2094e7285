#include "agent/report/run_report.h"

#include <gmock/gmock.h>

#include "agent/loop.h"
#include "agent/report/run_recorder.h"
#include "agent/scripted_model_test.h"
#include "agent/temporary_folder_test.h"
#include "agent/tools/file_tools.h"
#include "base/file.h"

namespace quern {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string line(std::string_view members) { return fmt::format("{{{}}}\n", members); }
const std::string kStart = line(R"("type": "start", "name": "n", "task": "t", "root": "/r", "at": 0)");

std::string report_of(const std::string& lines) {
  const auto record = RunRecord::from_lines(lines, "run.jsonl");
  EXPECT_TRUE(record) << record.error().message;
  return record ? run_report(*record) : std::string();
}

// Every tag of the page is closed in order, every & begins a reference of ours, and nothing in it runs or loads.
void expect_well_formed(const std::string& page) {
  std::vector<std::string> open;
  for (size_t at = page.find("<html"); at < page.size();) {
    at = page.find_first_of("<&", at);
    if (at == std::string::npos) break;
    if (page[at] == '&') {
      const std::string reference = page.substr(at, page.find(';', at) - at + 1);
      EXPECT_TRUE(reference == "&amp;" || reference == "&lt;" || reference == "&gt;" || reference == "&quot;")
          << reference.substr(0, 20);
      ++at;
      continue;
    }
    const std::string tag = page.substr(at + 1, page.find('>', at) - at - 1), name = tag.substr(0, tag.find_first_of(" \n"));
    at += tag.size() + 2;
    if (name == "style") at = page.find("</style>", at);
    if (name == "meta") continue;
    if (name.starts_with("/")) {
      ASSERT_FALSE(open.empty()) << name;
      EXPECT_EQ(name.substr(1), open.back());
      open.pop_back();
    } else {
      open.push_back(name);
      EXPECT_TRUE(name != "script" && name != "img" && name != "link" && name != "iframe") << name;
    }
  }
  EXPECT_TRUE(open.empty()) << open.back();
  for (const char c : page) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t');
}

TEST(RunReport, TellsARunFromBeginningToEnd) {
  const TemporaryFolder top;
  ASSERT_TRUE(write_file(top.path() / "a.txt", "one\ntwo\n"));
  ASSERT_TRUE(write_file(top.path() / "b.txt", "b\n"));
  ToolRegistry tools;
  ASSERT_TRUE(add_file_tools(tools, top.path()));
  RunRecorder recorder;
  recorder.set_model("some/model");
  std::string lines;
  int asked = 0;
  LoopOptions options;
  options.name = "letters";
  options.instruction = "Do <b>it</b>.";
  options.root = top.path().string();
  options.on_event = [&](const Event& event) {
    for (const Json& one : recorder.lines(event)) lines += one.dump() + "\n";
  };
  options.confirm = [&](const Tool&, const ToolCall&) { return ++asked == 3 ? Decision::no : Decision::yes; };
  options.check = [](const std::string&) { return CheckResult{true, "all is well"}; };
  ScriptedModel model(
      {"<think>\nHm & hm.\n</think>\nFirst.\n" + call_text("write_file", R"({"path": "a.txt", "text": "one\n2\n"})"),
       call_text("move_file", R"({"from": "b.txt", "to": "c/b.txt"})"), call_text("delete_file", R"({"path": "a.txt"})"), "Done."});
  run_loop(model, tools, options);
  const std::string page = report_of(lines);
  expect_well_formed(page);
  for (const char* part :
       {"<h1>letters<span class=\"badge success\">success</span></h1>", "Do &lt;b&gt;it&lt;/b&gt;.", "<dd>some/model</dd>",
        "<dd>passed</dd>", "First.", "write_file path: a.txt, text: one 2 ", "confirmed: asked", "refused: asked",
        "error: not allowed", "Changed files (2)", "<span class=\"r\">-two</span><span class=\"a\">+2</span>", "b.txt → c/b.txt",
        "all is well", "<div class=\"answer text\">Done.</div>", "rect class=\"writing\""})
    EXPECT_THAT(page, HasSubstr(part));
}

TEST(RunReport, ObeysNothingThatWasSaid) {
  const std::string hostile =
      R"(</pre></details><script>alert(1)</script><img src=x onerror=alert(1)>\" onload=\"x &amp; \u001b[2J\u0000\u202egpj.exe)";
  std::string lines = line(
      fmt::format(R"("type": "start", "name": "{0}", "task": "{0}", "root": "{0}", "model": "{0}", "started": "{0}")", hostile));
  lines += line(fmt::format(R"("type": "turn", "turn": 1, "tokens": 5, "decode_s": 1, "text": "{0}</think>")", hostile));
  lines += line(fmt::format(R"("type": "say", "text": "{0}")", hostile));
  lines += line(fmt::format(R"("type": "call", "call": 1, "name": "{0}", "arguments": {{"{0}": "{0}", "n": ["{0}"]}})", hostile));
  lines += line(fmt::format(R"("type": "refused", "call": 1, "reason": "{0}")", hostile));
  lines += line(fmt::format(R"("type": "result", "call": 1, "name": "x", "text": "{0}", "is_error": true, "seconds": 1)", hostile));
  lines += line(fmt::format(R"("type": "{0}", "{0}": "{0}")", hostile));
  lines += line(fmt::format(R"("type": "check", "passed": false, "output": "{0}")", hostile));
  lines += line(fmt::format(
      R"("type": "changes", "files": [{{"kind": "{0}", "path": "{0}", "from": "{0}", "diff": "{0}\n+{0}", "note": "{0}"}}])",
      hostile));
  lines += line(fmt::format(R"("type": "end", "status": "{0}", "reason": "{0}", "answer": "{0}", "check": "{0}")", hostile));
  const std::string page = report_of(lines);
  expect_well_formed(page);
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("\u202e")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(page, HasSubstr("␛[2J␀&lt;U+202E&gt;gpj.exe"));
  EXPECT_THAT(page, HasSubstr("badge unknown"));
}

TEST(RunReport, TakesEventsThatLackEverything) {
  std::string lines = kStart;
  for (const char* type : {"turn", "say", "confirmed", "result", "call", "confirmed", "result", "check", "changes", "something new",
                           "resumed", "step", "start", "end"})
    lines += line(fmt::format(R"("type": "{}")", type));
  lines += line(R"("type": "turn", "turn": "x", "decode_s": -1, "prefill_s": 1e300, "text": 3, "at": "soon")");
  lines += line(R"("type": "changes", "files": [1, {"path": null}], "complete": 3)");
  expect_well_formed(report_of(lines));
}

TEST(RunReport, CutsWhatIsTooLong) {
  std::string lines = kStart;
  const std::string large(70 << 10, 'x');
  for (int i = 1; i <= 400; ++i) {
    lines += line(fmt::format(R"("type": "call", "call": {}, "name": "read_file", "arguments": {{"path": "{}"}})", i, large));
    lines += line(fmt::format(R"("type": "result", "call": {}, "text": "{}", "seconds": 0.1)", i, large));
  }
  const std::string page = report_of(lines);
  expect_well_formed(page);
  EXPECT_LT(page.size(), kMostPageBytes + (4 << 20));
  EXPECT_THAT(page, HasSubstr("[cut here: 65536 of 71680 bytes are shown]"));
  EXPECT_THAT(page, HasSubstr("Only the first 300 of 400 rows are drawn."));
  EXPECT_THAT(page, HasSubstr("no end recorded"));
}

TEST(RunReport, KeepsTimesApart) {
  const std::string lines = kStart + line(R"("type": "turn", "turn": 1, "prefill_s": 1, "decode_s": 2, "at": 3)") +
                            line(R"("type": "call", "call": 1, "name": "a", "arguments": {}, "at": 3)") +
                            line(R"("type": "confirmed", "call": 1, "reason": "asked", "at": 8)") +
                            line(R"("type": "result", "call": 1, "text": "", "seconds": 4, "at": 12)") +
                            line(R"("type": "end", "status": "success", "seconds": 12, "cost": 3.5, "tokens": 1234567, "at": 12)");
  const auto record = RunRecord::from_lines(lines, "run.jsonl");
  ASSERT_TRUE(record);
  EXPECT_THAT(record->seconds_of, testing::ElementsAre(1, 2, 5, 4, 0));
  ASSERT_EQ(record->rows.size(), 1U);
  ASSERT_EQ(record->rows[0].spans.size(), 4U);
  EXPECT_EQ(record->rows[0].spans[2].begin, 3);
  EXPECT_EQ(record->rows[0].spans[3].end, 12);
  const std::string page = run_report(*record);
  EXPECT_THAT(page, HasSubstr("<b>3.50</b><span>cost units</span>"));
  EXPECT_THAT(page, HasSubstr("<b>1,234,567</b>"));
}

TEST(RunReport, TellsStepsApart) {
  const std::string lines =
      kStart + line(R"("type": "step", "step": "steps/first", "state": "begun", "text": "Do the <first>.", "seconds": 0)") +
      line(R"("type": "call", "call": 1, "name": "a", "arguments": {}, "warning": "named by a tool")") +
      line(R"("type": "step", "step": "steps/first", "state": "failed", "text": "no luck", "seconds": 2)") +
      line(R"("type": "resumed", "run": "r1", "turns": 3, "calls": 2, "state": true, "same_prompt": false)");
  const std::string page = report_of(lines);
  expect_well_formed(page);
  for (const char* part :
       {"<h3>steps/first</h3>", "Do the &lt;first&gt;.", "named by a tool", "failed after 2.0 s", "no luck", "resumed"})
    EXPECT_THAT(page, HasSubstr(part));
}

TEST(RunReport, RefusesWhatIsNoRun) {
  const auto error = [](const std::string& lines) {
    const auto record = RunRecord::from_lines(lines, "run.jsonl");
    return record ? std::string() : record.error().message;
  };
  EXPECT_THAT(error(""), HasSubstr("no start event"));
  EXPECT_THAT(error("{}\n"), HasSubstr("run.jsonl: line 1: expected an event"));
  EXPECT_THAT(error(kStart + "[]\n"), HasSubstr("line 2"));
  EXPECT_THAT(error(kStart + "{\"type\": \n" + kStart), HasSubstr("line 2"));
  EXPECT_EQ(error(kStart + "\n\n{\"type\": \"res"), "");  // killed in the middle of a line
}

}  // namespace
}  // namespace quern
