// The published templates of the 2507 generation, statement by statement; tests/data/chat holds 60 prompts they must equal to the byte.
// The coder's is written after Qwen3-Coder-Next's; text/xml_calls.h has its tools and calls.
#include "text/chat_template.h"

#include <algorithm>

#include "base/random.h"
#include "text/trim.h"
#include "text/xml_calls.h"

namespace quern {
namespace {

constexpr std::string_view kToolsIntro =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures "
    "within "
    "<tools></tools> XML tags:\n<tools>";
constexpr std::string_view kToolsOutro =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> "
    "XML tags:\n"
    "<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>";

constexpr std::string_view kCoderSystem = "You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks.";
constexpr std::string_view kCoderIntro = "\n\n# Tools\n\nYou have access to the following functions:\n\n<tools>";
constexpr std::string_view kCoderOutro =
    "\n</tools>\n\nIf you choose to call a function ONLY reply in the following format with NO suffix:\n\n<tool_call>\n"
    "<function=example_function_name>\n<parameter=example_parameter_1>\nvalue_1\n</parameter>\n<parameter=example_parameter_2>\n"
    "This is the value for the second parameter\nthat can span\nmultiple lines\n</parameter>\n</function>\n</tool_call>\n\n"
    "<IMPORTANT>\nReminder:\n- Function calls MUST follow the specified format: an inner <function=...></function> block must be "
    "nested within <tool_call></tool_call> XML tags\n- Required parameters MUST be specified\n- You may provide optional reasoning "
    "for your function call in natural language BEFORE the function call, but NOT after\n- If there is no function call available, "
    "answer the question like normal with your current knowledge and do not tell the user about function calls\n</IMPORTANT>";

// Hashes (FNV-1a 64, trailing white space left out) of the published template texts.
struct KnownTemplate {
  uint64_t hash;
  ChatFormat format;
};
constexpr KnownTemplate kKnown[] = {{0x3751fe8ea48448abULL, ChatFormat::instruct}, {0xcd0d41a64dfce181ULL, ChatFormat::thinking}};

// Builds a prompt; pieces of the same trust that follow one another become one.
class Writer {
 public:
  void markup(std::string_view text) { add(text, true); }
  void text(std::string_view text) { add(text, false); }
  // What this engine's model generated, as the tokens it was, or, where nobody knows them any more: its markup was single tokens and
  // becomes them again; everything else it may have copied from a file or a page, and stays text.
  void generated(std::string_view text, const std::vector<int32_t>& ids) {
    if (!ids.empty()) {
      prompt_.push_back({std::string(text), false, ids});
      return;
    }
    while (!text.empty()) {
      size_t at = std::string_view::npos, length = 0;
      for (const std::string_view tag : {"<tool_call>", "</tool_call>", "<think>", "</think>"})
        if (const size_t found = text.find(tag); found < at) at = found, length = tag.size();
      add(text.substr(0, at), false);
      if (at == std::string_view::npos) return;
      add(text.substr(at, length), true);
      text.remove_prefix(at + length);
    }
  }
  Prompt take() { return std::move(prompt_); }

 private:
  void add(std::string_view text, bool trusted) {
    if (text.empty()) return;
    if (prompt_.empty() || prompt_.back().trusted != trusted || !prompt_.back().ids.empty())
      prompt_.push_back({std::string(), trusted});
    prompt_.back().text += text;
  }
  Prompt prompt_;
};

std::string_view strip_newlines(std::string_view text, bool left, bool right) {
  while (left && text.starts_with('\n')) text.remove_prefix(1);
  while (right && text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

void write_calls(Writer& out, const std::vector<ToolCall>& calls, bool after_content) {
  for (size_t i = 0; i < calls.size(); ++i) {
    if (i > 0 || after_content) out.markup("\n");
    out.markup("<tool_call>\n{\"name\": \"");
    out.text(calls[i].name);
    out.markup("\", \"arguments\": ");
    out.text(calls[i].arguments.is_string() ? calls[i].arguments.as_string() : calls[i].arguments.dump());
    out.markup("}\n</tool_call>");
  }
}

// Index of the last user message that is a question, not a wrapped tool result; the last message when there is none.
size_t last_query(const std::vector<Message>& messages) {
  for (size_t i = messages.size(); i-- > 0;) {
    const Message& m = messages[i];
    if (m.role == Role::user && m.content_is_text &&
        !(m.content.starts_with("<tool_response>") && m.content.ends_with("</tool_response>")))
      return i;
  }
  return messages.empty() ? 0 : messages.size() - 1;
}

void write_coder_turn(Writer& out, const Message& m) {
  if (m.tool_calls.empty()) return out.text(m.content);
  if (const std::string_view content = trim(m.content); !content.empty()) {
    out.text(content);
    out.markup("\n\n");
  }
  for (size_t i = 0; i < m.tool_calls.size(); ++i) {
    out.markup(i > 0 ? "\n<tool_call>\n" : "<tool_call>\n");
    out.text(xml_call(m.tool_calls[i]));
    out.markup("\n</tool_call>");
  }
}

void write_assistant(Writer& out, const Message& m, ChatFormat format) {
  out.markup("<|im_start|>assistant\n");
  if (m.verbatim) {
    out.generated(*m.verbatim, m.verbatim_ids);
  } else if (format == ChatFormat::coder) {
    write_coder_turn(out, m);
  } else {
    out.text(m.content);
    write_calls(out, m.tool_calls, !m.content.empty());
  }
  out.markup("<|im_end|>\n");
}

// Reasoning is shown after the last question only: when a new one arrives, it disappears from the turns before.
void write_thinking_assistant(Writer& out, const Message& m, bool after_query, bool last) {
  out.markup("<|im_start|>assistant\n");
  if (m.verbatim && after_query) {
    out.markup("<think>\n");
    out.generated(*m.verbatim, m.verbatim_ids);
    return out.markup("<|im_end|>\n");
  }
  std::string_view content = m.content, reasoning;
  if (m.reasoning) {
    reasoning = *m.reasoning;
  } else if (const size_t first = content.find("</think>"); first != std::string_view::npos) {
    reasoning = strip_newlines(content.substr(0, first), false, true);
    if (const size_t open = reasoning.rfind("<think>"); open != std::string_view::npos) reasoning.remove_prefix(open + 7);
    reasoning = strip_newlines(reasoning, true, false);
    content = strip_newlines(content.substr(content.rfind("</think>") + 8), true, false);
  }
  if (after_query && (last || !reasoning.empty())) {
    out.markup("<think>\n");
    out.text(strip_newlines(reasoning, true, true));
    out.markup("\n</think>\n\n");
    out.text(strip_newlines(content, true, false));
  } else {
    out.text(content);
  }
  write_calls(out, m.tool_calls, !content.empty());
  out.markup("<|im_end|>\n");
}

void write_tools(Writer& out, const std::vector<Json>& tools, ChatFormat format) {
  const bool coder = format == ChatFormat::coder;
  out.markup(coder ? kCoderIntro : kToolsIntro);
  for (const Json& tool : tools) {
    out.markup("\n");
    out.text(coder ? xml_tool(tool) : tool.dump());
  }
  out.markup(coder ? kCoderOutro : kToolsOutro);
}

void write_system(Writer& out, const Conversation& c, ChatFormat format) {
  const bool has_system = !c.messages.empty() && c.messages[0].role == Role::system;
  if (!has_system && c.tools.empty()) return;
  out.markup("<|im_start|>system\n");
  if (has_system) {
    out.text(c.messages[0].content);
    if (!c.tools.empty() && format != ChatFormat::coder) out.markup("\n\n");
  } else if (format == ChatFormat::coder) {
    out.markup(kCoderSystem);
  }
  if (!c.tools.empty()) write_tools(out, c.tools, format);
  out.markup("<|im_end|>\n");
}

}  // namespace

std::string_view chat_format_name(ChatFormat format) {
  constexpr std::string_view names[] = {"instruct", "thinking", "coder"};
  return names[static_cast<size_t>(format)];
}

Result<ChatFormat> parse_chat_format(std::string_view name) {
  for (const ChatFormat format : {ChatFormat::instruct, ChatFormat::thinking, ChatFormat::coder})
    if (name == chat_format_name(format)) return format;
  return fail(Errc::invalid_argument, "template {}: expected instruct, thinking or coder", name.substr(0, 40));
}

Result<TemplateChoice> recognise_template(std::string_view text) {
  const size_t end = text.find_last_not_of(" \t\r\n");
  text = text.substr(0, end == std::string_view::npos ? 0 : end + 1);
  const uint64_t hash = fnv1a_64(text);
  for (const KnownTemplate& known : kKnown)
    if (known.hash == hash) return TemplateChoice{known.format, true};
  const auto contains = [&](std::string_view mark) { return text.find(mark) != std::string_view::npos; };
  if (contains("<|im_start|>") && contains("<tool_call>")) {
    if (contains("<function=")) return TemplateChoice{ChatFormat::coder, false};
    return TemplateChoice{contains("assistant\\n<think>") ? ChatFormat::thinking : ChatFormat::instruct, false};
  }
  return fail(Errc::unsupported,
              "the chat template is not of the Qwen family; --template names the format to use (instruct, thinking, coder)");
}

Result<Prompt> render(const Conversation& c, ChatFormat format) {
  if (!c.messages.empty() && c.messages[0].role == Role::system && !c.messages[0].content_is_text)
    return fail(Errc::malformed, "messages[0].content: the system message must be a string");
  Writer out;
  write_system(out, c, format);
  const size_t query = last_query(c.messages);
  for (size_t i = 0; i < c.messages.size(); ++i) {
    const Message& m = c.messages[i];
    const auto is_tool = [&](size_t at) { return at < c.messages.size() && c.messages[at].role == Role::tool; };
    if (m.role == Role::user || (m.role == Role::system && i > 0)) {
      out.markup(m.role == Role::user ? "<|im_start|>user\n" : "<|im_start|>system\n");
      out.text(m.content);
      out.markup("<|im_end|>\n");
    } else if (m.role == Role::assistant) {
      if (format == ChatFormat::thinking)
        write_thinking_assistant(out, m, i > query, i + 1 == c.messages.size());
      else
        write_assistant(out, m, format);
    } else if (m.role == Role::tool) {
      if (i == 0 || !is_tool(i - 1)) out.markup("<|im_start|>user");
      out.markup("\n<tool_response>\n");
      out.text(m.content);
      out.markup("\n</tool_response>");
      if (!is_tool(i + 1)) out.markup("<|im_end|>\n");
    }
  }
  if (c.add_generation_prompt)
    out.markup(format == ChatFormat::thinking ? "<|im_start|>assistant\n<think>\n" : "<|im_start|>assistant\n");
  return out.take();
}

}  // namespace quern
