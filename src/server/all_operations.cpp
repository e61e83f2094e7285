// Everything that the server answers, for the OpenAPI document.
#include "server/anthropic/shapes.h"
#include "server/native/shapes.h"
#include "server/ollama/shapes.h"
#include "server/openapi.h"

namespace quern {
namespace {

void add_anthropic(std::vector<Operation>& all) {
  using namespace anthropic_shapes;
  const std::string tag = "Anthropic";
  all.push_back({.method = "POST",
                 .path = "/v1/messages",
                 .tag = tag,
                 .summary = "A conversation's next message",
                 .request = &message_request(),
                 .answer = &message(),
                 .piece = &event(),
                 .error = &error()});
  all.push_back({.method = "POST",
                 .path = "/v1/messages/count_tokens",
                 .tag = tag,
                 .summary = "How many tokens such a request has",
                 .request = &count_request(),
                 .answer = &count(),
                 .error = &error()});
}

void add_ollama(std::vector<Operation>& all) {
  using namespace ollama_shapes;
  const auto add = [&](Operation operation) {
    operation.tag = "Ollama";
    operation.error = &error();
    operation.pieces = "application/x-ndjson";
    all.push_back(std::move(operation));
  };
  add({.method = "POST",
       .path = "/api/chat",
       .summary = "A conversation's next message",
       .request = &chat_request(),
       .answer = &chat_answer(),
       .piece = &chat_answer()});
  add({.method = "POST",
       .path = "/api/generate",
       .summary = "How a prompt goes on",
       .request = &generate_request(),
       .answer = &generate_answer(),
       .piece = &generate_answer()});
  add({.method = "POST",
       .path = "/api/embed",
       .summary = "Embeddings of texts",
       .request = &embed_request(),
       .answer = &embed_answer()});
  add({.method = "POST",
       .path = "/api/embeddings",
       .summary = "The embedding of a text",
       .request = &embeddings_request(),
       .answer = &embeddings_answer()});
  add({.method = "POST", .path = "/api/show", .summary = "What a model is", .request = &show_request(), .answer = &show_answer()});
  add({.method = "GET", .path = "/api/tags", .summary = "The models there are", .answer = &tags_answer()});
  add({.method = "GET", .path = "/api/ps", .summary = "The models in memory", .answer = &running_answer()});
  add({.method = "GET", .path = "/api/version", .summary = "The version", .answer = &version_answer()});
  for (const char* path : {"/api/pull", "/api/push", "/api/create", "/api/copy"})
    add({.method = "POST", .path = path, .summary = "Refused: models are not changed over HTTP"});
  add({.method = "DELETE", .path = "/api/delete", .summary = "Refused: models are not changed over HTTP"});
}

void add_sessions(std::vector<Operation>& all) {
  using namespace native_shapes;
  const auto add = [&](const char* method, const std::string& more, const char* summary, const Shape* request, const Shape* answer,
                       const Shape* piece = nullptr) {
    all.push_back({.method = method,
                   .path = "/v1/sessions" + more,
                   .tag = "Sessions",
                   .summary = summary,
                   .request = request,
                   .answer = answer,
                   .piece = piece});
  };
  add("POST", "", "Begins a session", &create_request(), &session());
  add("GET", "", "The sessions there are", nullptr, &sessions());
  add("GET", "/{id}", "One of them", nullptr, &session());
  add("DELETE", "/{id}", "Ends it, and deletes what was saved", nullptr, &session_deleted());
  add("POST", "/{id}/fork", "Others with the same past", &fork_request(), &sessions());
  add("POST", "/{id}/save", "Keeps it beyond the process", nullptr, &session());
  add("POST", "/{id}/restore", "Takes it up again", &restore_request(), &session());
  add("POST", "/{id}/append", "Reads more", &append_request(), &session());
  add("POST", "/{id}/turn", "Reads more, and answers", &turn_request(), &turn_answer(), &turn_event());
}

void add_own(std::vector<Operation>& all) {
  using namespace native_shapes;
  static const Shape document = Shape::object({}, "This document");
  static const Shape health = Shape::object(
      {{"status", Shape::text("ok; loading or draining, with status 503"), Shape::Member::required}}, "How the server is doing");
  const auto add = [&](Operation operation) {
    operation.tag = "Server";
    all.push_back(std::move(operation));
  };
  add({.method = "POST",
       .path = "/tokenize",
       .summary = "Text as tokens",
       .request = &tokenize_request(),
       .answer = &tokenize_answer()});
  add({.method = "POST",
       .path = "/detokenize",
       .summary = "Tokens as text",
       .request = &detokenize_request(),
       .answer = &detokenize_answer()});
  add({.method = "POST",
       .path = "/apply-template",
       .summary = "A conversation as the prompt that a model reads",
       .request = &template_request(),
       .answer = &template_answer()});
  add({.method = "GET", .path = "/props", .summary = "What the server and its models are", .answer = &props_answer()});
  add({.method = "GET", .path = "/health", .summary = "Whether it serves", .answer = &health});
  add({.method = "GET", .path = "/metrics", .summary = "Numbers for Prometheus", .other_answer = "text/plain"});
  add({.method = "GET", .path = "/openapi.json", .summary = "This document", .answer = &document});
}

}  // namespace

std::vector<Operation> all_operations() {
  std::vector<Operation> all = openai_operations();
  add_anthropic(all);
  add_ollama(all);
  add_sessions(all);
  add_own(all);
  return all;
}

}  // namespace quern
