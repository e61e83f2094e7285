// What a client of /v1/responses asks for.
#pragma once

#include <functional>
#include <map>

#include "server/openai/request.h"
#include "server/openai/response_store.h"

namespace quern {

// A function in a namespace, which the model knows by both names together.
struct NamespacedFunction {
  std::string space, name;
};

struct ResponseRequest {
  std::string model, previous;
  ResponseItems input;  // new items, each with an id; of those that are referred to what they refer to
  std::string instructions;
  std::vector<Json> tools;                               // functions, as conversations hold them
  std::map<std::string, NamespacedFunction> namespaced;  // of `tools`, by the names that they have there
  std::string ignored_tools, ignored_items;              // types and names of what was left out, for the answer's metadata
  TurnRequest turn;                                      // without prompt and sampling
  OpenAiSampling sampling;
  bool store = true, stream = false;
  bool encrypted_reasoning = false;  // the answer is to carry its reasoning in a form that may be sent back
  Json echo;                         // the members of the request that the answer repeats

  // The conversation that `before` and the new items are together. Errors begin with the place in the request's input.
  Result<Conversation> conversation(const ResponseItems& before);
};

// find_item: for references. Errors begin with the place.
Result<ResponseRequest> parse_response_request(const Json& body,
                                               const std::function<std::shared_ptr<const Json>(const std::string& id)>& find_item);

// Reasoning as an opaque text that a client sends back with its next request, where the server keeps nothing. It is no secret.
std::string pack_reasoning(std::string_view text);
std::optional<std::string> unpack_reasoning(std::string_view packed);

}  // namespace quern
