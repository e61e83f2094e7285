// What the bodies of OpenAI's API hold: of requests, which are checked against these, and of answers.
#pragma once

#include "server/shape.h"

namespace quern::openai_shapes {

const Shape& chat_request();
const Shape& chat_answer();
const Shape& chat_chunk();
const Shape& completion_request();
const Shape& completion_answer();
const Shape& response_request();
const Shape& response_answer();
const Shape& response_event();
const Shape& response_deleted();
const Shape& response_items();
const Shape& response_input_tokens();
const Shape& embedding_request();
const Shape& embedding_answer();
const Shape& model();
const Shape& models();
const Shape& error();

}  // namespace quern::openai_shapes
