// Parts of shapes that several of OpenAI's bodies have.
#pragma once

#include "server/shape.h"

namespace quern::openai_shapes {

constexpr int64_t kMostTokens = 2'147'483'647;

Shape text_or_tokens(std::string_view about);  // or a list of either
Shape max_tokens();
Shape reasoning_effort();
Shape unix_time();
Shape function();                       // {"name", "description", "parameters"}
Shape chat_tool();                      // {"type": "function", "function": …}
std::vector<Shape::Member> sampling();  // temperature, top_p, …, seed, stop, logit_bias, and what is accepted without effect
std::vector<Shape::Member> streaming();
Shape chat_usage();
Shape timings();

}  // namespace quern::openai_shapes
