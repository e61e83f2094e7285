// What the bodies of Anthropic's API hold: requests, which are checked against these, and answers.
#pragma once

#include "server/shape.h"

namespace quern::anthropic_shapes {

const Shape& message_request();
const Shape& count_request();
const Shape& message();
const Shape& event();
const Shape& count();
const Shape& error();

}  // namespace quern::anthropic_shapes
