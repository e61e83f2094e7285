#include "server/native/shapes.h"

namespace quern::native_shapes {
namespace {

using M = Shape::Member;

constexpr int64_t kMany = 2'147'483'647;

Shape count(std::string_view about) { return Shape::integer(0, int64_t{1} << 53, about); }
M model() { return {"model", Shape::text("A name from /v1/models; absent: the server's default")}; }
Shape tokens(std::string_view about) { return Shape::list(Shape::integer(0, kMany, ""), 0, 10'000'000, about); }

Shape message() {
  const Shape call = Shape::object({{"function",
                                     Shape::object({{"name", Shape::text(""), M::required},
                                                    {"arguments", Shape::either({Shape::object({}, ""), Shape::text("")}, "")}},
                                                   ""),
                                     M::required}},
                                   "");
  return Shape::object(
             {{"role", Shape::one_of({"system", "developer", "user", "assistant", "tool"}, "Whose message it is"), M::required},
              {"content", Shape::text("What is said")},
              {"reasoning_content", Shape::text("Of the assistant: what was thought before it")},
              {"tool_calls", Shape::list(call, 0, 256, "Of the assistant")}},
             "A message of the conversation")
      .named("Message");
}
M messages(std::string_view about) { return {"messages", Shape::list(message(), 1, 100'000, about)}; }
M tools() { return {"tools", Shape::list(Shape::object({}, ""), 0, 1024, "What the model may call, as in OpenAI's API")}; }

// What is put behind a session's past; one of them.
std::vector<M> input() {
  return {messages("Messages that are new"),
          tools(),
          {"text", Shape::text("Text that is new; no special tokens are found in it")},
          {"tokens", tokens("Tokens that are new")}};
}

}  // namespace

const Shape& tokenize_request() {
  static const Shape shape =
      Shape::object({{"content", Shape::text("The text"), M::required},
                     {"parse_special", Shape::boolean("Special tokens in it are those; false: they are text")},
                     {"with_pieces", Shape::boolean("Tokens with their text, or their bytes where they are no text")},
                     model()},
                    "")
          .named("TokenizeRequest");
  return shape;
}
const Shape& tokenize_answer() {
  static const Shape shape =
      Shape::object({{"tokens", Shape::list(Shape::any("An id, or {id, piece}"), 0, 10'000'000, ""), M::required},
                     {"count", count("Of tokens"), M::required}},
                    "")
          .named("Tokens");
  return shape;
}
const Shape& detokenize_request() {
  static const Shape shape = Shape::object({{"tokens", tokens(""), M::required}, model()}, "").named("DetokenizeRequest");
  return shape;
}
const Shape& detokenize_answer() {
  static const Shape shape = Shape::object({{"content", Shape::text("The text"), M::required}}, "").named("TokensText");
  return shape;
}

const Shape& template_request() {
  static const Shape shape = Shape::object({{"messages", Shape::list(message(), 1, 100'000, ""), M::required},
                                            tools(),
                                            {"add_generation_prompt", Shape::boolean("The assistant's turn is opened; true")},
                                            model()},
                                           "")
                                 .named("TemplateRequest");
  return shape;
}
const Shape& template_answer() {
  static const Shape piece = Shape::object(
      {{"text", Shape::text(""), M::required}, {"trusted", Shape::boolean("Special tokens in it are those"), M::required}}, "");
  static const Shape shape = Shape::object({{"prompt", Shape::text("What the model reads"), M::required},
                                            {"pieces", Shape::list(piece, 0, 1'000'000, "The same, in pieces"), M::required}},
                                           "")
                                 .named("Prompt");
  return shape;
}

const Shape& props_answer() {
  static const Shape model = Shape::object({{"name", Shape::text(""), M::required},
                                            {"aliases", Shape::list(Shape::text(""), 0, 1024, ""), M::required},
                                            {"status", Shape::one_of({"absent", "loading", "loaded"}, ""), M::required},
                                            {"pinned", Shape::boolean(""), M::required},
                                            {"architecture", Shape::text(""), M::required},
                                            {"format", Shape::text("safetensors or gguf"), M::required},
                                            {"quantization", Shape::text("As far as its files say"), M::required},
                                            {"parameters", count(""), M::required},
                                            {"context", count("Tokens"), M::required},
                                            {"thinking", Shape::boolean("It thinks before it answers"), M::required},
                                            {"bytes", count("Of its files"), M::required},
                                            {"resident_bytes", count("While it is loaded"), M::required}},
                                           "");
  static const Shape shape = Shape::object({{"server", Shape::text("quern"), M::required},
                                            {"version", Shape::text(""), M::required},
                                            {"default_model", Shape::text("")},
                                            {"sessions_are_saved", Shape::boolean(""), M::required},
                                            {"models", Shape::list(model, 0, 100'000, ""), M::required}},
                                           "What this server is")
                                 .named("Props");
  return shape;
}

const Shape& session() {
  static const Shape shape = Shape::object({{"id", Shape::text(""), M::required},
                                            {"object", Shape::constant("session"), M::required},
                                            {"model", Shape::text(""), M::required},
                                            {"tokens", count("That it stands for"), M::required},
                                            {"live", Shape::boolean("In memory"), M::required},
                                            {"saved", Shape::boolean("On disk"), M::required},
                                            {"busy", Shape::boolean("A turn is going on"), M::required},
                                            {"bytes", count("Its own, without what it shares with others"), M::required},
                                            {"bytes_saved", count("Of its file"), M::required}},
                                           "A session")
                                 .named("Session");
  return shape;
}
const Shape& sessions() {
  static const Shape shape =
      Shape::object(
          {{"object", Shape::constant("list"), M::required}, {"data", Shape::list(session(), 0, 1'000'000, ""), M::required}}, "")
          .named("Sessions");
  return shape;
}
const Shape& create_request() {
  static const Shape shape =
      Shape::object({{"id", Shape::text("1 to 64 letters, digits, '.', '_', '-'; absent: a new one")}, model()},
                    "A session that is empty, or has read something")
          .with(input())
          .named("CreateSessionRequest");
  return shape;
}
const Shape& fork_request() {
  static const Shape shape = Shape::object({{"count", Shape::integer(1, 1024, "Sessions to make; 1")},
                                            {"ids", Shape::list(Shape::text(""), 1, 1024, "Their names; absent: new ones")}},
                                           "")
                                 .named("ForkSessionRequest");
  return shape;
}
const Shape& restore_request() {
  static const Shape shape = Shape::object({model()}, "").named("RestoreSessionRequest");
  return shape;
}
const Shape& append_request() {
  static const Shape shape = Shape::object(input(), "What the session reads").named("AppendSessionRequest");
  return shape;
}

const Shape& turn_request() {
  static const Shape choice =
      Shape::either({Shape::one_of({"auto", "none", "required"}, ""), Shape::object({{"name", Shape::text(""), M::required}}, "")},
                    "Whether the model calls a tool, and which");
  static const Shape shape =
      Shape::object(
          {{"max_tokens", Shape::integer(0, kMany, "Tokens to make at most; absent: what the context has room for")},
           {"temperature", Shape::number(0, 2, "0: always the likeliest token. Absent: the model's own")},
           {"top_p", Shape::number(0, 1, "Draw from the likeliest tokens that have this probability together")},
           {"top_k", Shape::integer(0, 1'000'000, "Draw from so many of the likeliest tokens; 0: from all")},
           {"min_p", Shape::number(0, 1, "Draw from tokens that are at least so likely, in proportion to the likeliest")},
           {"seed", Shape::integer(INT64_MIN, INT64_MAX, "The same seed, the same answer")},
           {"repetition_penalty", Shape::number(0.01, 100, "Of tokens that the prompt or the answer has; 1: none")},
           {"presence_penalty", Shape::number(-2, 2, "Of tokens that the answer has")},
           {"frequency_penalty", Shape::number(-2, 2, "Of tokens for each time that the answer has them")},
           {"stop", Shape::list(Shape::text(""), 0, 64, "Texts before which the answer ends")},
           {"reasoning_tokens", Shape::integer(0, kMany, "That a thinking model may think; past them its reasoning is closed")},
           {"schema", Shape::object({}, "JSON Schema of the answer")},
           {"tool_choice", choice},
           {"parallel_tool_calls", Shape::boolean("Several calls in one answer; true")},
           {"stream", Shape::boolean("Answer piece by piece, as server-sent events")}},
          "What the session reads, and how it answers; with nothing to read it goes on where it is")
          .with(input())
          .named("SessionTurnRequest");
  return shape;
}
const Shape& turn_answer() {
  static const Shape call = Shape::object({{"id", Shape::text(""), M::required},
                                           {"name", Shape::text(""), M::required},
                                           {"arguments", Shape::object({}, ""), M::required}},
                                          "");
  static const Shape usage = Shape::object({{"prompt_tokens", count(""), M::required},
                                            {"reused_tokens", count("That the session held"), M::required},
                                            {"tokens", count("Of the answer"), M::required},
                                            {"reasoning_tokens", count(""), M::required},
                                            {"prefill_s", Shape::number(0, 1e9, ""), M::required},
                                            {"decode_s", Shape::number(0, 1e9, ""), M::required}},
                                           "");
  static const Shape shape = Shape::object({{"type", Shape::constant("end"), M::required},
                                            {"text", Shape::text("What is said"), M::required},
                                            {"thinking", Shape::text(""), M::required},
                                            {"calls", Shape::list(call, 0, 100'000, ""), M::required},
                                            {"finish", Shape::one_of({"stop", "length", "context"}, ""), M::required},
                                            {"stop", Shape::text("The text that ended it")},
                                            {"usage", usage, M::required},
                                            {"session", session(), M::required}},
                                           "An answer")
                                 .named("SessionTurn");
  return shape;
}
const Shape& turn_event() {
  static const Shape shape =
      Shape::object({{"type", Shape::one_of({"loading", "reading", "thinking", "text", "call", "arguments", "end", "error"}, ""),
                      M::required},
                     {"text", Shape::text("Of thinking and text: more of it; of end: all of it")},
                     {"index", Shape::integer(0, 100'000, "Of the call")},
                     {"id", Shape::text("Of the call")},
                     {"name", Shape::text("Of the call: the tool's")},
                     {"json", Shape::text("More of the call's arguments")},
                     {"done", count("Of reading: tokens read; of loading: bytes of the model in memory")},
                     {"total", count("Of those, how many there are")},
                     {"message", Shape::text("What went wrong")}},
                    "A piece of an answer; the last is SessionTurn, or an error")
          .named("SessionTurnEvent");
  return shape;
}
const Shape& session_deleted() {
  static const Shape shape = Shape::object({{"id", Shape::text(""), M::required},
                                            {"object", Shape::constant("session"), M::required},
                                            {"deleted", Shape::boolean(""), M::required}},
                                           "")
                                 .named("SessionDeleted");
  return shape;
}

}  // namespace quern::native_shapes
