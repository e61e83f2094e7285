#include "text/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/random.h"
#include "text/pre_tokenizer.h"

namespace quern {
namespace {

// A tokenizer.json and its parts, which look into it.
struct JsonTokenizer {
  Json json;
  TokenizerParts parts;
  explicit JsonTokenizer(const std::string& path)
      : json(Json::parse(read_file(path).value(), path).value()), parts(tokenizer_json_parts(json, path).value()) {}
};

std::string pebble() { return std::string(QUERN_REPO) + "/models/pebble/tokenizer.json"; }

const std::vector<std::string>& pieces() {
  static const std::vector<std::string> list = {"Hello, world!",
                                                " the quick brown fox",
                                                "\n\n",
                                                "\t\t",
                                                "   ",
                                                "def f(x):\n    return x**2",
                                                "{\"name\": \"read_file\", \"arguments\": {}}",
                                                "<|im_start|>",
                                                "<|im_end|>",
                                                "<think>",
                                                "</think>\n\n",
                                                "<tool_call>",
                                                "</tool_call>",
                                                "<|endoftext|>",
                                                "1234567.89",
                                                "naïve café",
                                                "e\xCC\x81"
                                                "a\xCC\x8A",
                                                "日本語テキスト",
                                                "Привет",
                                                "مرحبا",
                                                "🦀🚀👩‍👩‍👧",
                                                "I'M DON'T we'll",
                                                "<|im_",
                                                "end|>",
                                                "\r\n",
                                                "a",
                                                "Z",
                                                "\xC2\xA0",
                                                "[PAD1]",
                                                "\x01\x7f",
                                                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
  return list;
}

std::string random_text(Random& random) {
  std::string text;
  for (uint64_t n = random.below(12); n > 0; --n) text += pieces()[random.below(pieces().size())];
  return text;
}

void expect_same(const Tokenizer& a, const Tokenizer& b) {
  ASSERT_EQ(a.vocab_size(), b.vocab_size());
  for (int32_t id = 0; id < a.vocab_size(); ++id) {
    ASSERT_EQ(a.token_bytes(id), b.token_bytes(id)) << id;
    ASSERT_EQ(a.is_added(id), b.is_added(id)) << id;
    ASSERT_EQ(a.is_special(id), b.is_special(id)) << id;
  }
  Random random(11);
  for (int i = 0; i < 600; ++i) {
    const std::string text = i < static_cast<int>(pieces().size()) ? pieces()[static_cast<size_t>(i)] : random_text(random);
    for (const bool trusted : {true, false}) {
      const auto ids = a.encode(text, trusted).value();
      ASSERT_EQ(ids, b.encode(text, trusted).value()) << text;
      ASSERT_EQ(a.decode(ids).value(), b.decode(ids).value());
      ASSERT_EQ(a.decode(ids, true).value(), b.decode(ids, true).value());
    }
  }
}

TEST(GgufTokenizer, IsTheTokenizerThatWasWritten) {
  std::vector<std::string> files = {pebble()};
  if (const char* published = std::getenv("QUERN_QWEN3_TOKENIZER")) files.push_back(published);
  for (const std::string& file : files) {
    const JsonTokenizer json(file);
    const Tokenizer want = Tokenizer::load(file).value();
    GgufKeyValues kv;
    const auto added =
        add_gguf_tokenizer(json.parts, {.vocab_size = want.vocab_size() + 30, .eos = 2, .padding = 1, .bos = {}}, file, kv);
    ASSERT_TRUE(added) << added.error().message;
    const GgufMetadata metadata = kv.view("t.gguf").value();
    EXPECT_EQ(metadata.strings("tokenizer.ggml.tokens").value().size(), static_cast<size_t>(want.vocab_size()) + 30);
    EXPECT_EQ(metadata.u32("tokenizer.ggml.eos_token_id").value(), 2u);
    EXPECT_FALSE(metadata.has("tokenizer.ggml.bos_token_id"));
    const auto read = gguf_tokenizer(metadata);
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_TRUE(read->has_value());
    expect_same(**read, want);
  }
}

TEST(GgufTokenizer, IsNoneWhereTheFileHasNone) {
  GgufKeyValues kv;
  EXPECT_FALSE(gguf_tokenizer(kv.view("t").value()).value().has_value());
  add_gguf_no_tokenizer(kv);
  EXPECT_FALSE(gguf_tokenizer(kv.view("t").value()).value().has_value());
}

TEST(GgufTokenizer, GivesTheChatTemplate) {
  GgufKeyValues kv;
  EXPECT_EQ(gguf_chat_template(kv.view("t").value()).value(), "");
  kv.string("tokenizer.chat_template", "{{ messages }}");
  EXPECT_EQ(gguf_chat_template(kv.view("t").value()).value(), "{{ messages }}");
  GgufKeyValues bad;
  bad.string("tokenizer.chat_template", "a\xff");
  EXPECT_EQ(gguf_chat_template(bad.view("t").value()).error().message, "t: tokenizer.chat_template: not valid UTF-8 at byte 1");
}

// Metadata of a, b, ab and <x>, with what a test wants otherwise.
struct Small {
  std::string_view model = "gpt2", pre = "qwen2";
  std::vector<std::string_view> tokens = {"a", "b", "ab", "<x>"}, merges = {"a b"};
  std::vector<int32_t> types = {1, 1, 1, 4};
  std::string_view flag = {};

  Result<std::optional<Tokenizer>> read() const {
    GgufKeyValues kv;
    kv.string("tokenizer.ggml.model", model), kv.string("tokenizer.ggml.pre", pre);
    kv.strings("tokenizer.ggml.tokens", tokens), kv.strings("tokenizer.ggml.merges", merges),
        kv.i32s("tokenizer.ggml.token_type", types);
    if (!flag.empty()) kv.boolean(flag, true);
    const GgufMetadata metadata = kv.view("t").value();
    return gguf_tokenizer(metadata);
  }
  std::string error() const { return read().error().message; }
};

TEST(GgufTokenizer, RefusesWhatItDoesNotKnowByName) {
  const auto good = Small{}.read();
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ((*good)->encode("aab<x>", true).value(), (std::vector<int32_t>{0, 2, 3}));
  EXPECT_FALSE((*good)->is_special(3));
  EXPECT_EQ(Small{.model = "llama"}.error(), "t: tokenizer.ggml.model: llama (gpt2 is known)");
  EXPECT_EQ(Small{.pre = "llama-bpe"}.error(), "t: tokenizer.ggml.pre: llama-bpe (qwen2 and qwen35 are known)");
  EXPECT_TRUE(Small{.pre = "qwen35"}.read());
  EXPECT_EQ((Small{.types = {1, 1, 1, 6}}.error()),
            "t: tokenizer.ggml.token_type: type 6 of token 3: 1 (normal), 3 (control), 4 (user-defined) and 5 (unused) are known");
  for (const std::string_view flag :
       {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token", "tokenizer.ggml.add_space_prefix"})
    EXPECT_EQ(Small{.flag = flag}.error(), fmt::format("t: {}: true, expected false", flag));
}

TEST(GgufTokenizer, RejectsMetadataThatContradictsItself) {
  EXPECT_EQ((Small{.types = {1, 1, 1}}.error()), "t: tokenizer.ggml.token_type: 3 types of 4 tokens");
  EXPECT_EQ((Small{.merges = {"a b", "b a"}}.error()),
            "t: tokenizer.ggml.merges[1]: not two tokens of the vocabulary that make a third");
  EXPECT_EQ(Small{.merges = {"ab"}}.error(), "t: tokenizer.ggml.merges[0]: not two tokens of the vocabulary that make a third");
  EXPECT_EQ((Small{.tokens = {"a", "a", "ab", "<x>"}}.error()), "t: tokenizer.ggml.tokens: token 1 has the text of another");
  EXPECT_EQ((Small{.tokens = {"a", " ", "ab", "<x>"}}.error()), "t: tokenizer.ggml.tokens: token 1 is not in the byte alphabet");
  EXPECT_EQ((Small{.tokens = {"a", "b", "ab", ""}}.error()), "t: tokenizer.ggml.tokens: token 3 is empty");
  const auto unused = Small{.tokens = {"a", "b", "ab", "[PAD3]"}, .types = {1, 1, 1, 5}}.read();
  ASSERT_TRUE(unused) << unused.error().message;
  EXPECT_EQ((*unused)->vocab_size(), 3);
  GgufKeyValues kv;
  kv.string("tokenizer.ggml.model", "gpt2");
  EXPECT_EQ(gguf_tokenizer(kv.view("t").value()).error().message, "t: tokenizer.ggml.pre is missing");
}

TEST(GgufTokenizer, WritesNothingThatGgufCannotSay) {
  JsonTokenizer json(pebble());
  const auto error = [&](const GgufTokenizerIds& ids) {
    GgufKeyValues kv;
    return add_gguf_tokenizer(json.parts, ids, "t", kv).error().message;
  };
  EXPECT_EQ(error({.vocab_size = 4000}), "t: 4096 tokens in a vocabulary of 4000");
  EXPECT_EQ(error({.vocab_size = 4096, .eos = 4096}), "t: tokenizer.ggml.eos_token_id: 4096 is outside the vocabulary of 4096");
  EXPECT_EQ(error({.vocab_size = 4096, .padding = -1}), "t: tokenizer.ggml.padding_token_id: -1 is outside the vocabulary of 4096");
  json.parts.nfc = false;
  EXPECT_EQ(error({.vocab_size = 4096}), "t: GGUF's tokenizer.ggml.pre cannot say a tokenizer without NFC");
  json.parts.pattern = "(a+)+$";
  EXPECT_NE(error({.vocab_size = 4096}).find("is not one of the Qwen family's"), std::string::npos);
}

}  // namespace
}  // namespace quern
