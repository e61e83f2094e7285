// The bar for everything that keeps a conversation's beginning the same: an agent's conversation of 200 turns with the embedded model, as a
// server carries it out, and a client that writes everything back in its own way. What is read must be what is new, with little beside it:
// as the conversation grows, after the process was started again, and after a turn in the middle was changed.
#include <gtest/gtest.h>

#include <future>

#include "base/random.h"
#include "constrain/turn_machine.h"
#include "model/model_test.h"
#include "runtime/engine_impl.h"
#include "runtime/prefix_cache.h"
#include "runtime/scheduler.h"
#include "text/assistant_parser.h"
#include "text/file_tools.h"
#include "text/replay.h"
#include "text/token_prompt.h"
#include "text/volatile_lines.h"

namespace quern {
namespace {

constexpr int kTurns = QUERN_LONG_TESTS ? 200 : 24;

// What was read, and what was new: in a prompt, everything behind the place where it parts from what the sequence before it held.
struct Account {
  int64_t read = 0, fresh = 0, prompts = 0, generated = 0, turns = 0;
  double ratio() const { return static_cast<double>(read) / static_cast<double>(fresh); }
};

// The serving side: one model with its cache, and what a turn needs of it.
class Server {
 public:
  explicit Server(const std::filesystem::path& folder, size_t memory = size_t{1} << 30) {
    engine_ =
        Engine::load({.model = std::filesystem::path(QUERN_REPO) / "models" / "pebble", .threads = 1, .context = 65536}).value();
    replay_ = std::make_unique<ReplayStore>(*engine_->tokenizer(), engine_->chat_format());
    if (!folder.empty()) {
      EXPECT_TRUE(replay_->keep_in(folder / "turns"));
    }
    cache_ = std::make_unique<PrefixCache>(
        *engine_->impl().runner, PrefixCacheOptions{.memory = memory, .folder = folder, .on_warning = [](const std::string& line) {
                                                      ADD_FAILURE() << line;
                                                    }});
    scheduler_ = std::make_unique<Scheduler>(*engine_, SchedulerOptions{.memory = size_t{1} << 30, .cache = cache_.get()});
  }
  ~Server() {
    scheduler_.reset();
    cache_->flush();
  }

  struct Turn {
    Generation generation;
    AssistantTurn said;
    TokenPrompt prompt;
  };
  Turn carry_out(const Json& request, uint64_t seed) {
    Conversation conversation = Conversation::from_json(request).value();
    move_volatile_lines(conversation);
    replay_->recall(conversation);
    Turn turn;
    turn.prompt = encode_with_boundaries(*engine_->tokenizer(), render(conversation, engine_->chat_format()).value()).value();
    Job job;
    job.request = {.prompt = turn.prompt.ids, .sampling = {.temperature = 0.7, .seed = seed}, .max_tokens = 120};
    job.boundaries = turn.prompt.boundaries;
    job.constraint = constraint(conversation.tools);
    std::promise<Result<Generation>> promise;
    std::unique_ptr<Matcher> back;
    job.on_end = [&](Result<Generation> result, std::unique_ptr<Matcher> matcher) {
      back = std::move(matcher);
      promise.set_value(std::move(result));
    };
    auto ended = promise.get_future();
    EXPECT_TRUE(scheduler_->submit(std::move(job)));
    turn.generation = ended.get().value();
    if (back) engine_->constraints().put("turn", std::move(back));
    replay_->remember(conversation, turn.generation.tokens);
    turn.said = parse_assistant(turn.generation.text, engine_->chat_format(), conversation.tools);
    return turn;
  }
  PrefixCacheStats cache_stats() {
    PrefixCacheStats stats;
    scheduler_->between_steps([&] { stats = cache_->stats(); });
    return stats;
  }
  ReplayStore::Stats replay_stats() const { return replay_->stats(); }

 private:
  std::unique_ptr<Matcher> constraint(const std::vector<Json>& tools) {
    if (auto kept = engine_->constraints().take("turn")) return kept;
    return std::make_unique<Matcher>(compile_turn({.tools = tools, .parallel_calls = false}).value(), engine_->vocabulary());
  }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ReplayStore> replay_;
  std::unique_ptr<PrefixCache> cache_;
  std::unique_ptr<Scheduler> scheduler_;
};

// The client: keeps messages as JSON, and writes each request as it pleases.
class Client {
 public:
  Client() { add("user", "Sort the files of this folder by what they are about, and tell me what you did."); }

  // One turn; false when the model and what was to be counted do not fit together.
  void turn(Server& server, Account& account) {
    const Server::Turn turn = server.carry_out(request(), static_cast<uint64_t>(turns_));
    const Generation& g = turn.generation;
    // What of this prompt the sequence before it, with all it generated, already was.
    const auto& ids = turn.prompt.ids;
    const size_t most = std::min(held_.size(), ids.size());
    size_t common = 0;
    while (common < most && held_[common] == ids[common]) ++common;
    if (edited_) {  // states lie at the ends of messages: the nearest one before the change is what can be asked for
      const auto& b = turn.prompt.boundaries;
      const auto above = std::upper_bound(b.begin(), b.end(), common);
      common = above == b.begin() ? 0 : *std::prev(above);
      edited_ = false;
    }
    account.fresh += static_cast<int64_t>(ids.size() - common);
    account.read += g.prompt_tokens - g.reused_tokens;
    account.prompts += g.prompt_tokens;
    account.generated += static_cast<int64_t>(g.tokens.size());
    ++account.turns;
    held_ = ids;
    held_.insert(held_.end(), g.tokens.begin(), g.tokens.end());
    answer(turn.said);
    ++turns_;
  }

  // Message `at` is another one now; what came behind it is dropped, or kept.
  void edit(size_t at, bool drop) {
    messages_[at]["content"] = "No: something else. " + messages_[at].find("content")->as_string();
    if (drop) messages_.resize(at + 1);
    edited_ = true;
  }
  size_t messages() const { return messages_.size(); }
  size_t user_message_near(size_t at) const {
    while (messages_[at].find("role")->as_string() == "assistant") ++at;
    return at;
  }

 private:
  // Another billing line each time, as one client sends it; a folder that no other session has.
  Json request() {
    Json all = Json::array();
    Json system = Json::object();
    system["role"] = "system";
    system["content"] = fmt::format(
        "x-anthropic-billing-header: cc_version=2.1.100; cc_entrypoint=cli; cch={:05x};\nYou are a careful assistant that works with files. "
        "Say what you do in a few words, and use the tools.\n<env>\nWorking directory: /home/u/folder\nPlatform: linux\n</env>\nNever delete "
        "what you have not read.",
        random_.below(1 << 20));
    all.push_back(std::move(system));
    for (const Json& message : messages_) all.push_back(message);
    Json request = Json::object(), tools = Json::array();
    for (const Json& tool : file_tools::definitions()) tools.push_back(tool);
    request["messages"] = std::move(all);
    request["tools"] = std::move(tools);
    return request;
  }
  void add(std::string_view role, std::string_view content) {
    Json message = Json::object();
    message["role"] = role;
    message["content"] = content;
    messages_.push_back(std::move(message));
  }

  // The answer as the client holds it: text trimmed, arguments as a string with the keys in another order and no spaces, an id.
  void answer(const AssistantTurn& said) {
    Json message = Json::object(), calls = Json::array();
    message["role"] = "assistant";
    message["content"] = std::string(trimmed(said.content));
    for (const ParsedCall& call : said.calls) {
      if (call.error) continue;
      Json arguments = call.call.arguments, outer = Json::object(), function = Json::object();
      std::reverse(arguments.as_object().begin(), arguments.as_object().end());
      function["name"] = call.call.name;
      function["arguments"] = arguments.dump(Json::Spacing::compact);
      outer["id"] = fmt::format("call_{:08x}", random_.below(uint64_t{1} << 32));
      outer["type"] = "function";
      outer["function"] = std::move(function);
      calls.push_back(std::move(outer));
    }
    const size_t made = calls.size();
    if (made > 0) message["tool_calls"] = std::move(calls);
    messages_.push_back(std::move(message));
    for (size_t i = 0; i < made; ++i) add("tool", result());
    if (made == 0) add("user", fmt::format("Go on with the files that begin with {}.", static_cast<char>('a' + random_.below(26))));
  }
  static std::string_view trimmed(std::string_view text) {
    while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
    while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
    return text;
  }
  std::string result() {
    constexpr std::string_view kWords[] = {"report", "invoice", "garden", "letter", "budget", "photo", "recipe", "travel"};
    std::vector<std::string> entries;
    for (uint64_t i = 0, n = 3 + random_.below(5); i < n; ++i)
      entries.push_back(fmt::format("{}-{}.txt", kWords[random_.below(8)], random_.below(100)));
    return file_tools::listing(entries);
  }

  Random random_{7};
  std::vector<Json> messages_;
  std::vector<int32_t> held_;  // the last prompt and what was generated from it
  int64_t turns_ = 0;
  bool edited_ = false;
};

void expect_bar(const Account& a, std::string_view what) {
  const std::string numbers = fmt::format("{}: {} turns, {} tokens of prompts, {} new, {} read ({:.3f} of the new), {} generated",
                                          what, a.turns, a.prompts, a.fresh, a.read, a.ratio(), a.generated);
  ::testing::Test::RecordProperty(std::string(what.substr(0, what.find(' '))), numbers);
  fmt::print("{}\n", numbers);
  EXPECT_LE(a.ratio(), 1.1) << numbers;
}

TEST(LongConversation, OfAnAgentReadsWhatIsNewAndHardlyMore) {
  const model_test::TemporaryPath folder("kept");
  std::filesystem::create_directories(folder.get());
  Client client;
  {
    Server server(folder.get());
    Account account;
    for (int turn = 0; turn < kTurns; ++turn) client.turn(server, account);
    expect_bar(account, "growing");
    EXPECT_GT(account.prompts, 10 * account.fresh) << "without a cache all of it would have been read";
    const ReplayStore::Stats replay = server.replay_stats();
    fmt::print("replay: {} of {} assistant messages recognised, {} turns kept\n", replay.recognised, replay.asked, replay.turns);
    const PrefixCacheStats cache = server.cache_stats();
    fmt::print("cache: {} states, {:.1f} MB\n", cache.states, static_cast<double>(cache.bytes) / 1e6);
  }
  Server server(folder.get());
  Account restarted, dropped, kept, after;
  for (int turn = 0; turn < 10; ++turn) client.turn(server, restarted);
  expect_bar(restarted, "after a restart");
  EXPECT_GE(server.cache_stats().loaded, 1);
  client.edit(client.user_message_near(client.messages() / 2), /*drop=*/false);
  client.turn(server, kept);
  expect_bar(kept, "a turn in the middle changed, what follows kept");
  client.edit(client.user_message_near(client.messages() / 3), /*drop=*/true);
  client.turn(server, dropped);
  expect_bar(dropped, "a turn in the middle changed, what follows dropped");
  for (int turn = 0; turn < 10; ++turn) client.turn(server, after);
  expect_bar(after, "going on from there");
  const PrefixCacheStats cache = server.cache_stats();
  fmt::print("disk: {} states, {:.1f} MB\n", cache.states_on_disk, static_cast<double>(cache.bytes_on_disk) / 1e6);
}

// With room for a handful of states the last one is still there at every turn.
TEST(LongConversation, HoldsInLittleMemoryToo) {
  Server server({}, /*memory=*/size_t{12} << 20);
  Client client;
  Account account;
  for (int turn = 0; turn < std::min(kTurns, 50); ++turn) client.turn(server, account);
  expect_bar(account, "in 12 MB");
  EXPECT_LE(server.cache_stats().bytes, size_t{12} << 20);
}

}  // namespace
}  // namespace quern
