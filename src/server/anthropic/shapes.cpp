#include "server/anthropic/shapes.h"

namespace quern::anthropic_shapes {
namespace {

using M = Shape::Member;

constexpr int64_t kMostTokens = 2'147'483'647;

// Which members a block needs is its type's matter: content.cpp reads them.
Shape block() {
  return Shape::object(
             {{"type", Shape::text("text, thinking, redacted_thinking, tool_use, tool_result, document, search_result"),
               M::required},
              {"text", Shape::text("Of text")},
              {"thinking", Shape::text("Of thinking")},
              {"signature", Shape::text("Of thinking, as it was given")},
              {"data", Shape::text("Of redacted_thinking")},
              {"id", Shape::text("Of tool_use")},
              {"name", Shape::text("Of tool_use: the tool's")},
              {"input", Shape::object({}, "Of tool_use: the arguments")},
              {"tool_use_id", Shape::text("Of tool_result: the call's id")},
              {"is_error", Shape::boolean("Of tool_result: the tool failed")},
              {"content", Shape::any("Of tool_result and search_result: a string or blocks")},
              {"source",
               Shape::any("Of document: {type: text, data} or {type: content, content}; of search_result: where it is from")},
              {"title", Shape::text("Of document and search_result")},
              {"context", Shape::text("Of document")},
              {"cache_control", Shape::object({}, "Accepted: what was read is kept in any case")}},
             "A part of a message")
      .named("AnthropicBlock");
}

Shape content() { return Shape::either({Shape::text(""), Shape::list(block(), 0, 100'000, "")}, "What is said"); }

Shape input_message() {
  return Shape::object({{"role", Shape::one_of({"user", "assistant", "system"}, "Whose message it is"), M::required},
                        {"content", content(), M::required}},
                       "A message of the conversation")
      .named("AnthropicInputMessage");
}

Shape tool() {
  return Shape::object({{"type", Shape::text("custom; Anthropic's own tools are left out, with a note in the header quern-note")},
                        {"name", Shape::text("Unique among the tools")},
                        {"description", Shape::text("For the model")},
                        {"input_schema", Shape::object({}, "JSON Schema of the arguments, which calls are held to")}},
                       "A tool that the model may call")
      .named("AnthropicTool");
}

Shape format(std::string_view about) {
  return Shape::object({{"type", Shape::constant("json_schema"), M::required},
                        {"schema", Shape::object({}, "JSON Schema of the answer"), M::required}},
                       about);
}

std::vector<M> conversation() {
  return {
      {"model", Shape::text("A name from /v1/models; absent: the server's default")},
      {"messages", Shape::list(input_message(), 1, 100'000, "The conversation so far"), M::required},
      {"system", content()},
      {"tools", Shape::list(tool(), 0, 1024, "What the model may call")},
      {"tool_choice", Shape::object({{"type", Shape::one_of({"auto", "any", "tool", "none"}, ""), M::required},
                                     {"name", Shape::text("Of tool: which")},
                                     {"disable_parallel_tool_use", Shape::boolean("One call at most")}},
                                    "Whether the model calls a tool, and which")},
      {"thinking",
       Shape::object({{"type", Shape::one_of({"enabled", "disabled", "adaptive"}, ""), M::required},
                      {"budget_tokens", Shape::integer(1, kMostTokens, "Of enabled: past them the reasoning is closed")},
                      {"display", Shape::one_of({"summarized", "omitted"}, "omitted: only the signature, which holds it")}},
                     "Whether a thinking model thinks, and is shown doing it. Absent: it thinks, and is not shown")},
      {"output_config", Shape::object({{"format", format("What the answer has to be")}}, "")},
      {"output_format", format("Older form of output_config.format")},
  };
}

std::vector<M> generation() {
  return {
      {"max_tokens", Shape::integer(1, kMostTokens, "Tokens to make at most, with those that are thought"), M::required},
      {"temperature", Shape::number(0, 2, "0: always the likeliest token. Absent: the model's own")},
      {"top_p", Shape::number(0, 1, "Draw from the likeliest tokens that have this probability together")},
      {"top_k", Shape::integer(0, 1'000'000, "Draw from so many of the likeliest tokens; 0: from all")},
      {"stop_sequences", Shape::list(Shape::text(""), 0, 64, "Texts before which the answer ends")},
      {"stream", Shape::boolean("Answer piece by piece, as server-sent events")},
      {"metadata", Shape::object({{"user_id", Shape::text("Whose it is: users take turns")}}, "")},
  };
}

Shape usage() {
  const auto count = [](std::string_view about) { return Shape::integer(0, int64_t{1} << 53, about); };
  return Shape::object({{"input_tokens", count("Of the prompt, those that had to be read"), M::required},
                        {"cache_creation_input_tokens", count("0: keeping them costs nothing"), M::required},
                        {"cache_read_input_tokens", count("Of the prompt, those that were known"), M::required},
                        {"output_tokens", count(""), M::required}},
                       "")
      .named("AnthropicUsage");
}

Shape stop_reason() {
  return Shape::one_of({"end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"}, "Why it ended");
}

}  // namespace

const Shape& message_request() {
  static const Shape shape =
      Shape::object(conversation(), "What is asked of /v1/messages").with(generation()).named("AnthropicMessageRequest");
  return shape;
}

const Shape& count_request() {
  static const Shape shape =
      Shape::object(conversation(), "What is asked of /v1/messages/count_tokens").named("AnthropicCountRequest");
  return shape;
}

const Shape& message() {
  static const Shape shape = Shape::object({{"id", Shape::text("msg_…"), M::required},
                                            {"type", Shape::constant("message"), M::required},
                                            {"role", Shape::constant("assistant"), M::required},
                                            {"model", Shape::text("As it was asked for"), M::required},
                                            {"content", Shape::list(block(), 0, 100'000, ""), M::required},
                                            {"stop_reason", stop_reason()},
                                            {"stop_sequence", Shape::text("The one that ended it")},
                                            {"usage", usage(), M::required}},
                                           "An answer")
                                 .named("AnthropicMessage");
  return shape;
}

const Shape& event() {
  static const Shape shape = Shape::object({{"type",
                                             Shape::one_of({"message_start", "content_block_start", "content_block_delta",
                                                            "content_block_stop", "message_delta", "message_stop", "ping", "error"},
                                                           "Also the event's name"),
                                             M::required},
                                            {"message", message()},
                                            {"index", Shape::integer(0, 100'000, "Of the block")},
                                            {"content_block", block()},
                                            {"delta", Shape::object({}, "What is new")},
                                            {"usage", usage()},
                                            {"error", Shape::object({}, "")}},
                                           "A piece of an answer")
                                 .named("AnthropicEvent");
  return shape;
}

const Shape& count() {
  static const Shape shape =
      Shape::object({{"input_tokens", Shape::integer(0, kMostTokens, "That the model would read"), M::required}}, "")
          .named("AnthropicCount");
  return shape;
}

const Shape& error() {
  static const Shape shape =
      Shape::object({{"type", Shape::constant("error"), M::required},
                     {"error",
                      Shape::object({{"type", Shape::text("invalid_request_error, rate_limit_error, …"), M::required},
                                     {"message", Shape::text("What is wrong, and where"), M::required}},
                                    ""),
                      M::required}},
                    "What went wrong")
          .named("AnthropicError");
  return shape;
}

}  // namespace quern::anthropic_shapes
