// Parts that requests of OpenAI's API have in common, read from JSON that its shape has been checked against. Errors begin with the place.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "server/sampling_fields.h"
#include "server/turn.h"

namespace quern {

// How tokens are drawn; the model's defaults stand for what is not said.
struct OpenAiSampling {
  SamplingFields fields;
  std::vector<std::pair<int32_t, float>> logit_bias;
  SamplingParams over(const SamplingParams& defaults) const;
};
Result<OpenAiSampling> read_sampling(const Json& body);

std::vector<std::string> read_stop(const Json& body);  // empty ones left out

// What reasoning_effort, thinking_budget and enable_thinking come to: tokens that may be thought; nothing: any number.
std::optional<int64_t> reasoning_budget(const std::optional<std::string>& effort, const Json& body);

// response_format, or text.format of /v1/responses, which has the schema's members beside the type: the schema of the answer.
Result<std::optional<Json>> read_answer_schema(const Json* format, std::string_view place);

// Text, tokens, or a list of them: `prompt` and `input`.
using TextOrTokens = std::variant<std::string, std::vector<int32_t>>;
Result<std::vector<TextOrTokens>> read_prompts(const Json& value, std::string_view name, size_t most);

struct OpenAiChoice {
  ToolChoice choice;
  std::optional<std::vector<std::string>> allowed;
};
// tool_choice in both spellings, {"type": "function", "function": {"name"}} and {"type": "function", "name"}. known: of the tools that are
// there; others are refused.
Result<OpenAiChoice> read_tool_choice(const Json* choice, const std::vector<Json>& tools);

}  // namespace quern
