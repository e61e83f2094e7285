// What OpenAI's routes take and give, for the OpenAPI document.
#include "server/openai/shapes.h"
#include "server/openapi.h"

namespace quern {

std::vector<Operation> openai_operations() {
  using namespace openai_shapes;
  const std::string tag = "OpenAI";
  std::vector<Operation> all = {
      {.method = "POST",
       .path = "/v1/chat/completions",
       .tag = tag,
       .summary = "A conversation's next message",
       .request = &chat_request(),
       .answer = &chat_answer(),
       .piece = &chat_chunk()},
      {.method = "POST",
       .path = "/v1/completions",
       .tag = tag,
       .summary = "How a text goes on",
       .request = &completion_request(),
       .answer = &completion_answer(),
       .piece = &completion_answer()},
      {.method = "POST",
       .path = "/v1/embeddings",
       .tag = tag,
       .summary = "Embeddings: means of final hidden states",
       .request = &embedding_request(),
       .answer = &embedding_answer()},
      {.method = "GET", .path = "/v1/models", .tag = tag, .summary = "The models there are", .answer = &models()},
      {.method = "GET", .path = "/v1/models/{id...}", .tag = tag, .summary = "One of them", .answer = &model()},
      {.method = "POST",
       .path = "/v1/responses",
       .tag = tag,
       .summary = "What comes next in a conversation",
       .request = &response_request(),
       .answer = &response_answer(),
       .piece = &response_event()},
      {.method = "POST",
       .path = "/v1/responses/input_tokens",
       .tag = tag,
       .summary = "How many tokens such a request has",
       .request = &response_request(),
       .answer = &response_input_tokens()},
      {.method = "GET",
       .path = "/v1/responses/{id}",
       .tag = tag,
       .summary = "An answer that is kept",
       .answer = &response_answer()},
      {.method = "DELETE",
       .path = "/v1/responses/{id}",
       .tag = tag,
       .summary = "Keeps it no longer",
       .answer = &response_deleted()},
      {.method = "GET",
       .path = "/v1/responses/{id}/input_items",
       .tag = tag,
       .summary = "What it answered",
       .answer = &response_items()},
  };
  for (Operation& operation : all) operation.error = &error();
  return all;
}

}  // namespace quern
