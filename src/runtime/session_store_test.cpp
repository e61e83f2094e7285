// Named sessions: forks share what they have in common, saved ones go on in another process, and bounds hold.
#include "runtime/session_store.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/file.h"
#include "model/model_test.h"
#include "runtime/session_impl.h"

namespace quern {
namespace {

using namespace model_test;

class SessionStores : public ::testing::Test {
 protected:
  static std::unique_ptr<Engine> load() { return Engine::load({.model = fixture("tiny"), .threads = 1}).value(); }
  static std::vector<int32_t> prompt(int32_t length, int32_t of = 0) {
    std::vector<int32_t> ids(static_cast<size_t>(length));
    for (int32_t i = 0; i < length; ++i) ids[static_cast<size_t>(i)] = 2 + (i * 37 + of) % 500;
    return ids;
  }
  // What the session says next, behind what it holds and `more`.
  static std::vector<int32_t> next(SessionStore& store, const std::string& name, const std::vector<int32_t>& more) {
    const auto session = store.hold(name).value();
    std::vector<int32_t> ids = session->tokens();
    ids.insert(ids.end(), more.begin(), more.end());
    return session->generate({.prompt = std::move(ids), .max_tokens = 8, .ignore_eos = true}).value().tokens;
  }

  std::unique_ptr<Engine> engine_ = load();
  TemporaryPath folder_{"sessions"};
};

TEST_F(SessionStores, GoOnInForksWithoutReadingAgain) {
  SessionStore store(*engine_, {});
  ASSERT_TRUE(store.create("main"));
  const SessionInfo read = store.append("main", prompt(300)).value();
  EXPECT_EQ(read.tokens, 300);
  const SessionInfo a = store.fork("main", "a").value(), b = store.fork("main", "b").value();
  EXPECT_EQ(a.tokens, 300);
  EXPECT_EQ(b.bytes, store.info("a")->bytes);
  EXPECT_LT(b.bytes, read.bytes) << "keys and values are shared";
  const auto said = next(store, "a", {5, 6});
  EXPECT_EQ(next(store, "b", {5, 6}), said);
  EXPECT_NE(next(store, "main", {7}), said);
  EXPECT_EQ(store.info("main")->tokens, 300 + 1 + 7) << "the last token that was generated is not fed";
  EXPECT_EQ(store.append("b", {})->tokens, 300 + 2 + 7);
  EXPECT_EQ(store.list().size(), 3u);
  ASSERT_TRUE(store.remove("a"));
  EXPECT_EQ(store.info("a").error().code, Errc::not_found);
}

// A fork costs a settled state: neither the log that going back needs nor the checkpoint behind the prompt is copied.
TEST_F(SessionStores, AForkCostsItsSettledStateAlone) {
  SessionStore store(*engine_, {});
  ASSERT_TRUE(store.create("trunk"));
  const size_t before = store.append("trunk", prompt(200))->bytes;
  const size_t settled = Session(*engine_).impl().timeline.state().settled().recurrent_bytes();
  for (const char* name : {"a", "b", "c", "d"}) EXPECT_EQ(store.fork("trunk", name)->bytes, settled) << name;
  EXPECT_EQ(store.fork("a", "of a").error().code, Errc::invalid_argument);
  EXPECT_EQ(store.fork("a", "of-a")->bytes, settled);
  EXPECT_LT(2 * settled, before);
  // A turn that was given up, and another one instead: the shared checkpoint is where it goes on from.
  const auto turn = [&](const std::string& name, std::vector<int32_t> more, bool give_up) {
    const auto session = store.hold(name).value();
    std::vector<int32_t> ids = prompt(200);
    ids.insert(ids.end(), more.begin(), more.end());
    const auto on_token = [&](const GeneratedToken&) { return !give_up; };
    return session->generate({.prompt = std::move(ids), .max_tokens = 6, .ignore_eos = true, .on_token = on_token}).value();
  };
  const Generation plain = turn("trunk", {5, 6, 7}, false);
  EXPECT_EQ(turn("b", {5, 6, 7}, false).tokens, plain.tokens);
  EXPECT_EQ(turn("of-a", {5, 6, 7}, false).tokens, plain.tokens);
  std::vector<int32_t> other(20, 9);
  turn("c", other, true);
  const Generation again = turn("c", {5, 6, 7}, false);
  EXPECT_EQ(again.tokens, plain.tokens);
}

TEST_F(SessionStores, SaveAndRestoreThem) {
  std::vector<int32_t> said;
  {
    SessionStore store(*engine_, {.folder = folder_.get()});
    ASSERT_TRUE(store.create("s.1"));
    ASSERT_TRUE(store.append("s.1", prompt(100)));
    const SessionInfo saved = store.save("s.1").value();
    EXPECT_TRUE(saved.saved && saved.live && !saved.busy);
    EXPECT_EQ(saved.bytes_saved, std::filesystem::file_size(folder_.get() / "s.1.session"));
    said = next(store, "s.1", {9});
  }
  const auto engine = load();
  SessionStore store(*engine, {.folder = folder_.get()});
  ASSERT_EQ(store.list().size(), 1u);
  EXPECT_FALSE(store.list()[0].live);
  EXPECT_EQ(store.hold("s.1").error().code, Errc::not_found);
  EXPECT_EQ(store.restore("s.1")->tokens, 100);
  EXPECT_EQ(store.restore("s.1").error().code, Errc::invalid_argument);
  EXPECT_EQ(next(store, "s.1", {9}), said);
  ASSERT_TRUE(store.remove("s.1"));
  EXPECT_FALSE(std::filesystem::exists(folder_.get() / "s.1.session"));
  EXPECT_TRUE(store.list().empty());
  ASSERT_TRUE(write_file(folder_.get() / "bad.session", "nothing of ours"));
  EXPECT_FALSE(store.restore("bad"));
  EXPECT_EQ(store.restore("none").error().code, Errc::not_found);
}

TEST_F(SessionStores, TakeNoNameThatIsAPath) {
  SessionStore store(*engine_, {.folder = folder_.get()});
  for (const std::string name : {"", ".", "..", ".hidden", "a/b", "../a", "a b", "a\n", "é",
                                 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggghhhhi"}) {
    EXPECT_EQ(store.create(name).error().code, Errc::invalid_argument) << name;
    EXPECT_EQ(store.restore(name).error().code, Errc::invalid_argument) << name;
    EXPECT_EQ(store.remove(name).error().code, Errc::invalid_argument) << name;
    EXPECT_EQ(store.info(name).error().code, Errc::invalid_argument) << name;
    EXPECT_FALSE(store.save(name)) << name;
  }
  EXPECT_TRUE(store.create(std::string(64, 'a')));
  EXPECT_EQ(SessionStore(*engine_, {}).save("a").error().code, Errc::unsupported);
}

TEST_F(SessionStores, LendASessionToOneAtATime) {
  SessionStore store(*engine_, {});
  ASSERT_TRUE(store.create("s"));
  auto held = store.hold("s").value();
  EXPECT_TRUE(store.info("s")->busy);
  for (const Errc code : {store.hold("s").error().code, store.remove("s").error().code, store.fork("s", "t").error().code,
                          store.append("s", prompt(3)).error().code})
    EXPECT_EQ(code, Errc::busy);
  held.reset();
  EXPECT_FALSE(store.info("s")->busy);
  EXPECT_TRUE(store.fork("s", "t"));
  EXPECT_FALSE(store.append("s", std::vector<int32_t>{1, 100000})) << "no such token";
  EXPECT_EQ(store.info("s")->tokens, 0);
  EXPECT_FALSE(store.info("s")->busy);
}

TEST_F(SessionStores, StayWithinTheirBounds) {
  SessionStore few(*engine_, {.count = 2});
  ASSERT_TRUE(few.create("a"));
  ASSERT_TRUE(few.create("b"));
  EXPECT_EQ(few.create("c").error().code, Errc::out_of_range);
  EXPECT_EQ(few.create("a").error().code, Errc::invalid_argument);
  SessionStore small(*engine_, {.memory = few.info("a")->bytes * 3});
  int made = 0;
  while (small.create(fmt::format("s{}", made))) ++made;
  EXPECT_EQ(made, 3);
  ASSERT_TRUE(small.remove("s0"));
  EXPECT_TRUE(small.create("again"));
  SessionStore full(*engine_, {.folder = folder_.get(), .disk = 1});
  ASSERT_TRUE(full.create("a"));
  ASSERT_TRUE(full.create("b"));
  ASSERT_TRUE(full.save("a"));
  EXPECT_TRUE(full.save("a")) << "in its own place";
  EXPECT_EQ(full.save("b").error().code, Errc::out_of_range);
}

TEST_F(SessionStores, MayBeUsedFromManyThreads) {
  SessionStore store(*engine_, {.folder = folder_.get()});
  ASSERT_TRUE(store.create("main"));
  ASSERT_TRUE(store.append("main", prompt(70)));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&store, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string name = fmt::format("t{}", i % 3 + t);
        (void)store.fork("main", name);
        if (const auto held = store.hold(name)) {
          EXPECT_EQ((*held)->tokens().size(), 70u);
        }
        (void)store.list();
        (void)store.save(name);
        (void)store.remove(name);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(store.info("main")->live);
}

}  // namespace
}  // namespace quern
