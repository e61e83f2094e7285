#include "agent/report/journal_lines.h"

#include <gmock/gmock.h>

#include "agent/loop.h"
#include "agent/report/run_report.h"
#include "agent/scripted_model_test.h"
#include "agent/temporary_folder_test.h"
#include "agent/tools/file_tools.h"
#include "base/file.h"

namespace quern {
namespace {

using testing::HasSubstr;

TEST(JournalReport, TellsWhatTheJournalKnows) {
  const TemporaryFolder top, root;
  ASSERT_TRUE(write_file(root.path() / "a.txt", "A"));
  ToolRegistry tools;
  ASSERT_TRUE(add_file_tools(tools, root.path()));
  const auto journal = Journal::open(top.path() / "journal.db");
  ASSERT_TRUE(journal);
  RunDescription description{.name = "letters", .root = root.path().string(), .task = Json("Move <it>.")};
  std::string id;
  {
    const auto run = (*journal)->begin(description);
    ASSERT_TRUE(run);
    id = (*run)->id();
    LoopOptions options;
    options.instruction = "Move <it>.";
    options.journal = run->get();
    int asked = 0;
    options.confirm = [&](const Tool&, const ToolCall&) { return ++asked == 1 ? Decision::yes : Decision::no; };
    ScriptedModel model({call_text("move_file", R"({"from": "a.txt", "to": "b.txt"})"),
                         call_text("delete_file", R"({"path": "b.txt"})"), call_text("nonsense", "{}"), "Done."});
    run_loop(model, tools, options);
    ASSERT_TRUE((*run)->end(RunState::success, ""));
  }
  const auto record = record_of_journal(**journal, id);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->calls.size(), 3U);
  const std::string page = run_report(*record);
  for (const char* part : {"letters<span class=\"badge success\">", "Move &lt;it&gt;.", "move_file a.txt -&gt; b.txt", "confirmed",
                           "delete_file", "refused", "no such tool: nonsense", "<div class=\"answer text\">Done.</div>",
                           "<b>4</b><span>turns</span>", "<b>3</b><span>calls</span>"})
    EXPECT_THAT(page, HasSubstr(part));
  EXPECT_EQ(record_of_journal(**journal, "none").error().code, Errc::not_found);
}

}  // namespace
}  // namespace quern
