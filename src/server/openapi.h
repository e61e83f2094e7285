// The server's API as an OpenAPI 3.1 document, made of the shapes that requests are checked against.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/context.h"
#include "server/http/router.h"
#include "server/shape.h"

namespace quern {

// What a route takes and gives.
struct Operation {
  std::string method, path;  // as the router has them; {name...} is told as {name}
  std::string tag, summary;
  const Shape* request = nullptr;  // of the body; nullptr: none
  const Shape* answer = nullptr;   // of status 200; nullptr: not JSON
  // What an answer of several pieces is made of, and how it is sent; nullptr: it is one piece always.
  const Shape* piece = nullptr;
  std::string_view pieces = "text/event-stream";
  std::string_view other_answer = "";  // the type of an answer that is not JSON
  const Shape* error = nullptr;        // nullptr: as plain_problem has it
};

std::vector<Operation> openai_operations();

// Of everything that the server answers.
std::vector<Operation> all_operations();

Json openapi_document(const std::vector<Operation>& operations, std::string_view version);

// GET /openapi.json: the document of all_operations().
void add_openapi_route(Router& router, const ServerContext& context);

}  // namespace quern
