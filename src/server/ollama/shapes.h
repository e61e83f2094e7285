// What the bodies of Ollama's API hold: requests, which are checked against these, and answers.
#pragma once

#include "server/shape.h"

namespace quern::ollama_shapes {

const Shape& chat_request();
const Shape& chat_answer();
const Shape& generate_request();
const Shape& generate_answer();
const Shape& embed_request();
const Shape& embed_answer();
const Shape& embeddings_request();
const Shape& embeddings_answer();
const Shape& show_request();
const Shape& show_answer();
const Shape& tags_answer();
const Shape& running_answer();
const Shape& version_answer();
const Shape& error();

}  // namespace quern::ollama_shapes
