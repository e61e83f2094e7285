#include "agent/tools/ask_tool.h"

#include <charconv>

#include "agent/tools/tool_results.h"
#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kMostQuestion = 4 << 10, kMostChoices = 20, kMostChoice = 200, kMostAnswer = 16 << 10;

// A question comes from a model: it must not speak to the terminal.
std::string plain(std::string_view text) {
  std::string shown = replace_invalid_utf8(text);
  for (char& c : shown)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7F) c = '?';
  return shown;
}

// "2" is the second choice, unless a choice is called so.
std::string chosen(const std::string& answer, const std::vector<std::string>& choices) {
  for (const std::string& choice : choices)
    if (choice == answer) return answer;
  size_t number = 0;
  const auto parsed = std::from_chars(answer.data(), answer.data() + answer.size(), number);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == answer.data() + answer.size();
  return whole && number >= 1 && number <= choices.size() ? choices[number - 1] : answer;
}

ToolResult ask_user(const AskUser& ask, const Json& arguments) {
  const std::string question = text_argument(arguments, "question");
  if (question.find_first_not_of(" \t\n") == std::string::npos) return tool_error("the question is empty");
  if (question.size() > kMostQuestion) return tool_error(fmt::format("the question is longer than {} bytes", kMostQuestion));
  std::vector<std::string> choices;
  if (const Json* given = arguments.find("choices"))
    for (const Json& choice : given->as_array()) choices.push_back(plain(choice.as_string()));
  if (choices.size() > kMostChoices) return tool_error(fmt::format("more than {} choices", kMostChoices));
  for (const std::string& choice : choices)
    if (choice.empty() || choice.size() > kMostChoice)
      return tool_error(fmt::format("a choice has 1 to {} bytes, one here has {}", kMostChoice, choice.size()));
  if (!ask) return tool_error("nobody is there to answer: decide yourself, or say in the end what you would have to know");
  const auto answer = ask(plain(question), choices);
  if (!answer) return tool_error("the question was not answered");
  if (answer->empty()) return tool_done("(an empty answer)");
  return tool_done(chosen(std::string(whole_characters(*answer, kMostAnswer)), choices));
}

}  // namespace

Tool ask_user_tool(AskUser ask) {
  Tool tool;
  tool.definition = tool_definition("ask_user", "Ask the user a question, when only they can know the answer.",
                                    R"({"question": {"type": "string", "description": "The question, whole and in their words"},
          "choices": {"type": "array", "items": {"type": "string"}, "description": "Answers to choose from; absent: any"}})",
                                    1);
  tool.execute = [ask = std::move(ask)](const Json& arguments, const CallContext&) { return ask_user(ask, arguments); };
  return tool;
}

}  // namespace quern
