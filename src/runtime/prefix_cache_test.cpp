// The prefix cache: what it finds goes on bit for bit like a timeline that read everything, it stays within its bytes, lets go of what is
// cheap to make again, and its folder survives the process and anything that happens to the files.
#include "runtime/prefix_cache.h"

#include <chrono>
#include <fstream>
#include <thread>

#include "base/checksum.h"
#include "base/file.h"
#include "base/json.h"
#include "model/model_test.h"

namespace quern {
namespace {

using namespace model_test;
using Tokens = std::vector<int32_t>;

struct Machine : TestModel {
  explicit Machine(const std::string& name = "tiny", KvFormat kv = KvFormat::bf16) : TestModel(name) { runner.kv = kv; }
  Runner runner{.model = *model, .ops = ops, .workspace = workspace, .context = 100000, .end_of_turn = 7};

  Timeline read(const Tokens& tokens) {
    Timeline timeline(runner);
    EXPECT_TRUE(timeline.feed(tokens));
    return timeline;
  }
  SequenceState empty() const { return SequenceState(model->config, runner.kv, 0, false); }
  size_t state_bytes() const { return empty().settled().recurrent_bytes(); }
  size_t page_bytes() const {  // of all layers
    const SequenceState state = empty();
    size_t bytes = 0;
    for (const KvCache* cache : state.kv_caches()) bytes += cache->page_bytes();
    return bytes;
  }
};

Tokens joined(const Tokens& a, const Tokens& b) {
  Tokens all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}
Tokens first(const Tokens& tokens, size_t count) { return {tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count)}; }
std::vector<float> logits_of(const Timeline& timeline) { return {timeline.logits().begin(), timeline.logits().end()}; }

class PrefixCaches : public ::testing::Test {
 protected:
  PrefixCacheOptions on_disk(size_t disk = size_t{1} << 30) {
    return {.folder = folder_.get(), .disk = disk, .on_warning = [this](const std::string& line) { warnings_.push_back(line); }};
  }
  std::vector<std::filesystem::path> files(std::string_view kind) const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.get()))
      if (entry.path().filename().string().starts_with(kind)) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
  }
  // What is found for the tokens, and whether it goes on like a timeline that read everything, cut where the state was put.
  size_t found(Machine& machine, PrefixCache& cache, const Tokens& tokens) {
    Timeline timeline = cache.find(tokens);
    const size_t held = timeline.tokens().size();
    EXPECT_EQ(timeline.tokens(), first(tokens, held));
    EXPECT_TRUE(timeline.feed(std::span(tokens).subspan(held)));
    const std::vector<float> got = logits_of(timeline);
    Timeline straight(machine.runner);
    EXPECT_TRUE(straight.feed(std::span(tokens).first(held)));
    EXPECT_TRUE(straight.feed(std::span(tokens).subspan(held)));
    EXPECT_TRUE(same_logits(got, logits_of(straight)));
    return held;
  }

  Random random_{1};
  TemporaryPath folder_{"kept"};
  std::vector<std::string> warnings_;
};

TEST_F(PrefixCaches, GiveTheLongestKnownBeginningAndItGoesOnBitForBit) {
  for (const KvFormat kv : {KvFormat::f32, KvFormat::bf16, KvFormat::int8}) {
    Machine machine("tiny", kv);
    PrefixCache cache(machine.runner, {});
    const Tokens a = machine.random_tokens(random_, 700), b = machine.random_tokens(random_, 90),
                 c = machine.random_tokens(random_, 50);
    EXPECT_EQ(found(machine, cache, a), 0u);
    Timeline timeline = machine.read(a);
    cache.put(timeline);
    ASSERT_TRUE(timeline.feed(b));
    cache.put(timeline);
    EXPECT_EQ(found(machine, cache, joined(a, b)), 700u) << "the last token is always read: its logits are wanted";
    EXPECT_EQ(found(machine, cache, joined(joined(a, b), c)), 790u);
    EXPECT_EQ(found(machine, cache, joined(a, c)), 700u);
    EXPECT_EQ(found(machine, cache, joined(first(a, 699), c)), 0u);
    EXPECT_EQ(cache.reach(joined(joined(a, b), c)), 790u);
    EXPECT_TRUE(cache.find({}).tokens().empty());
    const PrefixCacheStats stats = cache.stats();
    EXPECT_EQ(stats.states, 2);
    EXPECT_EQ(stats.hits, 3);
    EXPECT_EQ(stats.lookups, 6);
    EXPECT_EQ(stats.tokens_found, 700 + 790 + 700);
    // Two recurrent states, the pages of 700 positions once, and the page in which they part twice.
    EXPECT_EQ(stats.bytes, 2 * machine.state_bytes() + (11 + 13 - 10) * machine.page_bytes());
  }
}

TEST_F(PrefixCaches, ShareNothingThatALaterReaderCouldChange) {
  Machine machine;
  PrefixCache cache(machine.runner, {});
  const Tokens a = machine.random_tokens(random_, 100), b = machine.random_tokens(random_, 30),
               c = machine.random_tokens(random_, 30);
  Timeline timeline = machine.read(a);
  cache.put(timeline);
  ASSERT_TRUE(timeline.feed(b));  // writes into the page that it shares
  for (int repeat = 0; repeat < 3; ++repeat) {
    EXPECT_EQ(found(machine, cache, joined(a, repeat == 1 ? b : c)), 100u);
  }
}

TEST_F(PrefixCaches, StayWithinTheirBytesAndKeepWhatIsDearAndFresh) {
  Machine machine;
  const size_t room = 12 * machine.state_bytes() + 40 * machine.page_bytes();
  PrefixCache cache(machine.runner, {.memory = room});
  // A conversation that grows by a turn at a time, as long as 60 of them; and a long system prompt that others begin with.
  const Tokens system = machine.random_tokens(random_, 600);
  Tokens conversation = joined(system, machine.random_tokens(random_, 5));
  cache.put(machine.read(system));
  Timeline timeline = machine.read(conversation);
  for (int turn = 0; turn < 60; ++turn) {
    const Tokens more = machine.random_tokens(random_, 20);
    conversation = joined(conversation, more);
    ASSERT_TRUE(timeline.feed(more));
    cache.put(timeline);
    ASSERT_LE(cache.stats().bytes, room);
    ASSERT_EQ(cache.reach(joined(conversation, more)), conversation.size()) << "the last turn is always there, turn " << turn;
    if (turn % 10 == 9) {
      ASSERT_EQ(cache.find(joined(system, {1, 2, 3})).tokens().size(), system.size());
    }
  }
  EXPECT_GE(cache.stats().evicted, 40);
  EXPECT_GT(cache.stats().states, 3);
  // Of the conversation, states are left that lie further apart the further back they are.
  std::vector<size_t> kept;
  for (size_t at = conversation.size(); at > 0; at = kept.back()) {
    kept.push_back(cache.reach(first(conversation, at)));
    if (kept.back() == 0) break;
  }
  ASSERT_GE(kept.size(), 4u);
  EXPECT_GE(kept[1] + 120, kept[0]) << "near the end there are some";
  EXPECT_GE(*(kept.end() - 2), system.size());
}

TEST_F(PrefixCaches, PauseReadingInALogarithmOfPlaces) {
  Machine machine;
  const PrefixCache cache(machine.runner, {});
  const auto places = [&](size_t tokens, const std::vector<size_t>& boundaries, size_t from) {
    const auto at = cache.worthwhile(tokens, boundaries, from);
    EXPECT_TRUE(std::is_sorted(at.begin(), at.end()));
    EXPECT_TRUE(std::adjacent_find(at.begin(), at.end()) == at.end());
    for (const size_t p : at) {
      EXPECT_GT(p, from);
      EXPECT_LT(p, tokens);
      // Only where reading is cut anyway, so that pausing changes no bit.
      EXPECT_TRUE(p % 512 == 0 || std::find(boundaries.begin(), boundaries.end(), p) != boundaries.end()) << p;
    }
    return at;
  };
  EXPECT_TRUE(places(0, {}, 0).empty());
  EXPECT_TRUE(places(1, {}, 0).empty());
  EXPECT_EQ(places(400, {300, 390}, 0), (std::vector<size_t>{300, 390}));
  EXPECT_EQ(places(400, {300, 390}, 300), (std::vector<size_t>{390}));
  EXPECT_TRUE(places(400, {300, 390}, 385).empty()) << "hardly further than what is known";
  EXPECT_EQ(places(3000, {}, 0), (std::vector<size_t>{512, 1024, 1536, 2048, 2560}));
  std::vector<size_t> messages;
  for (size_t at = 2000; at < 262000; at += 300) messages.push_back(at);
  const auto at = places(262144, messages, 0);
  EXPECT_LT(at.size(), 60u);
  EXPECT_EQ(at.front(), 2000u) << "the system prompt";
  EXPECT_EQ(at.back(), messages.back());
  for (size_t i = 1; i < at.size(); ++i) EXPECT_LE(at[i] - at[i - 1], std::max<size_t>(1200, (262144 - at[i - 1]) / 4));
  EXPECT_LT(places(262144, messages, 200000).size(), 40u);
}

TEST_F(PrefixCaches, SurviveInAFolder) {
  for (const auto& [name, kv] : {std::pair("tiny", KvFormat::bf16), std::pair("tiny-grouped", KvFormat::int8)}) {
    Machine machine(name, kv);
    const Tokens a = machine.random_tokens(random_, 1300), b = machine.random_tokens(random_, 90),
                 c = machine.random_tokens(random_, 20);
    {
      PrefixCache cache(machine.runner, on_disk());
      Timeline timeline = machine.read(a);
      cache.put(timeline);
      ASSERT_TRUE(timeline.feed(b));
      cache.put(timeline);
      cache.flush();
      EXPECT_EQ(cache.stats().states_on_disk, 2);
      EXPECT_EQ(cache.stats().written, 2);
      cache.flush();
      EXPECT_EQ(cache.stats().written, 2);
    }
    PrefixCache cache(machine.runner, on_disk());
    EXPECT_EQ(cache.stats().states, 0);
    EXPECT_EQ(cache.stats().states_on_disk, 2);
    EXPECT_EQ(found(machine, cache, joined(joined(a, b), c)), 1390u);
    EXPECT_EQ(found(machine, cache, joined(a, c)), 1300u);
    EXPECT_EQ(cache.stats().loaded, 2);
    // The two share what they share: two blocks of 512 positions were read once.
    EXPECT_EQ(cache.stats().bytes, 2 * machine.state_bytes() + (16 + 6 + 5) * machine.page_bytes());
    cache.clear();
    EXPECT_TRUE(files("state-").empty());
    EXPECT_TRUE(files("block-").empty());
    EXPECT_EQ(cache.stats().bytes, 0u);
    EXPECT_EQ(cache.stats().bytes_on_disk, 0u);
    EXPECT_EQ(found(machine, cache, joined(a, c)), 0u);
  }
  EXPECT_TRUE(warnings_.empty()) << warnings_[0];
}

TEST_F(PrefixCaches, FetchFromTheFolderWhileOthersGoOn) {
  Machine machine;
  const Tokens a = machine.random_tokens(random_, 1300), b = machine.random_tokens(random_, 1100),
               c = machine.random_tokens(random_, 40);
  {
    PrefixCache cache(machine.runner, on_disk());
    for (const Tokens& tokens : {a, b}) cache.put(machine.read(tokens));
    cache.flush();
  }
  for (const size_t memory : {size_t{1} << 30, size_t{1}}) {  // also one that no state fits into
    PrefixCacheOptions options = on_disk();
    options.memory = memory;
    PrefixCache cache(machine.runner, options);
    EXPECT_TRUE(cache.ready(c)) << "nothing is known of it";
    EXPECT_FALSE(cache.ready(joined(a, c)));
    EXPECT_EQ(cache.stats().loaded, 0);
    while (!cache.ready(joined(a, c))) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(cache.stats().loaded, 1);
    EXPECT_EQ(found(machine, cache, joined(a, c)), 1300u);
    EXPECT_FALSE(cache.ready(joined(b, c)));
    EXPECT_EQ(found(machine, cache, joined(b, c)), 1100u) << "waits for it";
    EXPECT_EQ(cache.stats().loaded, 2);
    EXPECT_FALSE(memory > 1 && !cache.ready(joined(a, c)));
  }
  PrefixCache cache(machine.runner, on_disk());
  for (const auto& file : files("state-")) std::filesystem::resize_file(file, 100);
  EXPECT_FALSE(cache.ready(joined(a, c)));
  while (!cache.ready(joined(a, c))) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(found(machine, cache, joined(a, c)), 0u) << "what could not be fetched is read again";
  EXPECT_EQ(warnings_.size(), 1u);
  EXPECT_FALSE(cache.ready(joined(b, c)));
  cache.clear();
  EXPECT_TRUE(cache.ready(joined(b, c)));
}

TEST_F(PrefixCaches, StoreABlockOnceHoweverManyStatesHoldIt) {
  Machine machine;
  PrefixCache cache(machine.runner, on_disk());
  Timeline timeline = machine.read(machine.random_tokens(random_, 1100));
  cache.put(timeline);
  Timeline other = timeline;
  ASSERT_TRUE(timeline.feed(machine.random_tokens(random_, 100)));
  ASSERT_TRUE(other.feed(machine.random_tokens(random_, 600)));
  cache.put(timeline);
  cache.put(other);
  cache.flush();
  EXPECT_EQ(files("state-").size(), 3u);
  EXPECT_EQ(files("block-").size(), 3u);  // two of all three, one of the longest
  size_t bytes = 0;
  for (const auto& kind : {"state-", "block-"})
    for (const auto& file : files(kind)) bytes += std::filesystem::file_size(file);
  EXPECT_EQ(cache.stats().bytes_on_disk, bytes);
}

TEST_F(PrefixCaches, WriteWhatLeavesTheMemory) {
  Machine machine;
  PrefixCacheOptions options = on_disk();
  options.memory = 3 * machine.state_bytes();
  PrefixCache cache(machine.runner, options);
  std::vector<Tokens> prompts;
  for (int i = 0; i < 12; ++i) {
    prompts.push_back(machine.random_tokens(random_, 40));
    cache.put(machine.read(prompts.back()));
    cache.flush();  // waits for the thread that writes
    EXPECT_LE(cache.stats().bytes, options.memory);
  }
  EXPECT_EQ(cache.stats().states_on_disk, 12);
  for (const Tokens& prompt : prompts) EXPECT_EQ(found(machine, cache, joined(prompt, {1, 2})), 40u);
  EXPECT_LE(cache.stats().bytes, options.memory);
}

TEST_F(PrefixCaches, WriteWhatWouldTakeLongToReadAgainWithoutBeingAsked) {
  Machine machine;
  const Tokens a = machine.random_tokens(random_, 2100);
  {
    PrefixCache cache(machine.runner, on_disk());
    cache.put(machine.read(a));
    cache.put(machine.read(first(a, 100)));
    for (int i = 0; i < 2000 && cache.stats().written == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      (void)cache.find({});  // takes what is finished
    }
  }
  EXPECT_EQ(files("state-").size(), 1u);
  PrefixCache cache(machine.runner, on_disk());
  EXPECT_EQ(cache.reach(joined(a, {1})), 2100u);
}

TEST_F(PrefixCaches, KeepTheFolderWithinItsBytes) {
  Machine machine;
  size_t one = 0;
  {
    PrefixCache cache(machine.runner, on_disk());
    cache.put(machine.read(machine.random_tokens(random_, 30)));
    cache.flush();
    one = cache.stats().bytes_on_disk;
    cache.clear();
  }
  {
    PrefixCache cache(machine.runner, on_disk(5 * one));
    for (int i = 0; i < 12; ++i) {
      const Tokens prompt = machine.random_tokens(random_, i == 5 ? 300 : 30);
      cache.put(machine.read(prompt));
      cache.flush();
      EXPECT_LE(cache.stats().bytes_on_disk, 5 * one);
    }
    EXPECT_GE(files("state-").size(), 2u);
  }
  PrefixCache smaller(machine.runner, on_disk(2 * one));
  EXPECT_LE(smaller.stats().bytes_on_disk, 2 * one);
}

TEST_F(PrefixCaches, NeverTakeAStateOfAnotherModelOrOtherSettings) {
  const Tokens prompt = Machine().random_tokens(random_, 100), more = joined(prompt, {1, 2});
  Machine machine;
  {
    PrefixCache cache(machine.runner, on_disk());
    cache.put(machine.read(prompt));
    cache.flush();
  }
  Machine other_kv("tiny", KvFormat::f32), other_model("tiny-grouped");
  const auto theirs = files("state-").at(0);
  for (Machine* other : {&other_kv, &other_model}) {
    EXPECT_EQ(PrefixCache(other->runner, on_disk()).reach(more), 0u);
    // Not even when the file lies where its own states do.
    for (const auto& entry : std::filesystem::directory_iterator(folder_.get()))
      if (entry.path() != theirs.parent_path())
        std::filesystem::copy_file(theirs, entry.path() / theirs.filename(), std::filesystem::copy_options::skip_existing);
    warnings_.clear();
    EXPECT_EQ(PrefixCache(other->runner, on_disk()).reach(more), 0u);
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_NE(warnings_[0].find("of another model or other settings"), std::string::npos);
  }
  PrefixCache cache(machine.runner, on_disk());
  EXPECT_EQ(found(machine, cache, more), 100u);
}

TEST_F(PrefixCaches, IgnoreDamagedFilesWithOneWarning) {
  Machine machine;
  const Tokens a = machine.random_tokens(random_, 700), more = joined(a, {1, 2, 3});
  {
    PrefixCache cache(machine.runner, on_disk());
    cache.put(machine.read(a));
    cache.flush();
  }
  const auto state = files("state-").at(0), block = files("block-").at(0);
  for (const auto& file : {state, block}) {
    const std::string bytes = read_file(file).value();
    for (size_t step = 0; step < 60; ++step) {
      std::string damaged = bytes;
      const size_t at = step < 30 ? step * 13 % bytes.size() : (step * 7919) % bytes.size();
      if (step % 2 == 0)
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << step % 8));
      else
        damaged.resize(at);
      std::ofstream(file, std::ios::binary | std::ios::trunc) << damaged;
      warnings_.clear();
      {
        PrefixCache cache(machine.runner, on_disk());
        const size_t held = cache.find(more).tokens().size();
        if (held == 0) {
          EXPECT_EQ(warnings_.size(), 1u) << file << " " << step;
        } else {  // what is found is right
          EXPECT_EQ(found(machine, cache, more), 700u);
        }
      }
      for (const std::string& line : warnings_) EXPECT_EQ(line.find('\n'), std::string::npos);
      // What was found to be useless may be gone.
      std::filesystem::create_directories(file.parent_path());
      std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
      if (!std::filesystem::exists(state) || !std::filesystem::exists(block)) {
        PrefixCache cache(machine.runner, on_disk());
        cache.put(machine.read(a));
        cache.flush();
      }
    }
  }
  std::ofstream(state.parent_path() / "state-0123456789abcdef") << "quern-kept-2\n{}\n";
  std::ofstream(state.parent_path() / "block-zz") << "";
  warnings_.clear();
  PrefixCache cache(machine.runner, on_disk());
  EXPECT_EQ(warnings_.size(), 1u);
  EXPECT_TRUE(warnings_[0].find("2 of") == 0) << warnings_[0];
  EXPECT_EQ(found(machine, cache, more), 700u);
}

// A file with a field of its head changed and the checksum made right again, as a forger would.
std::string forged(const std::string& bytes, std::string_view key, const Json& value) {
  const size_t begin = bytes.find('\n') + 1, end = bytes.find('\n', begin);
  Json head = Json::parse(std::string_view(bytes).substr(begin, end - begin), "head").value();
  const auto token_bytes = static_cast<size_t>(head.find("token_bytes")->to_int64().value());
  std::erase_if(head.as_object(), [](const Json::Member& m) { return m.first == "checksum"; });
  head[key] = value;
  Checksum64 sum;
  sum.add(head.dump());
  const auto claimed = head.find("token_bytes")->to_int64();
  sum.add(std::string_view(bytes).substr(end + 1, claimed && *claimed >= 0 ? static_cast<size_t>(*claimed) : token_bytes));
  head["checksum"] = fmt::format("{:016x}", sum.value());
  return bytes.substr(0, begin) + head.dump() + bytes.substr(end);
}

TEST_F(PrefixCaches, BelieveNoForgedHead) {
  Machine machine;
  const Tokens a = machine.random_tokens(random_, 1100), more = joined(a, {1, 2, 3});
  const auto keep = [&] {
    PrefixCache cache(machine.runner, on_disk());
    cache.put(machine.read(a));
    cache.flush();
  };
  keep();
  const auto state = files("state-").at(0), block = files("block-").at(0);
  Json no_blocks = Json::array(), odd_blocks = Json::array(), many = Json::array();
  odd_blocks.push_back("0123");
  for (int i = 0; i < 3; ++i) many.push_back(block.filename().string().substr(6));
  const std::vector<std::pair<std::string, Json>> changes = {{"kind", "block"},
                                                             {"kind", "state"},
                                                             {"kind", 3},
                                                             {"model", "x"},
                                                             {"settings", nullptr},
                                                             {"before", "0000000000000001"},
                                                             {"before", "zz"},
                                                             {"content", "00"},
                                                             {"content", "0000000000000000"},
                                                             {"first", -1},
                                                             {"first", 512},
                                                             {"first", int64_t{1} << 40},
                                                             {"tokens", 0},
                                                             {"tokens", 1},
                                                             {"tokens", int64_t{1} << 40},
                                                             {"tokens", 99999},
                                                             {"mtp_length", 64},
                                                             {"mtp_rows", 1},
                                                             {"mtp_rows", 2},
                                                             {"token_bytes", 0},
                                                             {"token_bytes", 1},
                                                             {"token_bytes", 1 << 30},
                                                             {"blocks", no_blocks},
                                                             {"blocks", odd_blocks},
                                                             {"blocks", many},
                                                             {"blocks", "none"},
                                                             {"unknown", 1}};
  for (const auto& file : {state, block}) {
    const std::string bytes = read_file(file).value();
    for (const auto& [key, value] : changes) {
      std::ofstream(file, std::ios::binary | std::ios::trunc) << forged(bytes, key, value);
      {
        PrefixCache cache(machine.runner, on_disk());
        const Timeline timeline = cache.find(more);
        EXPECT_EQ(timeline.tokens(), first(a, timeline.tokens().size()));
        EXPECT_TRUE(timeline.tokens().empty() || timeline.tokens().size() == 1100u) << key << " " << value.dump();
        EXPECT_EQ(timeline.state().position(), static_cast<int64_t>(timeline.tokens().size()));
      }
      if (files("state-").size() < 1 || files("block-").size() < 2) keep();
      std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    }
    keep();
  }
  PrefixCache cache(machine.runner, on_disk());
  EXPECT_EQ(found(machine, cache, more), 1100u);
}

TEST_F(PrefixCaches, ReadAgainWhatWasTakenAwayBehindTheirBack) {
  Machine machine;
  const Tokens a = machine.random_tokens(random_, 700), more = joined(a, {1, 2, 3});
  {
    PrefixCache cache(machine.runner, on_disk());
    cache.put(machine.read(first(a, 600)));
    cache.put(machine.read(a));
    cache.flush();
  }
  PrefixCache cache(machine.runner, on_disk());
  EXPECT_EQ(cache.reach(more), 700u);
  for (const auto& file : files("state-"))
    if (std::filesystem::file_size(file) > 0 && file == files("state-").back()) std::filesystem::remove(file);
  const size_t held = found(machine, cache, more);
  EXPECT_TRUE(held == 600 || held == 700) << held;
  for (const auto& file : files("block-")) std::filesystem::remove(file);
  EXPECT_LE(found(machine, cache, joined(first(a, 600), {4, 5})), 600u);
  EXPECT_LE(warnings_.size(), 1u) << "told once";
}

TEST_F(PrefixCaches, LeaveAFolderToTheProcessThatHasIt) {
  Machine machine;
  PrefixCache cache(machine.runner, on_disk());
  PrefixCache second(machine.runner, on_disk());
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_NE(warnings_[0].find("another process"), std::string::npos);
  const Tokens a = machine.random_tokens(random_, 50);
  second.put(machine.read(a));
  second.flush();
  EXPECT_EQ(found(machine, second, joined(a, {1})), 50u) << "in memory it works";
  EXPECT_EQ(second.stats().states_on_disk, 0);
}

TEST_F(PrefixCaches, CarryOnWhereTheFolderCannotBeWritten) {
  Machine machine;
  std::ofstream(folder_.get()) << "a file";
  PrefixCache cache(machine.runner, on_disk());
  EXPECT_EQ(warnings_.size(), 1u);
  const Tokens a = machine.random_tokens(random_, 50);
  cache.put(machine.read(a));
  cache.flush();
  EXPECT_EQ(found(machine, cache, joined(a, {1})), 50u);
}

}  // namespace
}  // namespace quern
