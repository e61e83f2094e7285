// Completions, embeddings and models.
#include "base/base64.h"
#include "server/openai/openai_test.h"
#include "server/openai/shapes.h"

namespace quern {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kPath = "/v1/completions";

class Completion : public OpenAiTest {};

TEST_F(Completion, GoesOnWithTextsAndTokens) {
  const Json one = post(kPath, R"({"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0})");
  EXPECT_TRUE(openai_shapes::completion_answer().check(one)) << one.dump();
  const Json echoed = post(kPath, R"({"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0, "echo": true})");
  EXPECT_EQ(text_at(echoed, "choices.0.text"), "Once upon a time" + text_at(one, "choices.0.text"));
  const Json many = post(kPath, R"({"prompt": ["Once upon a time", "It is"], "n": 2, "max_tokens": 8, "temperature": 0})");
  ASSERT_EQ(at(many, "choices").size(), 4u);
  EXPECT_EQ(at(many, "choices.1.text"), at(one, "choices.0.text"));
  EXPECT_EQ(at(many, "choices.3.index"), Json(3));
  const Json tokens = post(kPath, R"({"prompt": [[1000, 1001], [1002]], "max_tokens": 2, "temperature": 0})");
  EXPECT_EQ(at(tokens, "usage.prompt_tokens"), Json(3));
  EXPECT_EQ(post(kPath, R"({"prompt": [1000, 1001], "max_tokens": 2, "temperature": 0})").find("choices")->size(), 1u);
}

TEST_F(Completion, StreamsWhatItAnswersWhole) {
  const std::string body = R"("prompt": ["Once upon a time", "It is"], "max_tokens": 8, "temperature": 0, "logprobs": 2)";
  const Json whole = post(kPath, "{" + body + "}");
  std::string texts[2];
  size_t tokens = 0;
  for (const Json& chunk : stream(kPath, "{" + body + R"(, "stream": true, "stream_options": {"include_usage": true}})")) {
    if (chunk.is_string()) continue;
    EXPECT_TRUE(openai_shapes::completion_answer().check(chunk)) << chunk.dump();
    if (at(chunk, "choices").size() == 0) continue;
    texts[static_cast<size_t>(at(chunk, "choices.0.index").as_double())] += text_at(chunk, "choices.0.text");
    tokens += at(chunk, "choices.0.logprobs.tokens").size();
  }
  EXPECT_EQ(texts[0], text_at(whole, "choices.0.text"));
  EXPECT_EQ(texts[1], text_at(whole, "choices.1.text"));
  EXPECT_EQ(tokens, at(whole, "choices.0.logprobs.tokens").size() + at(whole, "choices.1.logprobs.tokens").size());
  EXPECT_EQ(at(whole, "choices.0.logprobs.text_offset.0"), Json(0));
}

TEST_F(Completion, RefusesWhatItCannotDo) {
  EXPECT_THAT(refusal(kPath, R"({"prompt": "a", "suffix": "b"})"), StartsWith("400 suffix unsupported_value"));
  EXPECT_THAT(refusal(kPath, R"({"prompt": "a", "best_of": 3})"), StartsWith("400 best_of"));
  EXPECT_THAT(refusal(kPath, R"({"prompt": ["a", 1]})"), HasSubstr("prompt[1]: number beside string"));
  EXPECT_THAT(refusal(kPath, R"({"prompt": ""})"), HasSubstr("empty"));
  EXPECT_THAT(refusal(kPath, R"({"prompt": [1, 99999999]})"), HasSubstr("token 99999999"));
  EXPECT_THAT(refusal(kPath, R"({"prompt": "a", "logprobs": 6})"), HasSubstr("an integer from 0 to 5"));
}

TEST_F(Completion, EmbedsTexts) {
  const Json floats = post("/v1/embeddings", R"({"input": ["Hello", "Hello", "Goodbye"]})");
  EXPECT_TRUE(openai_shapes::embedding_answer().check(floats));
  ASSERT_EQ(at(floats, "data").size(), 3u);
  EXPECT_EQ(at(floats, "data.0.embedding"), at(floats, "data.1.embedding"));
  EXPECT_NE(at(floats, "data.0.embedding"), at(floats, "data.2.embedding"));
  EXPECT_EQ(at(floats, "data.0.embedding").size(), 256u);
  const Json packed = post("/v1/embeddings", R"({"input": "Hello", "encoding_format": "base64", "dimensions": 256})");
  const std::string bytes = base64_decode(text_at(packed, "data.0.embedding")).value();
  ASSERT_EQ(bytes.size(), 256 * sizeof(float));
  float first = 0;
  std::copy_n(bytes.data(), sizeof(first), reinterpret_cast<char*>(&first));
  EXPECT_FLOAT_EQ(first, static_cast<float>(at(floats, "data.0.embedding.0").as_double()));
  EXPECT_THAT(refusal("/v1/embeddings", R"({"input": "Hello", "dimensions": 3})"), StartsWith("400 dimensions unsupported_value"));
  EXPECT_THAT(refusal("/v1/embeddings", R"({"input": ["Hello", ""]})"), StartsWith("400 input[1] invalid_value"));
  EXPECT_THAT(refusal("/v1/embeddings", R"({"input": []})"), StartsWith("400 input"));
}

TEST_F(Completion, ListsModels) {
  const Json list = send("GET", "/v1/models")->json_body();
  EXPECT_TRUE(openai_shapes::models().check(list));
  EXPECT_EQ(text_at(list, "data.0.id"), "pebble");
  EXPECT_EQ(text_at(list, "data.1.id"), "gpt-4o");
  EXPECT_EQ(text_at(send("GET", "/v1/models/gpt-4o")->json_body(), "id"), "gpt-4o");
  EXPECT_EQ(send("GET", "/v1/models/a/b")->status(), 404);
  EXPECT_EQ(text_at(send("GET", "/v1/models/a/b")->json_body(), "error.code"), "model_not_found");
  EXPECT_EQ(text_at(send("GET", "/v1/nothing")->json_body(), "error.type"), "invalid_request_error");
}

TEST(Base64, IsReadBackAsItWasWritten) {
  for (const char* text : {"", "f", "fo", "foo", "foob", "fooba", "foobar", "\xff\x00\x80"})
    EXPECT_EQ(base64_decode(base64_encode(text)), text);
  EXPECT_EQ(base64_encode("fooba"), "Zm9vYmE=");
  for (const char* text : {"A", "AB=C", "A===", "AA-A", "Zg==="}) EXPECT_FALSE(base64_decode(text)) << text;
}

}  // namespace
}  // namespace quern
