// A journal that somebody has been at: a run with any records, one a line (kind, number, JSON, text; tabs between), is continued. It ends, with
// one line if it does not end well.
#include <algorithm>

#include "agent/loop.h"
#include "fuzz.h"
#include "scratch_folder.h"

using namespace quern;

namespace {

class SilentModel : public ChatModel {
 public:
  ChatFormat format() const override { return ChatFormat::instruct; }
  int64_t context() const override { return 4000; }
  Result<Reply> reply(const Conversation&, int64_t, const std::function<bool(std::string_view)>&) override {
    Reply reply;
    reply.text = "Done.";
    return reply;
  }
};

std::string_view take(std::string_view& rest, char end) {
  const std::string_view word = rest.substr(0, rest.find(end));
  rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  return word;
}

struct Forged {
  Forged() {
    for (const bool changes : {false, true}) {
      Tool tool;
      tool.definition =
          Json::parse(fmt::format(R"({{"type": "function", "function": {{"name": "{}", "parameters": {{"type": "object"}}}}}})",
                                  changes ? "change" : "look"),
                      "tool")
              .value();
      tool.changes = changes;
      tool.execute = [](const Json&, const CallContext&) { return ToolResult{"seen", false}; };
      QUERN_CHECK(tools.add(std::move(tool)).has_value(), changes);
    }
    options.instruction = "Look and change.";
    options.changes = ChangePolicy::allow;
    options.long_results = LongResults::pages;
    options.budget.turns = 0;
    const auto run = journal->begin({"forged", "/", Json()}).value();
    id = run->id();
    options.journal = run.get();
    (void)run_loop(model, tools, options);  // records the beginning
    options.budget.turns = 6;
  }
  fuzz::ScratchFolder folder;
  std::shared_ptr<Journal> journal = Journal::open(folder.path() / "journal.db").value();
  SqlDatabase database = SqlDatabase::open(folder.path() / "journal.db", SqlDatabase::Mode::create).value();
  ToolRegistry tools;
  SilentModel model;
  LoopOptions options;
  std::string id;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Forged forged;
  QUERN_CHECK(forged.database.execute("DELETE FROM records WHERE kind <> 'begin'; UPDATE runs SET status = 'open'").has_value(),
              size);
  std::string_view rest = fuzz::text_of(data, size);
  for (int lines = 0; !rest.empty() && lines < 40; ++lines) {
    std::string_view line = take(rest, '\n');
    auto insert = forged.database.prepare(
        "INSERT OR IGNORE INTO records (run, step, kind, number, data, text) VALUES (1, 'main', ?, ?, ?, ?)");
    const std::string_view kind = take(line, '\t'), number = take(line, '\t'), json = take(line, '\t');
    insert->bind(1, kind).bind(2, int64_t{number.size() == 1 ? number[0] - '0' : static_cast<int64_t>(number.size())});
    QUERN_CHECK(insert->bind(3, json).bind_blob(4, line).run().has_value(), kind);
  }
  auto run = forged.journal->resume(forged.id);
  if (!fuzz::succeeded(run)) return 0;
  forged.options.journal = run->get();
  const EndEvent end = run_loop(forged.model, forged.tools, forged.options);
  QUERN_CHECK(end.reason.find('\n') == std::string::npos, end.reason);
  return 0;
}
