// Real runs, killed: pebble sorts a folder in a process of its own, which dies by kill -9 at random moments and is started again. The folder
// ends as it should, no change is made twice, and the model does not read again what it had read. So do chains of 25 dependent calls.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <thread>

#include "agent/engine_model.h"
#include "agent/loop.h"
#include "agent/task/task.h"
#include "agent/temporary_folder_test.h"
#include "agent/tools/file_tools.h"
#include "base/file.h"
#include "base/random.h"
#include "eval/episodes.h"
#include "eval/file_world.h"
#include "text/file_tools.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

const std::string kInstruction =
    "Sort the files in this folder by their extension: move every txt file into texts, every jpg into pictures and every pdf into papers. "
    "Leave nothing loose.";
const std::vector<std::pair<std::string, std::string>> kFiles = {
    {"notes.txt", "texts"}, {"sunset.jpg", "pictures"}, {"letter.pdf", "papers"}, {"plan.txt", "texts"}, {"cat.jpg", "pictures"}};

class LongKilledRun : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(fs::path(QUERN_REPO) / "models/pebble/config.json")) GTEST_SKIP() << "models/pebble is not there";
    fs::create_directory(root());
    for (const auto& [name, folder] : kFiles) ASSERT_TRUE(write_file(root() / name, "content of " + name));
  }
  fs::path root() const { return place_ / "root"; }
  fs::path journal_path() const { return place_ / "journal.db"; }
  fs::path log_path() const { return place_ / "log"; }

  static Result<std::unique_ptr<Engine>> load() {
    return Engine::load({.model = fs::path(QUERN_REPO) / "models/pebble", .threads = 1});
  }
  void log(const std::string& line) const {
    const UniqueFd file(::open(log_path().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    (void)!::write(file.get(), (line + "\n").data(), line.size() + 1);
  }
  std::vector<std::string> logged(std::string_view word) const {
    std::vector<std::string> lines;
    std::ifstream file(log_path());
    for (std::string line; std::getline(file, line);)
      if (line.starts_with(word)) lines.push_back(line.substr(word.size()));
    return lines;
  }

  // The file tools, each call written down before and after, slowly, so that some of the kills come between.
  ToolRegistry logged_tools(useconds_t pause) const {
    ToolRegistry plain, tools;
    EXPECT_TRUE(add_file_tools(plain, root()));
    for (const std::string& name : plain.names()) {
      Tool tool = *plain.find(name);
      tool.execute = [this, name, pause, execute = tool.execute](const Json& arguments, const CallContext& context) {
        log("begin " + name + " " + arguments.dump());
        ::usleep(pause);
        ToolResult result = execute(arguments, context);
        if (!result.is_error) log("done " + name + " " + arguments.dump());
        ::usleep(pause);
        return result;
      };
      EXPECT_TRUE(tools.add(std::move(tool)));
    }
    return tools;
  }

  LoopOptions loop_options() const {
    LoopOptions options{.name = "sort", .instruction = instruction_, .system = system_, .root = root().string()};
    options.changes = ChangePolicy::allow;
    options.checkpoint_after_s = 0;
    return options;
  }

  // The life of one process: begins the run, or goes on with it.
  int work(useconds_t pause) const {
    const auto engine = load();
    if (!engine) return 10;
    const auto model = EngineModel::create(**engine, {});
    const auto journal = Journal::open(journal_path());
    if (!model || !journal) return 11;
    const auto runs = (*journal)->runs();
    if (!runs) return 12;
    if (!runs->empty() && runs->front().state == RunState::success) return 0;  // killed after its last word
    const auto run = runs->empty() ? (*journal)->begin({"sort", root().string(), Json()}) : (*journal)->resume(runs->front().id);
    if (!run) return 13;
    LoopOptions options = loop_options();
    options.journal = run->get();
    // What a person would do who is asked about a call that was cut off: look.
    options.in_doubt = [&](const Tool&, const ToolCall& call) {
      const std::string line = call.name + " " + call.arguments.dump();
      const auto times = [&](std::string_view word) { return std::ranges::count(logged(word), line); };
      const bool took_effect = call.name == "move_file" ? !fs::exists(root() / call.arguments.find("from")->as_string())
                                                        : times("done ") == times("begin ");
      if (took_effect) log("seen " + line);
      return took_effect ? InDoubt::done : InDoubt::repeat;
    };
    options.cancelled = cancelled_;
    const ToolRegistry tools = logged_tools(pause);
    const EndEvent end = run_loop(**model, tools, options);
    (void)(*run)->end(end.status == RunStatus::success ? RunState::success : RunState::failed, end.reason);
    if (end.status != RunStatus::success) log("failed " + end.reason);
    return end.status == RunStatus::success ? 0 : 14;
  }

  // Whether it was killed before it came to an end.
  bool process_killed_after(std::chrono::milliseconds life, int& status) const {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(work(30000));
    const auto end = std::chrono::steady_clock::now() + life;
    while (std::chrono::steady_clock::now() < end) {
      if (::waitpid(child, &status, WNOHANG) == child) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status);
  }

  // Lives until it has completed this many calls in all, or to its end.
  bool process_killed_after_calls(size_t calls, int& status) const {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(work(1000));
    while (logged("done ").size() < calls) {
      if (::waitpid(child, &status, WNOHANG) == child) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status);
  }

  TemporaryFolder top_;
  fs::path place_ = top_.path();
  std::string instruction_ = kInstruction, system_ = std::string(kDefaultSystemPrompt);
  std::function<bool()> cancelled_;
};

// The episode's folder, written down.
void lay_out(const FileWorld& world, const fs::path& root) {
  fs::create_directories(root);
  for (const std::string& folder : world.folders) fs::create_directories(root / folder);
  for (const auto& [name, text] : world.files) ASSERT_TRUE(write_file(root / name, text));
}

FileWorld found_in(const fs::path& root) {
  FileWorld world;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string path = entry.path().lexically_relative(root).string();
    if (entry.is_directory())
      world.add_folder(path);
    else
      world.add_file(path, read_file(entry.path()).value_or("unreadable"));
  }
  return world;
}

// A chain on files, with nothing but the file tools, asked for in one message.
std::optional<ToolEpisode> chain_on_files(uint64_t seed, int64_t length) {
  ToolEpisode episode = make_episode(Suite::chain, Split::training, length, seed);
  const auto& messages = episode.conversation.messages;
  const auto users = std::ranges::count(messages, Role::user, &Message::role);
  if (!dynamic_cast<const FileWorld*>(episode.world.get()) || users != 1) return std::nullopt;
  if (episode.conversation.tools.size() != file_tools::definitions().size()) return std::nullopt;
  return episode;
}

// Calls that change something, "move_file {…}", in order; what only reads may be made again.
std::vector<std::string> changes_among(std::vector<std::string> calls) {
  std::erase_if(calls, [](const std::string& call) { return !file_tools::changes_files(call.substr(0, call.find(' '))); });
  return calls;
}

std::vector<std::string> changes_of(const ToolEpisode& episode) {
  std::vector<std::string> calls;
  for (const Message& message : episode.conversation.messages)
    for (const ToolCall& call : message.tool_calls) calls.push_back(call.name + " " + call.arguments.dump());
  return changes_among(std::move(calls));
}

TEST_F(LongKilledRun, ChainsOf25CallsEndAsIfNothingHadHappened) {
  Random random(static_cast<uint64_t>(::getpid()) + 2);
  int played = 0;
  for (uint64_t seed = 1; played < 4; ++seed) {
    const auto episode = chain_on_files(seed, 25);
    if (!episode) continue;
    SCOPED_TRACE(fmt::format("seed {}, {}", seed, episode->kind));
    place_ = top_.path() / std::to_string(++played);
    lay_out(dynamic_cast<const FileWorld&>(*episode->world), root());
    system_.clear();
    for (const Message& message : episode->conversation.messages) {
      if (message.role == Role::system) system_ = message.content;
      if (message.role == Role::user) instruction_ = message.content;
    }
    int status = 0;
    for (const size_t calls : {2 + random.below(8), 12 + random.below(6), 19 + random.below(5)})
      ASSERT_TRUE(process_killed_after_calls(calls, status)) << "ended before " << calls << " calls: " << WEXITSTATUS(status);
    ASSERT_FALSE(process_killed_after_calls(1000, status));
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << WEXITSTATUS(status) << testing::PrintToString(logged("failed "));
    EXPECT_EQ(found_in(root()).state(), episode->final_state);
    EXPECT_EQ(changes_among(logged("done ")), changes_of(*episode)) << "each change is made once";
  }
}

TEST_F(LongKilledRun, EndsAsIfNothingHadHappened) {
  Random random(static_cast<uint64_t>(::getpid()));
  int kills = 0, status = 0;
  bool ended = false;
  for (int attempt = 0; attempt < 12 && !ended; ++attempt) {
    const std::chrono::milliseconds life(attempt == 11 ? 300000 : 150 + random.below(attempt == 0 ? 150 : 700));
    SCOPED_TRACE(life.count());
    ended = !process_killed_after(life, status);
    kills += !ended;
  }
  ASSERT_TRUE(ended) << "after " << kills << " kills";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << WEXITSTATUS(status) << testing::PrintToString(logged("failed "));
  EXPECT_GT(kills, 0);
  for (const auto& [name, folder] : kFiles)
    EXPECT_EQ(read_file(root() / folder / name).value_or("lost"), "content of " + name) << kills << " kills";
  std::map<std::string, int> moves;
  for (const std::string& line : logged("done move_file ")) EXPECT_EQ(++moves[line], 1) << line;
  for (const std::string& line : logged("seen move_file ")) ++moves[line];  // it was killed before it could say that it was done
  EXPECT_EQ(moves.size(), kFiles.size());
  const auto journal = Journal::open(journal_path()).value();
  EXPECT_EQ(journal->runs()->front().state, RunState::success);
  const fs::path kept = journal_path().string() + ".d/" + journal->runs()->front().id;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(kept, none)) EXPECT_EQ(entry.path().filename(), "lock") << "the states are gone";
}

volatile std::sig_atomic_t signalled = 0;

// SIGINT or SIGTERM at any moment, while the prompt is read, while the model writes, while a tool works: one line, and the run can go on.
TEST_F(LongKilledRun, EndsCleanlyAtASignalAndGoesOn) {
  Random random(static_cast<uint64_t>(::getpid()) + 1);
  int signals = 0, status = 0;
  for (int attempt = 0; attempt < 10; ++attempt) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (const int signal : {SIGINT, SIGTERM}) ::signal(signal, [](int) { signalled = 1; });
      cancelled_ = [] { return signalled != 0; };
      ::_exit(work(30000));
    }
    if (attempt < 9) ::usleep(static_cast<useconds_t>(100000 + random.below(attempt == 0 ? 150000 : 500000)));
    const bool last = attempt == 9 || ::waitpid(child, &status, WNOHANG) == child;
    if (!last) ::kill(child, attempt % 2 == 0 ? SIGINT : SIGTERM);
    if (!last || attempt == 9) ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status)) << WTERMSIG(status);
    ASSERT_THAT(WEXITSTATUS(status), testing::AnyOf(0, 14));
    if (WEXITSTATUS(status) == 0) break;
    ++signals;
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_GT(signals, 0);
  for (const std::string& reason : logged("failed ")) EXPECT_EQ(reason, "interrupted");
  for (const auto& [name, folder] : kFiles) EXPECT_EQ(read_file(root() / folder / name).value_or("lost"), "content of " + name);
  std::map<std::string, int> moves;
  for (const std::string& line : logged("begin move_file ")) EXPECT_EQ(++moves[line], 1) << line;
}

// Stopped after each number of turns and continued by another engine: the same texts as without a stop, and the prompt is not read again.
TEST_F(LongKilledRun, SaysWhatItWouldHaveSaid) {
  std::vector<std::string> texts;
  const auto run = [&](Journal& journal, std::string& id, int64_t turns, std::optional<TurnEvent>& first) {
    const auto engine = load().value();
    const auto model = EngineModel::create(*engine, {.sampling = {.temperature = 0.3, .seed = 5}}).value();
    auto held = id.empty() ? journal.begin({"sort", root().string(), Json()}).value() : journal.resume(id).value();
    id = held->id();
    LoopOptions options = loop_options();
    options.journal = held.get();
    options.changes = ChangePolicy::preview;  // so that every run finds the same folder
    options.budget.turns = turns;
    options.on_event = [&](const Event& event) {
      if (const auto* turn = std::get_if<TurnEvent>(&event)) {
        texts.push_back(turn->text);
        if (!first) first = *turn;
      }
    };
    return run_loop(*model, logged_tools(0), options);
  };
  const auto journal = Journal::open(journal_path()).value();
  std::string id;
  std::optional<TurnEvent> first;
  run(*journal, id, 8, first);
  const std::vector<std::string> whole = std::exchange(texts, {});
  ASSERT_GE(whole.size(), 4U);
  for (const int64_t stop : {1, 2, 3}) {
    id.clear(), texts.clear();
    std::optional<TurnEvent> before, after;
    run(*journal, id, stop, before);
    run(*journal, id, 8, after);
    EXPECT_EQ(texts, whole) << "stopped after " << stop;
    ASSERT_TRUE(after);
    EXPECT_GT(after->reused_tokens, after->prompt_tokens * 8 / 10) << "stopped after " << stop;
    EXPECT_LE(std::distance(fs::directory_iterator(journal_path().string() + ".d/" + id), {}), 3) << "two states and the lock";
  }
}

}  // namespace
}  // namespace quern
