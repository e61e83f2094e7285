// /v1/responses.
#include "server/openai/shapes.h"
#include "server/openai/shared_shapes.h"

namespace quern::openai_shapes {
namespace {

using M = Shape::Member;

Shape content_part() {
  return Shape::object(
             {{"type",
               Shape::text(
                   "input_text, output_text, reasoning_text, summary_text or refusal; others are refused, and named in what a tool gave back"),
               M::required},
              {"text", Shape::text("")},
              {"refusal", Shape::text("")}},
             "A part of what an item says")
      .named("ResponseContentPart");
}
Shape content(std::string_view about) { return Shape::either({Shape::text(""), Shape::list(content_part(), 0, 1024, "")}, about); }

Shape input_item() {
  return Shape::object(
             {{"type",
               Shape::text("message (also where it is absent), function_call, function_call_output, reasoning, item_reference, "
                           "custom_tool_call, custom_tool_call_output; others are left out, with a note")},
              {"role", Shape::one_of({"system", "developer", "user", "assistant"}, "Of a message")},
              {"content", content("Of a message; of reasoning, where it is told")},
              {"id", Shape::text("Of an item_reference: which")},
              {"status", Shape::text("")},
              {"call_id", Shape::text("Of a call and its output")},
              {"name", Shape::text("Of a call: the tool's")},
              {"namespace", Shape::text("Of a call: where the tool is in one")},
              {"arguments", Shape::text("Of a call: a JSON object as text")},
              {"input", Shape::text("Of a custom call")},
              {"output",
               Shape::either({Shape::text(""), Shape::list(content_part(), 0, 1024, ""), Shape::object({}, "")}, "Of a call")},
              {"summary", Shape::list(content_part(), 0, 1024, "Of reasoning")},
              {"encrypted_content", Shape::text("Of reasoning, as this server gave it")}},
             "Something said, called or thought before")
      .named("ResponseInputItem");
}

Shape tool() {
  const auto with = [](std::string_view types, std::vector<M> more) {
    std::vector<M> members = {
        {"type", Shape::text(fmt::format("{}; tools of other types are left out, with a note in the answer's metadata", types)),
         M::required},
        {"name", Shape::text("Unique among the tools")},
        {"description", Shape::text("For the model")},
        {"parameters", Shape::object({}, "JSON Schema of the arguments, which calls are held to")},
        {"strict", Shape::boolean("Schemas are kept to in any case")}};
    members.insert(members.end(), more.begin(), more.end());
    return Shape::object(std::move(members), "A tool");
  };
  const Shape inner = with("function", {}).named("ResponseNamespacedTool");
  return with("function or namespace", {{"tools", Shape::list(inner, 0, 1024, "Of a namespace: its functions")}})
      .named("ResponseTool");
}

Shape text_options() {
  return Shape::object({{"format", Shape::object({{"type", Shape::one_of({"text", "json_object", "json_schema"}, ""), M::required},
                                                  {"name", Shape::text("Not shown to the model")},
                                                  {"schema", Shape::any("What the answer has to satisfy")},
                                                  {"strict", Shape::boolean("Schemas are kept to in any case")}},
                                                 "What the answer has to be")},
                        {"verbosity", Shape::text("Accepted")}},
                       "");
}

std::vector<M> request_members() {
  return {
      {"model", Shape::text("A name from /v1/models; absent: the server's default")},
      {"input", Shape::either({Shape::text(""), Shape::list(input_item(), 0, 100'000, "")}, "What is new in the conversation")},
      {"instructions", Shape::text("A system message in front of all")},
      {"previous_response_id", Shape::text("The answer that this goes on from, if the server still keeps it")},
      {"store", Shape::boolean("Keep the answer for previous_response_id, as long as there is room; true")},
      {"tools", Shape::list(tool(), 0, 1024, "What the model may call")},
      {"tool_choice", Shape::either({Shape::one_of({"none", "auto", "required"}, ""), Shape::object({}, "")},
                                    "none, auto, required, a function to call, or the tools that are allowed")},
      {"parallel_tool_calls", Shape::boolean("Several calls in one answer; true")},
      {"text", text_options()},
      {"reasoning",
       Shape::object({{"effort", reasoning_effort()}, {"summary", Shape::text("Accepted: reasoning is told whole")}}, "")},
      {"include",
       Shape::list(Shape::text(""), 0, 64, "reasoning.encrypted_content, message.output_text.logprobs; others are accepted")},
      {"max_output_tokens", max_tokens()},
      {"top_logprobs", Shape::integer(0, 20, "Of so many likeliest tokens at each place")},
      {"truncation", Shape::one_of({"auto", "disabled"}, "A conversation that is too long is refused in any case")},
      {"background", Shape::boolean("true is refused")},
      {"prompt_cache_key", Shape::text("Accepted: prompts share their beginnings in any case")},
  };
}

}  // namespace

const Shape& response_request() {
  static const Shape shape = Shape::object(request_members(), "What is new in a conversation, asking for what comes next")
                                 .with(sampling())
                                 .with(streaming())
                                 .named("ResponseRequest");
  return shape;
}

const Shape& response_answer() {
  static const Shape shape = [] {
    const auto count = Shape::integer(0, int64_t{1} << 53, "");
    const Shape usage =
        Shape::object({{"input_tokens", count, M::required},
                       {"input_tokens_details", Shape::object({{"cached_tokens", count, M::required}}, ""), M::required},
                       {"output_tokens", count, M::required},
                       {"output_tokens_details", Shape::object({{"reasoning_tokens", count, M::required}}, ""), M::required},
                       {"total_tokens", count, M::required}},
                      "What an answer took");
    const Shape part = Shape::object(
        {{"type", Shape::one_of({"output_text", "reasoning_text"}, ""), M::required}, {"text", Shape::text(""), M::required}}, "");
    const Shape item = Shape::object({{"type", Shape::one_of({"message", "function_call", "reasoning"}, ""), M::required},
                                      {"id", Shape::text(""), M::required},
                                      {"status", Shape::one_of({"in_progress", "completed", "incomplete"}, ""), M::required},
                                      {"role", Shape::constant("assistant")},
                                      {"content", Shape::list(part, 0, 1, "")},
                                      {"summary", Shape::list(part, 0, 0, "")},
                                      {"encrypted_content", Shape::text("The reasoning once more, to be sent back")},
                                      {"call_id", Shape::text("")},
                                      {"name", Shape::text("")},
                                      {"namespace", Shape::text("Of a call of a function in one")},
                                      {"arguments", Shape::text("")}},
                                     "Something said, called or thought")
                           .named("ResponseOutputItem");
    return Shape::object(
               {{"id", Shape::text(""), M::required},
                {"object", Shape::constant("response"), M::required},
                {"created_at", unix_time(), M::required},
                {"status", Shape::one_of({"in_progress", "completed", "incomplete", "failed"}, ""), M::required},
                {"model", Shape::text(""), M::required},
                {"output", Shape::list(item, 0, 1'000'000, ""), M::required},
                {"error", Shape::object({{"code", Shape::text(""), M::required}, {"message", Shape::text(""), M::required}}, "")},
                {"incomplete_details", Shape::object({{"reason", Shape::text(""), M::required}}, "")},
                {"instructions", Shape::text("")},
                {"previous_response_id", Shape::text("")},
                {"metadata", Shape::map(Shape::any(""), "The request's; ignored_tools, ignored_items: what was left out of it")},
                {"usage", usage},
                {"timings", timings()}},
               "What comes next in a conversation")
        .named("ResponseAnswer");
  }();
  return shape;
}

const Shape& response_event() {
  static const Shape shape =
      Shape::object({{"type", Shape::text("response.created, response.output_text.delta, …, response.completed"), M::required},
                     {"sequence_number", Shape::integer(0, int64_t{1} << 53, "Counts from 0"), M::required},
                     {"response", response_answer()},
                     {"item_id", Shape::text("")},
                     {"output_index", Shape::integer(0, 1'000'000, "")},
                     {"content_index", Shape::integer(0, 1'000'000, "")},
                     {"delta", Shape::text("")}},
                    "What happens while an answer is made")
          .named("ResponseEvent");
  return shape;
}

const Shape& response_deleted() {
  static const Shape shape = Shape::object({{"id", Shape::text(""), M::required},
                                            {"object", Shape::constant("response"), M::required},
                                            {"deleted", Shape::boolean(""), M::required}},
                                           "")
                                 .named("ResponseDeleted");
  return shape;
}

const Shape& response_items() {
  static const Shape shape = Shape::object({{"object", Shape::constant("list"), M::required},
                                            {"data", Shape::list(Shape::object({}, ""), 0, 100'000, ""), M::required},
                                            {"first_id", Shape::text("")},
                                            {"last_id", Shape::text("")},
                                            {"has_more", Shape::boolean(""), M::required}},
                                           "")
                                 .named("ResponseItems");
  return shape;
}

const Shape& response_input_tokens() {
  static const Shape shape = Shape::object({{"object", Shape::constant("response.input_tokens"), M::required},
                                            {"input_tokens", Shape::integer(0, int64_t{1} << 53, ""), M::required}},
                                           "")
                                 .named("ResponseInputTokens");
  return shape;
}

}  // namespace quern::openai_shapes
