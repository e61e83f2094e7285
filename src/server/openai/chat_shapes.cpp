// /v1/chat/completions and /v1/completions.
#include "server/openai/shapes.h"
#include "server/openai/shared_shapes.h"

namespace quern::openai_shapes {
namespace {

using M = Shape::Member;

Shape function_call() {
  return Shape::object({{"name", Shape::text("Of the function"), M::required}, {"arguments", Shape::text("A JSON object as text")}},
                       "A call of a function");
}

Shape tool_call() {
  return Shape::object({{"id", Shape::text("Of the call: its result names it"), M::required},
                        {"type", Shape::constant("function"), M::required},
                        {"function", function_call(), M::required}},
                       "A call of a tool")
      .named("ChatToolCall");
}

Shape content_part() {
  return Shape::object(
             {{"type", Shape::text("text or refusal; images, sound and files are refused, and named in what a tool gave back"),
               M::required},
              {"text", Shape::text("What is said")},
              {"refusal", Shape::text("What was said instead of an answer")}},
             "A part of a message")
      .named("ChatContentPart");
}

Shape message() {
  // A call of a client may leave out what it is not asked for.
  const Shape call =
      Shape::object({{"id", Shape::text("Of the call")}, {"function", function_call(), M::required}}, "A call of a tool");
  return Shape::object(
             {{"role", Shape::one_of({"system", "developer", "user", "assistant", "tool", "function"}, "Whose message it is"),
               M::required},
              {"content", Shape::either({Shape::text(""), Shape::list(content_part(), 0, 1024, "")}, "What is said")},
              {"reasoning_content", Shape::text("Of an assistant's message: what was thought before it")},
              {"reasoning", Shape::text("The same")},
              {"tool_calls", Shape::list(call, 0, 256, "Of an assistant's message")},
              {"function_call", function_call()},
              {"tool_call_id", Shape::text("Of a tool's message: whose result it is")},
              {"name", Shape::text("Of who says it; not shown to the model")}},
             "A message of the conversation")
      .named("ChatMessage");
}

Shape response_format() {
  return Shape::object({{"type", Shape::one_of({"text", "json_object", "json_schema"}, "What the answer has to be"), M::required},
                        {"json_schema", Shape::object({{"name", Shape::text("Not shown to the model")},
                                                       {"schema", Shape::any("What the answer has to satisfy")},
                                                       {"strict", Shape::boolean("Schemas are kept to in any case")}},
                                                      "")}},
                       "What the answer has to be")
      .named("ChatResponseFormat");
}

std::vector<M> chat_members() {
  return {
      {"model", Shape::text("A name from /v1/models; absent: the server's default")},
      {"messages", Shape::list(message(), 1, 100'000, "The conversation so far"), M::required},
      {"tools", Shape::list(chat_tool(), 0, 1024, "What the model may call")},
      {"tool_choice", Shape::either({Shape::one_of({"none", "auto", "required"}, ""), Shape::object({}, "")},
                                    "none, auto, required, a function to call, or the tools that are allowed")},
      {"parallel_tool_calls", Shape::boolean("Several calls in one answer; true")},
      {"functions", Shape::list(function(), 0, 1024, "Older form of tools")},
      {"function_call",
       Shape::either({Shape::one_of({"none", "auto"}, ""), Shape::object({{"name", Shape::text(""), M::required}}, "")},
                     "Older form of tool_choice")},
      {"response_format", response_format()},
      {"max_completion_tokens", max_tokens()},
      {"max_tokens", max_tokens()},
      {"n", Shape::integer(1, 16, "Answers to make; 1")},
      {"logprobs", Shape::boolean("Tell the probabilities of the answer's tokens")},
      {"top_logprobs", Shape::integer(0, 20, "Of so many likeliest tokens at each place")},
      {"reasoning_effort", reasoning_effort()},
      {"thinking_budget",
       Shape::integer(0, kMostTokens, "Tokens that a thinking model may think; past them its reasoning is closed")},
      {"enable_thinking", Shape::boolean("false: a thinking model answers without reasoning")},
  };
}

Shape logprob(bool top) {
  std::vector<M> members{{"token", Shape::text("Its text"), M::required},
                         {"logprob", Shape::number(-1e30, 0, "Natural logarithm of its probability"), M::required},
                         {"bytes", Shape::list(Shape::integer(0, 255, ""), 0, 1024, "Of its text"), M::required}};
  if (top) members.push_back({"top_logprobs", Shape::list(logprob(false), 0, 20, "The likeliest in its place"), M::required});
  return Shape::object(std::move(members), "").named(top ? "ChatLogprob" : "ChatTopLogprob");
}

Shape choice_logprobs() {
  return Shape::object({{"content", Shape::list(logprob(true), 0, 1'000'000, "")}, {"refusal", Shape::any("")}}, "");
}

Shape chat_finish() { return Shape::one_of({"stop", "length", "tool_calls", "function_call"}, "Why the answer ends"); }

Shape delta_call() {
  return Shape::object(
      {{"index", Shape::integer(0, 1'000'000, "Which call"), M::required},
       {"id", Shape::text("With its first piece")},
       {"type", Shape::constant("function")},
       {"function", Shape::object({{"name", Shape::text("")}, {"arguments", Shape::text("More of them")}}, ""), M::required}},
      "");
}

std::vector<M> head(std::string_view object) {
  return {{"id", Shape::text(""), M::required},
          {"object", Shape::constant(object), M::required},
          {"created", unix_time(), M::required},
          {"model", Shape::text(""), M::required},
          {"system_fingerprint", Shape::text("Which version of the server")},
          {"timings", timings()}};
}

Shape with_head(std::string_view object, std::vector<M> more, std::string_view about) {
  return Shape::object(head(object), about).with(std::move(more));
}

}  // namespace

const Shape& chat_request() {
  static const Shape shape = Shape::object(chat_members(), "A conversation that asks for its next message")
                                 .with(sampling())
                                 .with(streaming())
                                 .named("ChatRequest");
  return shape;
}

const Shape& chat_answer() {
  static const Shape shape = [] {
    const Shape said = Shape::object({{"role", Shape::constant("assistant"), M::required},
                                      {"content", Shape::text("null where there are only calls")},
                                      {"reasoning_content", Shape::text("What a thinking model thought")},
                                      {"refusal", Shape::text("")},
                                      {"tool_calls", Shape::list(tool_call(), 1, 1'000'000, "")},
                                      {"function_call", function_call()}},
                                     "");
    const Shape choice = Shape::object({{"index", Shape::integer(0, 15, ""), M::required},
                                        {"message", said, M::required},
                                        {"logprobs", choice_logprobs()},
                                        {"finish_reason", chat_finish(), M::required}},
                                       "");
    return with_head("chat.completion",
                     {{"choices", Shape::list(choice, 1, 16, ""), M::required}, {"usage", chat_usage(), M::required}},
                     "The conversation's next message")
        .named("ChatAnswer");
  }();
  return shape;
}

const Shape& chat_chunk() {
  static const Shape shape = [] {
    const Shape delta =
        Shape::object({{"role", Shape::constant("assistant")},
                       {"content", Shape::text("More of it")},
                       {"reasoning_content", Shape::text("More of it")},
                       {"tool_calls", Shape::list(delta_call(), 1, 1, "")},
                       {"function_call", Shape::object({{"name", Shape::text("")}, {"arguments", Shape::text("")}}, "")}},
                      "");
    const Shape choice = Shape::object({{"index", Shape::integer(0, 15, ""), M::required},
                                        {"delta", delta, M::required},
                                        {"logprobs", choice_logprobs()},
                                        {"finish_reason", chat_finish()}},
                                       "");
    return with_head("chat.completion.chunk", {{"choices", Shape::list(choice, 0, 1, ""), M::required}, {"usage", chat_usage()}},
                     "A piece of the conversation's next message")
        .named("ChatChunk");
  }();
  return shape;
}

const Shape& completion_request() {
  static const Shape shape = [] {
    return Shape::object(
               {{"model", Shape::text("A name from /v1/models; absent: the server's default")},
                {"prompt", text_or_tokens("Text or tokens, or a list of up to 64 of either"), M::required},
                {"max_tokens", max_tokens()},
                {"n", Shape::integer(1, 16, "Answers to each prompt; 1")},
                {"best_of", Shape::integer(1, 16, "No more than n")},
                {"logprobs", Shape::integer(0, 5, "Tell the probabilities of the answer's tokens, and of so many likeliest ones")},
                {"echo", Shape::boolean("Say the prompt again in front of the answer")},
                {"suffix", Shape::text("Refused, unless it is empty")},
                {"response_format", response_format()}},
               "A text that is to go on")
        .with(sampling())
        .with(streaming())
        .named("CompletionRequest");
  }();
  return shape;
}

const Shape& completion_answer() {
  static const Shape shape = [] {
    const Shape top = Shape::map(Shape::number(-1e30, 0, ""), "");
    const Shape logprobs =
        Shape::object({{"tokens", Shape::list(Shape::text(""), 0, 1'000'000, ""), M::required},
                       {"token_logprobs", Shape::list(Shape::number(-1e30, 0, ""), 0, 1'000'000, ""), M::required},
                       {"top_logprobs", Shape::list(top, 0, 1'000'000, "")},
                       {"text_offset", Shape::list(Shape::integer(0, 1'000'000'000, ""), 0, 1'000'000, ""), M::required}},
                      "");
    const Shape choice = Shape::object({{"index", Shape::integer(0, 1023, ""), M::required},
                                        {"text", Shape::text(""), M::required},
                                        {"logprobs", logprobs},
                                        {"finish_reason", Shape::one_of({"stop", "length"}, "")}},
                                       "");
    return with_head("text_completion", {{"choices", Shape::list(choice, 0, 1024, ""), M::required}, {"usage", chat_usage()}},
                     "How a text goes on, or a piece of that")
        .named("CompletionAnswer");
  }();
  return shape;
}

}  // namespace quern::openai_shapes
