#include "server/ollama/shapes.h"

namespace quern::ollama_shapes {
namespace {

using M = Shape::Member;

constexpr int64_t kMany = 2'147'483'647;

Shape count(std::string_view about) { return Shape::integer(0, int64_t{1} << 53, about); }
Shape nanoseconds() { return Shape::integer(0, INT64_MAX, "Nanoseconds"); }

Shape options() {
  return Shape::object(
             {{"temperature", Shape::number(0, 2, "0: always the likeliest token. Absent: the model's own")},
              {"top_p", Shape::number(0, 1, "Draw from the likeliest tokens that have this probability together")},
              {"top_k", Shape::integer(0, 1'000'000, "Draw from so many of the likeliest tokens; 0: from all")},
              {"min_p", Shape::number(0, 1, "Draw from tokens that are at least so likely, in proportion to the likeliest")},
              {"seed", Shape::integer(INT64_MIN, INT64_MAX, "The same seed, the same answer")},
              {"num_predict", Shape::integer(-2, kMany, "Tokens to make at most; below 0: what the context has room for")},
              {"num_ctx", Shape::integer(1, kMany, "Accepted: the context is the model's")},
              {"repeat_penalty", Shape::number(0.01, 100, "Of tokens that the prompt or the answer has; 1: none")},
              {"presence_penalty", Shape::number(-2, 2, "Of tokens that the answer has")},
              {"frequency_penalty", Shape::number(-2, 2, "Of tokens for each time that the answer has them")},
              {"stop",
               Shape::either({Shape::text(""), Shape::list(Shape::text(""), 0, 64, "")}, "Texts before which the answer ends")}},
             "How the answer is made; others are ignored")
      .named("OllamaOptions");
}

Shape keep_alive() {
  return Shape::either({Shape::number(-1e18, 1e18, ""), Shape::text("")},
                       "How long the model stays after its last use: seconds, or \"5m\"; 0: it goes at once; below 0: for ever");
}

Shape tool_call() {
  const Shape function = Shape::object({{"name", Shape::text("The tool's"), M::required},
                                        {"arguments", Shape::either({Shape::object({}, ""), Shape::text("")}, "")},
                                        {"index", Shape::integer(0, 100'000, "")}},
                                       "");
  return Shape::object({{"function", function, M::required}}, "A call of a tool").named("OllamaToolCall");
}

Shape message() {
  return Shape::object({{"role", Shape::one_of({"system", "user", "assistant", "tool"}, "Whose message it is"), M::required},
                        {"content", Shape::text("What is said")},
                        {"thinking", Shape::text("Of the assistant: what was thought before it")},
                        {"images", Shape::list(Shape::any(""), 0, 1024, "Refused: the models read text only")},
                        {"tool_calls", Shape::list(tool_call(), 0, 256, "Of the assistant")},
                        {"tool_name", Shape::text("Of a tool's result")}},
                       "A message of the conversation")
      .named("OllamaMessage");
}

Shape tool() {
  const Shape function = Shape::object({{"name", Shape::text("Unique among the tools"), M::required},
                                        {"description", Shape::text("For the model")},
                                        {"parameters", Shape::object({}, "JSON Schema of the arguments, which calls are held to")}},
                                       "");
  return Shape::object({{"type", Shape::text("function")}, {"function", function, M::required}}, "A tool that the model may call")
      .named("OllamaTool");
}

std::vector<M> request() {
  return {
      {"model", Shape::text("A name from /api/tags")},
      {"name", Shape::text("Older form of model")},
      {"format", Shape::either({Shape::one_of({"json", ""}, ""), Shape::object({}, "")},
                               "What the answer has to be: any JSON, or what satisfies a schema")},
      {"options", options()},
      {"think", Shape::either({Shape::boolean(""), Shape::one_of({"low", "medium", "high"}, "")},
                              "Whether a thinking model thinks, and how long: 1024 tokens, 8192, or as long as it likes")},
      {"keep_alive", keep_alive()},
      {"logprobs", Shape::boolean("Tell the probabilities of the answer's tokens")},
      {"top_logprobs", Shape::integer(0, 20, "Of so many likeliest tokens at each place")},
      {"stream", Shape::boolean("Answer piece by piece, a line of JSON each; true")},
  };
}

std::vector<M> answer() {
  return {
      {"model", Shape::text("As it was asked for"), M::required},
      {"created_at", Shape::text("2026-01-31T12:00:00.123456Z"), M::required},
      {"done", Shape::boolean("The last piece"), M::required},
      {"done_reason", Shape::one_of({"stop", "length", "load", "unload"}, "Why it ended")},
      {"total_duration", nanoseconds()},
      {"load_duration", nanoseconds()},
      {"prompt_eval_count", count("Tokens of the prompt")},
      {"prompt_eval_duration", nanoseconds()},
      {"eval_count", count("Tokens of the answer")},
      {"eval_duration", nanoseconds()},
      {"logprobs", Shape::list(Shape::object({}, ""), 0, 1'000'000, "")},
  };
}

Shape details() {
  return Shape::object({{"parent_model", Shape::text(""), M::required},
                        {"format", Shape::text("safetensors or gguf"), M::required},
                        {"family", Shape::text(""), M::required},
                        {"families", Shape::list(Shape::text(""), 0, 8, ""), M::required},
                        {"parameter_size", Shape::text("79.7B"), M::required},
                        {"quantization_level", Shape::text("As far as its files say"), M::required}},
                       "")
      .named("OllamaModelDetails");
}

std::vector<M> model() {
  return {{"name", Shape::text(""), M::required},
          {"model", Shape::text(""), M::required},
          {"modified_at", Shape::text(""), M::required},
          {"size", count("Bytes"), M::required},
          {"digest", Shape::text("Of the files' place and time, not of their content"), M::required},
          {"details", details(), M::required}};
}

Shape list_of(const Shape& item, std::string_view name) {
  return Shape::object({{"models", Shape::list(item, 0, 100'000, ""), M::required}}, "Models").named(name);
}

Shape vector() { return Shape::list(Shape::number(-1, 1, ""), 1, 1'000'000, "Its Euclidean length is 1"); }

}  // namespace

const Shape& chat_request() {
  static const Shape shape =
      Shape::object(
          {{"messages", Shape::list(message(), 0, 100'000,
                                    "The conversation so far; none: the model is loaded, or with keep_alive 0 let go of")},
           {"tools", Shape::list(tool(), 0, 1024, "What the model may call")}},
          "What is asked of /api/chat")
          .with(request())
          .named("OllamaChatRequest");
  return shape;
}

const Shape& generate_request() {
  static const Shape shape =
      Shape::object(
          {{"prompt", Shape::text("What the user says; with raw, what the model goes on with")},
           {"system", Shape::text("The system prompt")},
           {"raw", Shape::boolean("The prompt is taken as it is")},
           {"template", Shape::text("Refused: the model's own format is used")},
           {"suffix", Shape::text("Refused: the models do not fill in")},
           {"context", Shape::list(Shape::any(""), 0, 10'000'000, "Refused: an earlier answer is gone on from by /api/chat")},
           {"images", Shape::list(Shape::any(""), 0, 1024, "Refused: the models read text only")}},
          "What is asked of /api/generate")
          .with(request())
          .named("OllamaGenerateRequest");
  return shape;
}

const Shape& chat_answer() {
  static const Shape shape =
      Shape::object({{"message", message(), M::required}}, "An answer, or a piece of one").with(answer()).named("OllamaChatAnswer");
  return shape;
}

const Shape& generate_answer() {
  static const Shape shape = Shape::object({{"response", Shape::text("What is said"), M::required}, {"thinking", Shape::text("")}},
                                           "An answer, or a piece of one")
                                 .with(answer())
                                 .named("OllamaGenerateAnswer");
  return shape;
}

const Shape& embed_request() {
  static const Shape shape =
      Shape::object({{"model", Shape::text("A name from /api/tags"), M::required},
                     {"input", Shape::either({Shape::text(""), Shape::list(Shape::text(""), 1, 1024, "")}, "A text, or several"),
                      M::required},
                     {"keep_alive", keep_alive()}},
                    "What is asked of /api/embed")
          .named("OllamaEmbedRequest");
  return shape;
}

const Shape& embed_answer() {
  static const Shape shape = Shape::object({{"model", Shape::text(""), M::required},
                                            {"embeddings", Shape::list(vector(), 1, 1024, ""), M::required},
                                            {"total_duration", nanoseconds(), M::required},
                                            {"load_duration", nanoseconds(), M::required},
                                            {"prompt_eval_count", count("Tokens"), M::required}},
                                           "Embeddings: mean final hidden states")
                                 .named("OllamaEmbedAnswer");
  return shape;
}

const Shape& embeddings_request() {
  static const Shape shape = Shape::object({{"model", Shape::text("A name from /api/tags"), M::required},
                                            {"prompt", Shape::text("The text"), M::required},
                                            {"keep_alive", keep_alive()}},
                                           "What is asked of /api/embeddings, the older form of /api/embed")
                                 .named("OllamaEmbeddingsRequest");
  return shape;
}

const Shape& embeddings_answer() {
  static const Shape shape = Shape::object({{"embedding", vector(), M::required}}, "").named("OllamaEmbeddingsAnswer");
  return shape;
}

const Shape& show_request() {
  static const Shape shape =
      Shape::object({{"model", Shape::text("A name from /api/tags")}, {"name", Shape::text("Older form of model")}}, "")
          .named("OllamaShowRequest");
  return shape;
}

const Shape& show_answer() {
  static const Shape shape =
      Shape::object({{"modelfile", Shape::text(""), M::required},
                     {"parameters", Shape::text(""), M::required},
                     {"template", Shape::text(""), M::required},
                     {"details", details(), M::required},
                     {"model_info", Shape::object({}, "ARCHITECTURE.context_length and others"), M::required},
                     {"capabilities", Shape::list(Shape::text(""), 0, 16, "completion, tools, embedding, thinking"), M::required},
                     {"modified_at", Shape::text(""), M::required}},
                    "A model")
          .named("OllamaModel");
  return shape;
}

const Shape& tags_answer() {
  static const Shape shape = list_of(Shape::object(model(), ""), "OllamaModels");
  return shape;
}

const Shape& running_answer() {
  static const Shape shape = list_of(Shape::object(model(), "")
                                         .with({{"size_vram", count("0: models run on the processor"), M::required},
                                                {"expires_at", Shape::text("When it goes, unless it is used"), M::required},
                                                {"context_length", count("Tokens"), M::required}}),
                                     "OllamaRunningModels");
  return shape;
}

const Shape& version_answer() {
  static const Shape shape = Shape::object({{"version", Shape::text("Of Ollama, whose API this is"), M::required},
                                            {"quern", Shape::text("This server's own"), M::required}},
                                           "")
                                 .named("OllamaVersion");
  return shape;
}

const Shape& error() {
  static const Shape shape =
      Shape::object({{"error", Shape::text("What is wrong, and where"), M::required}}, "What went wrong").named("OllamaError");
  return shape;
}

}  // namespace quern::ollama_shapes
