// A session is a value: forked, or saved and restored in another engine, it goes on bit for bit like one that never was; and a file that
// is not exactly what was saved is refused.
#include <fstream>

#include "runtime/tiny_engine_test.h"

namespace quern {
namespace {

using namespace model_test;

class SessionFiles : public ::testing::Test {
 protected:
  static std::unique_ptr<Engine> engine(const std::string& model = "tiny", KvFormat kv = KvFormat::bf16,
                                        std::optional<int64_t> context = {}, std::optional<double> yarn = {}) {
    auto loaded = Engine::load({.model = fixture(model), .threads = 1, .kv = kv, .context = context, .yarn = yarn});
    EXPECT_TRUE(loaded) << loaded.error().message;
    return std::move(*loaded);
  }
  static std::vector<int32_t> prompt(int32_t length) {
    std::vector<int32_t> ids(static_cast<size_t>(length));
    for (int32_t i = 0; i < length; ++i) ids[static_cast<size_t>(i)] = 2 + i * 37 % 500;
    return ids;
  }
  static std::vector<int32_t> generate(Session& session, std::vector<int32_t> prompt, int64_t count, double temperature,
                                       bool draw_on = false, int64_t* reused = nullptr) {
    auto done = session.generate({.prompt = std::move(prompt),
                                  .sampling = {.temperature = temperature, .seed = 11},
                                  .draw_on = draw_on,
                                  .max_tokens = count,
                                  .ignore_eos = true});
    EXPECT_TRUE(done) << done.error().message;
    if (reused) *reused = done->reused_tokens;
    return std::move(done->tokens);
  }
  static std::vector<int32_t> joined(std::vector<int32_t> a, std::span<const int32_t> b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
  static Session restored(const Engine& engine, const std::filesystem::path& path) {
    auto session = Session::restore(engine, path);
    EXPECT_TRUE(session) << session.error().message;
    return std::move(*session);
  }
  void expect_refused(const Engine& engine, Errc code) const {
    const auto session = Session::restore(engine, path.get());
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error().code, code) << session.error().message;
    EXPECT_EQ(session.error().message.find('\n'), std::string::npos);
  }

  TemporaryPath path{"session"};
};

TEST_F(SessionFiles, ContinueInAnotherEngineLikeARunThatWasNeverInterrupted) {
  for (const KvFormat kv : {KvFormat::f32, KvFormat::bf16, KvFormat::int8})
    for (const double temperature : {0.0, 1.0})
      for (const int32_t length : {1, 5, 70, 600})
        for (const int64_t before : {1, 9, 30}) {
          SCOPED_TRACE(
              fmt::format("kv {}, temperature {}, prompt {}, {} tokens", static_cast<int>(kv), temperature, length, before));
          std::vector<int32_t> whole, first;
          {
            const auto e = engine("tiny", kv);
            Session straight(*e), session(*e);
            whole = generate(straight, prompt(length), before + 40, temperature);
            first = generate(session, prompt(length), before, temperature);
            ASSERT_TRUE(session.save(path.get()));
          }
          const auto e = engine("tiny", kv);
          Session session = restored(*e, path.get());
          EXPECT_EQ(session.tokens().size(), static_cast<size_t>(length + before - 1)) << "the last token has not been fed";
          int64_t reused = 0;
          const auto rest = generate(session, joined(prompt(length), first), 40, temperature, /*draw_on=*/true, &reused);
          EXPECT_EQ(joined(first, rest), whole);
          EXPECT_EQ(reused, length + before - 1);
        }
}

TEST_F(SessionFiles, RememberHowFarBackTheyReach) {
  const auto e = engine();
  Session session(*e);
  generate(session, prompt(50), 30, 0);
  ASSERT_TRUE(session.save(path.get()));
  Session again = restored(*e, path.get());
  const std::vector<int32_t> other = joined(prompt(50), std::vector<int32_t>{3, 4, 5});  // the answer is dropped, the prompt kept
  int64_t reused = 0, reused_again = 0;
  const auto want = generate(session, other, 10, 0, false, &reused);
  EXPECT_EQ(generate(again, other, 10, 0, false, &reused_again), want);
  EXPECT_EQ(reused, 50);
  EXPECT_EQ(reused_again, 50);
}

TEST_F(SessionFiles, AreEqualForEqualSessions) {
  const auto e = engine();
  Session session(*e);
  generate(session, prompt(50), 30, 1);
  ASSERT_TRUE(session.save(path.get()));
  const std::string bytes = read_file(path.get()).value();
  ASSERT_TRUE(restored(*e, path.get()).save(path.get()));
  EXPECT_EQ(read_file(path.get()).value(), bytes);
}

TEST_F(SessionFiles, ForksGoTheirOwnWays) {
  const auto e = engine();
  Session session(*e);
  const auto first = generate(session, prompt(90), 12, 1);
  Session fork = session.fork();
  const auto left = joined(joined(prompt(90), first), std::vector<int32_t>{7, 8}),
             right = joined(joined(prompt(90), first), std::vector<int32_t>{300});
  const auto on_the_left = generate(session, left, 20, 1);
  int64_t reused = 0;
  const auto on_the_right = generate(fork, right, 20, 1, false, &reused);
  EXPECT_EQ(reused, 101);
  const auto straight = [&](const std::vector<int32_t>& then) {  // the same cuts: the answer token by token, then the rest
    Session own(*e);
    EXPECT_EQ(generate(own, prompt(90), 12, 1), first);
    return generate(own, then, 20, 1);
  };
  EXPECT_EQ(on_the_left, straight(left));
  EXPECT_EQ(on_the_right, straight(right));
}

TEST_F(SessionFiles, OfAFreshSessionAreFine) {
  const auto e = engine();
  ASSERT_TRUE(Session(*e).save(path.get()));
  Session session = restored(*e, path.get()), fresh(*e);
  EXPECT_EQ(generate(session, prompt(9), 9, 0), generate(fresh, prompt(9), 9, 0));
}

TEST_F(SessionFiles, OfOtherModelsOrSettingsAreRefused) {
  const auto e = engine();
  Session session(*e);
  generate(session, prompt(40), 5, 0);
  ASSERT_TRUE(session.save(path.get()));
  restored(*e, path.get());
  expect_refused(*engine("tiny-grouped"), Errc::mismatch);
  expect_refused(*engine("tiny", KvFormat::f32), Errc::mismatch);
  expect_refused(*engine("tiny", KvFormat::bf16, {}, 2.0), Errc::mismatch);
  expect_refused(*engine("tiny", KvFormat::bf16, 43), Errc::out_of_range);
  restored(*engine("tiny", KvFormat::bf16, 44), path.get());
  std::filesystem::remove(path.get());
  expect_refused(*e, Errc::not_found);
}

TEST_F(SessionFiles, CutOrChangedAnywhereAreRefused) {
  const auto e = engine();
  Session session(*e);
  generate(session, prompt(20), 5, 0);
  ASSERT_TRUE(session.save(path.get()));
  const std::string bytes = read_file(path.get()).value();
  const auto attempt = [&](const std::string& changed) {
    std::ofstream(path.get(), std::ios::binary | std::ios::trunc) << changed;
    const auto got = Session::restore(*e, path.get());
    EXPECT_TRUE(got || got.error().message.find('\n') == std::string::npos);
    return static_cast<bool>(got);
  };
  ASSERT_TRUE(attempt(bytes));
  for (size_t length = 0; length < bytes.size(); length += 1 + length / 12)
    EXPECT_FALSE(attempt(bytes.substr(0, length))) << length;
  EXPECT_FALSE(attempt(bytes.substr(0, bytes.size() - 1)));
  EXPECT_FALSE(attempt(bytes + "x"));
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    std::string changed = bytes;
    const size_t at = random.below(i < 120 ? std::min<size_t>(bytes.size(), 4000) : bytes.size());
    changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ (1u << random.below(8)));
    EXPECT_FALSE(attempt(changed)) << at;
  }
}

// A file whose checksum is right, made by somebody who means harm: refused, or a session that works.
TEST_F(SessionFiles, WithForgedNumbersAreRefusedOrUsable) {
  const auto e = engine();
  Session session(*e);
  generate(session, prompt(20), 5, 0);
  ASSERT_TRUE(session.save(path.get()));
  const std::string bytes = read_file(path.get()).value();
  for (const char* key : {"tokens", "earlier", "earlier.0.position", "earlier.0.furthest", "earlier.0.log_length", "earlier.0.name",
                          "note.sampler", "note.kv", "note.yarn", "position"})
    for (const char* value : {"", "-1", "0", "1", "7", "19", "20", "21", "24", "25", "99", "18446744073709551615", "zz"}) {
      std::ofstream(path.get(), std::ios::binary | std::ios::trunc) << bytes;
      std::vector<SafetensorsWriter::Entry> entries;
      {
        const SafetensorsFile file = SafetensorsFile::open(path.get()).value();
        Json metadata = file.metadata();
        metadata[key] = value;
        metadata["checksum"] = SequenceState::checksum(metadata, file.tensors());
        for (const StoredTensor& tensor : file.tensors()) entries.push_back({tensor.name, tensor.dtype, tensor.shape});
        SafetensorsWriter writer = SafetensorsWriter::create(path.get(), entries, metadata).value();
        for (const StoredTensor& tensor : file.tensors()) ASSERT_TRUE(writer.write(tensor.bytes));
        ASSERT_TRUE(writer.commit());
      }
      SCOPED_TRACE(fmt::format("{} = {}", key, value));
      auto got = Session::restore(*e, path.get());
      if (!got) {
        EXPECT_EQ(got.error().message.find('\n'), std::string::npos);
        continue;
      }
      EXPECT_EQ(generate(*got, prompt(30), 5, 0).size(), 5u);
      EXPECT_EQ(generate(*got, joined(prompt(20), std::vector<int32_t>{9}), 5, 0).size(), 5u);
    }
}

}  // namespace
}  // namespace quern
