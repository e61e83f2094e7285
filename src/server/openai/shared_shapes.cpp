#include "server/openai/shared_shapes.h"

#include "server/openai/shapes.h"

namespace quern::openai_shapes {

using M = Shape::Member;

Shape text_or_tokens(std::string_view about) {
  const Shape token = Shape::integer(0, kMostTokens, "");
  const Shape one = Shape::either({Shape::text(""), token, Shape::list(token, 1, 10'000'000, "")}, "");
  return Shape::either({Shape::text(""), Shape::list(one, 1, 10'000'000, "")}, about);
}

Shape max_tokens() {
  return Shape::integer(1, kMostTokens,
                        "Tokens to make at most, with those that are thought; absent: what the context has room for");
}
Shape reasoning_effort() {
  return Shape::one_of({"none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"},
                       "How long a thinking model may think: not at all, 512, 2048 or 8192 tokens, or as long as it likes");
}
Shape unix_time() { return Shape::integer(0, int64_t{1} << 40, "Seconds since 1970"); }

Shape function() {
  return Shape::object({{"name", Shape::text("Unique among the tools"), M::required},
                        {"description", Shape::text("For the model")},
                        {"parameters", Shape::object({}, "JSON Schema of the arguments, which calls are held to")},
                        {"strict", Shape::boolean("Schemas are kept to in any case")}},
                       "A function that the model may call")
      .named("Function");
}
Shape chat_tool() {
  return Shape::object({{"type", Shape::constant("function"), M::required}, {"function", function(), M::required}}, "A tool")
      .named("ChatTool");
}

std::vector<Shape::Member> sampling() {
  return {
      {"temperature", Shape::number(0, 2, "0: always the likeliest token. Absent: the model's own")},
      {"top_p", Shape::number(0, 1, "Draw from the likeliest tokens that have this probability together")},
      {"top_k", Shape::integer(0, 1'000'000, "Draw from so many of the likeliest tokens; 0: from all")},
      {"min_p", Shape::number(0, 1, "Draw from tokens that are at least so likely, in proportion to the likeliest")},
      {"repetition_penalty", Shape::number(0.01, 100, "Of tokens that the prompt or the answer has; 1: none")},
      {"presence_penalty", Shape::number(-2, 2, "Of tokens that the answer has")},
      {"frequency_penalty", Shape::number(-2, 2, "Of tokens for each time that the answer has them")},
      {"logit_bias", Shape::map(Shape::number(-100, 100, ""), "Added to the logits of tokens, by their ids")},
      {"seed", Shape::integer(INT64_MIN, INT64_MAX, "The same seed, the same answer. Absent: another one each time")},
      {"stop", Shape::either({Shape::text(""), Shape::list(Shape::text(""), 0, 16, "")}, "Texts before which the answer ends")},
      {"user", Shape::text("Accepted")},
      {"metadata", Shape::object({}, "Accepted")},
  };
}

std::vector<Shape::Member> streaming() {
  return {{"stream", Shape::boolean("Answer piece by piece, as server-sent events")},
          {"stream_options", Shape::object({{"include_usage", Shape::boolean("A last piece tells what was used")}}, "")}};
}

Shape chat_usage() {
  const auto count = [](std::string_view about) { return Shape::integer(0, int64_t{1} << 53, about); };
  return Shape::object({{"prompt_tokens", count(""), M::required},
                        {"completion_tokens", count(""), M::required},
                        {"total_tokens", count(""), M::required},
                        {"prompt_tokens_details",
                         Shape::object({{"cached_tokens", count("Of the prompt, those that did not have to be read again")}}, "")},
                        {"completion_tokens_details", Shape::object({{"reasoning_tokens", count("")}}, "")}},
                       "What an answer took")
      .named("Usage");
}

Shape timings() {
  const auto count = [](std::string_view about) { return Shape::integer(0, int64_t{1} << 53, about); };
  const auto time = [](std::string_view about) { return Shape::number(0, 1e12, about); };
  return Shape::object({{"prompt_n", count("Tokens of the prompt that were read"), M::required},
                        {"prompt_ms", time(""), M::required},
                        {"prompt_per_second", time(""), M::required},
                        {"predicted_n", count("Tokens that were made"), M::required},
                        {"predicted_ms", time(""), M::required},
                        {"predicted_per_second", time(""), M::required}},
                       "How fast it went; an addition to OpenAI's answers")
      .named("Timings");
}

const Shape& error() {
  static const Shape shape =
      Shape::object({{"error",
                      Shape::object({{"message", Shape::text("One line"), M::required},
                                     {"type", Shape::text("invalid_request_error, rate_limit_error, server_error, …"), M::required},
                                     {"param", Shape::text("The place in the request")},
                                     {"code", Shape::text("A word for programs")}},
                                    ""),
                      M::required}},
                    "Why there is no answer")
          .named("Error");
  return shape;
}

const Shape& model() {
  static const Shape shape = Shape::object({{"id", Shape::text("Its name"), M::required},
                                            {"object", Shape::constant("model"), M::required},
                                            {"created", unix_time(), M::required},
                                            {"owned_by", Shape::text(""), M::required},
                                            {"status", Shape::one_of({"absent", "loading", "loaded"}, "Whether it is in memory")}},
                                           "A model")
                                 .named("Model");
  return shape;
}
const Shape& models() {
  static const Shape shape =
      Shape::object({{"object", Shape::constant("list"), M::required}, {"data", Shape::list(model(), 0, 100'000, ""), M::required}},
                    "")
          .named("Models");
  return shape;
}

const Shape& embedding_request() {
  static const Shape shape = [] {
    return Shape::object(
               {{"model", Shape::text("A name from /v1/models; absent: the server's default")},
                {"input", text_or_tokens("Text or tokens, or a list of up to 2048 of either"), M::required},
                {"encoding_format", Shape::one_of({"float", "base64"}, "base64: little-endian 32-bit floats")},
                {"dimensions", Shape::integer(1, kMostTokens, "Only the model's own number: embeddings cannot be shortened")},
                {"user", Shape::text("Accepted")}},
               "Texts whose embeddings are wanted: the mean of a model's final hidden states over their tokens")
        .named("EmbeddingRequest");
  }();
  return shape;
}
const Shape& embedding_answer() {
  static const Shape shape = [] {
    const Shape embedding = Shape::object(
        {{"object", Shape::constant("embedding"), M::required},
         {"index", Shape::integer(0, 2047, ""), M::required},
         {"embedding", Shape::either({Shape::list(Shape::number(-1e30, 1e30, ""), 1, 1'000'000, ""), Shape::text("")}, ""),
          M::required}},
        "");
    const auto count = Shape::integer(0, int64_t{1} << 53, "");
    return Shape::object(
               {{"object", Shape::constant("list"), M::required},
                {"model", Shape::text(""), M::required},
                {"data", Shape::list(embedding, 1, 2048, ""), M::required},
                {"usage", Shape::object({{"prompt_tokens", count, M::required}, {"total_tokens", count, M::required}}, ""),
                 M::required}},
               "")
        .named("EmbeddingAnswer");
  }();
  return shape;
}

}  // namespace quern::openai_shapes
