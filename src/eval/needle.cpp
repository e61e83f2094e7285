#include "eval/needle.h"

#include "text/assistant_parser.h"

namespace quern {
namespace {

// "4,821,937" as "4821937": what may stand between two digits of one number goes.
std::string without_separators(std::string_view text) {
  const auto digit = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i)
    if (i == 0 || std::string_view(", .'_-").find(text[i]) == std::string_view::npos || !digit(i - 1) || !digit(i + 1))
      out += text[i];
  return out;
}

}  // namespace

std::string_view needle_kind_name(NeedleKind kind) { return kind == NeedleKind::prose ? "prose" : "tools"; }

Result<int64_t> count_tokens(const Conversation& conversation, ChatFormat format, const Tokenizer& tokenizer) {
  QUERN_ASSIGN(const Prompt prompt, render(conversation, format));
  QUERN_ASSIGN(const std::vector<int32_t> ids, tokenizer.encode(prompt));
  return static_cast<int64_t>(ids.size());
}

Result<NeedleTask> make_needle(const NeedleRequest& request, const Tokenizer& tokenizer) {
  QUERN_ASSIGN(NeedleTask task,
               request.kind == NeedleKind::prose ? make_prose_needle(request, tokenizer) : make_tools_needle(request, tokenizer));
  if (request.length > 0 && task.tokens > request.length)
    return fail(Errc::out_of_range, "a length of {} tokens: the needle and what asks for it alone take {}", request.length,
                task.tokens);
  return task;
}

bool has_needle(const NeedleTask& task, NeedleKind kind, std::string_view reply, ChatFormat format) {
  const AssistantTurn turn = parse_assistant(reply, format, task.conversation.tools);
  if (kind == NeedleKind::prose) return without_separators(turn.content).find(task.value) != std::string::npos;
  return !turn.calls.empty() && !turn.calls[0].error && turn.calls[0].call.name == task.call.name &&
         turn.calls[0].call.arguments == task.call.arguments;
}

}  // namespace quern
