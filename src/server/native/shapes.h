// What the bodies of the server's own API hold: requests, which are checked against these, and answers.
#pragma once

#include "server/shape.h"

namespace quern::native_shapes {

const Shape& tokenize_request();
const Shape& tokenize_answer();
const Shape& detokenize_request();
const Shape& detokenize_answer();
const Shape& template_request();
const Shape& template_answer();
const Shape& props_answer();

const Shape& session();
const Shape& sessions();  // a list of them
const Shape& create_request();
const Shape& fork_request();
const Shape& restore_request();
const Shape& append_request();
const Shape& turn_request();
const Shape& turn_answer();
const Shape& turn_event();
const Shape& session_deleted();

}  // namespace quern::native_shapes
