// Who answers which of OpenAI's paths, and what these answers have in common.
#pragma once

#include <optional>

#include "server/context.h"
#include "server/openai/error.h"
#include "server/openai/response_store.h"
#include "server/openai/run.h"

namespace quern {

void handle_chat(ServerContext& context, const ServerRequest& request, ServerResponse& response);
void handle_completion(ServerContext& context, const ServerRequest& request, ServerResponse& response);
void handle_embeddings(ServerContext& context, const ServerRequest& request, ServerResponse& response);
void handle_models(ServerContext& context, const ServerRequest& request, ServerResponse& response);
void handle_model(ServerContext& context, const ServerRequest& request, ServerResponse& response);

void handle_response(ServerContext& context, ResponseStore& store, const ServerRequest& request, ServerResponse& response);
void handle_response_tokens(ServerContext& context, ResponseStore& store, const ServerRequest& request, ServerResponse& response);
void handle_stored_response(ResponseStore& store, const ServerRequest& request, ServerResponse& response);
void handle_response_items(ResponseStore& store, const ServerRequest& request, ServerResponse& response);
void handle_deleted_response(ResponseStore& store, const ServerRequest& request, ServerResponse& response);

// Of an update that ends a turn without an answer: why.
std::optional<OpenAiError> failure_of(const TurnUpdate& update);
// A comment that says how much of the prompt was read, or of the model has come from the disk, where the update says so; false: nobody listens.
bool tell_progress(OpenAiRun& run, const TurnUpdate& update);
// data: {"error": …}, as chat and completions tell in mid-stream.
void error_as_data(EventStream& events, const OpenAiError& error);

}  // namespace quern
