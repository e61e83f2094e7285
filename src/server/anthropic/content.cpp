#include "server/anthropic/content.h"

#include <algorithm>
#include <tuple>

#include "server/anthropic/request.h"
#include "server/fields.h"

namespace quern {
namespace {

// Texts of one message, one after the other.
void add_line(std::string& text, std::string_view more) {
  if (!text.empty() && !more.empty()) text += '\n';
  text += more;
}

std::string titled(std::string_view tag, const std::optional<std::string>& title, std::string_view text) {
  std::string name;
  if (title && !title->empty()) append_json_string(name, *title);
  return fmt::format("<{}{}{}>\n{}\n</{}>", tag, name.empty() ? "" : " title=", name, text, tag);
}

// {"type": "document", "source": {"type": "text", "data": …} or {"type": "content", "content": …}}
Result<std::string> document_text(const Json& block, const std::string& where, std::vector<std::string>& notes) {
  const FieldReader fields(block, where);
  QUERN_ASSIGN(const Json* const source, fields.object("source"));
  if (!source) return fail(Errc::malformed, "{}: expected an object", fields.place("source"));
  const FieldReader inner(*source, fields.place("source"));
  QUERN_ASSIGN(const auto type, inner.text("type"));
  QUERN_ASSIGN(const auto title, fields.text("title"));
  QUERN_ASSIGN(const auto context, fields.text("context"));
  std::string text = context.value_or("");
  if (type == "text") {
    QUERN_ASSIGN(const auto data, inner.text("data"));
    if (!data) return fail(Errc::malformed, "{}: expected a string", inner.place("data"));
    add_line(text, *data);
  } else if (const Json* content = inner.find("content"); type == "content" && content) {
    QUERN_ASSIGN(const std::string said, anthropic_text(*content, inner.place("content"), notes));
    add_line(text, said);
  } else {
    return fail(Errc::unsupported, "{}: a document of type {}: only text is read", where, type.value_or("?").substr(0, 40));
  }
  return titled("document", title, text);
}

Result<std::string> search_result_text(const Json& block, const std::string& where, std::vector<std::string>& notes) {
  const FieldReader fields(block, where);
  QUERN_ASSIGN(const auto title, fields.text("title"));
  QUERN_ASSIGN(const auto source, fields.text("source"));
  std::string text = source.value_or("");
  if (const Json* content = fields.find("content")) {
    QUERN_ASSIGN(const std::string said, anthropic_text(*content, fields.place("content"), notes));
    add_line(text, said);
  }
  return titled("search_result", title, text);
}

Result<std::string> block_text(const Json& block, const std::string& where, std::vector<std::string>& notes) {
  const FieldReader fields(block, where);
  QUERN_ASSIGN(const auto type, fields.text("type"));
  if (type == "text") {
    QUERN_ASSIGN(auto text, fields.text("text"));
    if (!text) return fail(Errc::malformed, "{}: expected a string", fields.place("text"));
    return std::move(*text);
  }
  if (type == "document") return document_text(block, where, notes);
  if (type == "search_result") return search_result_text(block, where, notes);
  if (type == "image") return fail(Errc::unsupported, "{}: image: the model reads text only", where);
  return fail(Errc::malformed, "{}: a block of type {} cannot stand here", where, type ? type->substr(0, 40) : "?");
}

// What a tool gave back. What cannot be read is named in its place: the model may go another way, an error could not.
Result<std::string> result_text(const Json& block, const std::string& where, std::vector<std::string>& notes) {
  const FieldReader fields(block, where);
  QUERN_ASSIGN(const auto failed, fields.boolean("is_error"));
  std::string text;
  if (const Json* content = fields.find("content"); content && content->is_array()) {
    for (size_t i = 0; i < content->size(); ++i) {
      const Json& part = content->as_array()[i];
      auto said = block_text(part, fmt::format("{}.content[{}]", where, i), notes);
      if (!said && said.error().code == Errc::unsupported) {
        notes.push_back(said.error().message);
        said = fmt::format("[{}: not shown, the model reads text only]", FieldReader(part).text("type")->value_or("block"));
      } else if (const auto type = FieldReader(part).text("type"); !said && type && *type == "tool_reference") {
        QUERN_ASSIGN(const auto name, FieldReader(part).text("tool_name"));
        said = fmt::format("[tool: {}]", name.value_or(""));
      }
      if (!said) return tl::unexpected(said.error());
      add_line(text, *said);
    }
  } else if (content) {
    QUERN_ASSIGN(text, anthropic_text(*content, fields.place("content"), notes));
  }
  if (failed.value_or(false) && !text.starts_with("Error")) text.insert(0, text.empty() ? "Error" : "Error: ");
  return text;
}

Result<void> read_user(const Json::Array& blocks, const std::string& where, Conversation& conversation,
                       std::vector<std::string>& calls, std::vector<std::string>& notes) {
  struct ToolAnswer {
    size_t call, block;  // unique together, so that any sorting keeps results of unknown calls in their order
    std::string text;
  };
  std::vector<ToolAnswer> results;
  std::string text;
  bool said = false;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const std::string place = fmt::format("{}.content[{}]", where, i);
    const FieldReader fields(blocks[i], place);
    QUERN_ASSIGN(const auto type, fields.text("type"));
    if (type == "tool_result") {
      QUERN_ASSIGN(const auto id, fields.text("tool_use_id"));
      if (!id) return fail(Errc::malformed, "{}: expected a string", fields.place("tool_use_id"));
      QUERN_ASSIGN(std::string result, result_text(blocks[i], place, notes));
      const auto call = std::find(calls.begin(), calls.end(), *id);
      results.push_back({static_cast<size_t>(call - calls.begin()), i, std::move(result)});
    } else {
      QUERN_ASSIGN(const std::string more, block_text(blocks[i], place, notes));
      add_line(text, more);
      said = true;
    }
  }
  std::sort(results.begin(), results.end(),
            [](const ToolAnswer& a, const ToolAnswer& b) { return std::tie(a.call, a.block) < std::tie(b.call, b.block); });
  for (ToolAnswer& result : results) conversation.messages.push_back({.role = Role::tool, .content = std::move(result.text)});
  if (said || results.empty()) conversation.messages.push_back({.role = Role::user, .content = std::move(text)});
  return {};
}

Result<void> read_thinking_block(const FieldReader& fields, Message& message) {
  QUERN_ASSIGN(auto thinking, fields.text("thinking"));
  QUERN_ASSIGN(const auto signature, fields.text("signature"));
  if (!thinking) return fail(Errc::malformed, "{}: expected a string", fields.place("thinking"));
  if (thinking->empty() && signature) thinking = hidden_thinking(*signature);
  if (thinking && !thinking->empty()) message.reasoning = message.reasoning.value_or("") + *thinking;
  return {};
}

Result<void> read_call(const FieldReader& fields, Message& message, std::vector<std::string>& calls) {
  QUERN_ASSIGN(const auto id, fields.text("id"));
  QUERN_ASSIGN(const auto name, fields.text("name"));
  QUERN_ASSIGN(const Json* const input, fields.object("input"));
  if (!id) return fail(Errc::malformed, "{}: expected a string", fields.place("id"));
  if (!name || name->empty()) return fail(Errc::malformed, "{}: expected a tool's name", fields.place("name"));
  calls.push_back(*id);
  message.tool_calls.push_back({*name, input ? *input : Json::object()});
  return {};
}

Result<void> read_assistant(const Json::Array& blocks, const std::string& where, Conversation& conversation,
                            std::vector<std::string>& calls, std::vector<std::string>& notes) {
  Message message{.role = Role::assistant};
  for (size_t i = 0; i < blocks.size(); ++i) {
    const FieldReader fields(blocks[i], fmt::format("{}.content[{}]", where, i));
    QUERN_ASSIGN(const auto type, fields.text("type"));
    if (type == "text") {
      QUERN_ASSIGN(const std::string text, block_text(blocks[i], fields.where(), notes));
      message.content += text;
    } else if (type == "thinking") {
      QUERN_TRY(read_thinking_block(fields, message));
    } else if (type == "redacted_thinking") {
      QUERN_ASSIGN(const auto data, fields.text("data"));
      if (const auto text = hidden_thinking(data.value_or(""))) message.reasoning = message.reasoning.value_or("") + *text;
    } else if (type == "tool_use") {
      QUERN_TRY(read_call(fields, message, calls));
    } else if (type && (type->starts_with("server_tool_") || type->starts_with("mcp_tool_") || type->ends_with("_tool_result"))) {
      notes.push_back(fmt::format("a block of type {} is of a tool that ran elsewhere: left out", type->substr(0, 60)));
    } else {
      return fail(Errc::malformed, "{}: a block of type {} cannot stand here", fields.place("type"),
                  type ? type->substr(0, 40) : "?");
    }
  }
  conversation.messages.push_back(std::move(message));
  return {};
}

}  // namespace

Result<std::string> anthropic_text(const Json& content, const std::string& where, std::vector<std::string>& notes) {
  if (content.is_string()) return content.as_string();
  if (!content.is_array()) return fail(Errc::malformed, "{}: expected a string or blocks, found {}", where, content.kind_name());
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    QUERN_ASSIGN(const std::string more, block_text(content.as_array()[i], fmt::format("{}[{}]", where, i), notes));
    add_line(text, more);
  }
  return text;
}

Result<void> read_anthropic_message(const Json& message, const std::string& where, Conversation& conversation,
                                    std::vector<std::string>& calls, std::vector<std::string>& notes) {
  const FieldReader fields(message, where);
  QUERN_ASSIGN(const auto role, fields.text("role"));
  if (role != "user" && role != "assistant" && role != "system")
    return fail(Errc::malformed, "{}: expected user or assistant", fields.place("role"));
  const Json* content = fields.find("content");
  if (!content || (!content->is_string() && !content->is_array()))
    return fail(Errc::malformed, "{}: expected a string or blocks", fields.place("content"));
  if (content->is_string() || role == "system") {
    QUERN_ASSIGN(std::string text, anthropic_text(*content, fields.place("content"), notes));
    const Role whose = role == "user" ? Role::user : role == "assistant" ? Role::assistant : Role::system;
    conversation.messages.push_back({.role = whose, .content = std::move(text)});
    if (role == "assistant") calls.clear();
    return {};
  }
  if (role == "user") return read_user(content->as_array(), where, conversation, calls, notes);
  calls.clear();
  return read_assistant(content->as_array(), where, conversation, calls, notes);
}

}  // namespace quern
