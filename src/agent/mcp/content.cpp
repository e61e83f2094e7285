#include "agent/mcp/content.h"

#include "agent/mcp/connection.h"
#include "agent/mcp/json_rpc.h"
#include "base/utf8.h"
#include "constrain/constraint.h"

namespace quern {
namespace {

constexpr size_t kMaxItems = 10000;

void add_part(std::string& text, std::string_view part) {
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  text += part;
}

// "image/png, 12345 bytes" of base64 text.
std::string described(const Json& item, std::string_view key) {
  const std::string type = string_member(item, "mimeType");
  const Json* data = item.find(key);
  const size_t bytes = data && data->is_string() ? data->as_string().size() / 4 * 3 : 0;
  return fmt::format("{}, about {} bytes", type.empty() ? "of no known type" : mcp_line(type, 100), bytes);
}

std::string resource_text(const Json& resource) {
  const std::string uri = mcp_line(string_member(resource, "uri"));
  if (const Json* text = resource.find("text"); text && text->is_string()) return text->as_string();
  if (resource.find("blob")) return fmt::format("(the resource {} is not text: {})", uri, described(resource, "blob"));
  return fmt::format("(the resource {} came without content)", uri);
}

std::string item_text(const Json& item) {
  const std::string type = string_member(item, "type");
  if (type == "text") return string_member(item, "text");
  if (type == "image" || type == "audio") return fmt::format("({}, {}: it cannot be shown here)", type, described(item, "data"));
  if (type == "resource_link") {
    const std::string title = string_member(item, "description");
    return fmt::format("(a resource: {} {}{}{})", mcp_line(string_member(item, "uri")), mcp_line(string_member(item, "name")),
                       title.empty() ? "" : ": ", mcp_line(title));
  }
  if (const Json* resource = item.find("resource"); type == "resource" && resource) return resource_text(*resource);
  return fmt::format("(something of the type '{}', which is unknown here)", mcp_line(type, 60));
}

ToolResult bounded(ToolResult result) {
  const size_t whole = result.text.size();
  if (whole <= kMaxMcpText) return result;
  result.text.resize(complete_utf8_prefix(std::string_view(result.text).substr(0, kMaxMcpText)));
  result.text += fmt::format("\n(cut here: the server sent {} bytes)", whole);
  return result;
}

void add_content(std::string& text, const Json& content) {
  if (content.is_object()) return add_part(text, item_text(content));
  if (!content.is_array()) return;
  size_t count = 0;
  for (const Json& item : content.as_array()) {
    if (++count > kMaxItems || text.size() > kMaxMcpText) return add_part(text, "(and more, which is not shown)");
    add_part(text, item_text(item));
  }
}

}  // namespace

ToolResult text_of_call(const Json& result) {
  ToolResult out;
  out.is_error = bool_member(result, "isError", false);
  if (const Json* content = result.find("content")) add_content(out.text, *content);
  const Json* structured = result.find("structuredContent");
  if (out.text.empty() && structured && !structured->is_null()) out.text = structured->dump();  // else the text says the same
  if (out.text.empty()) out.text = out.is_error ? "error: the server does not say what went wrong" : "done";
  return bounded(std::move(out));
}

Result<void> check_output(const Json& schema, const Json& result) {
  const Json* structured = result.find("structuredContent");
  if (!structured || !structured->is_object()) return fail(Errc::mismatch, "there is no structuredContent");
  const auto fits = check_json(schema, *structured);
  // A limit of the check is no fault of the server's.
  return fits || fits.error().code != Errc::mismatch ? Result<void>() : fits;
}

ToolResult text_of_resource(const Json& result) {
  ToolResult out;
  const Json* contents = result.find("contents");
  size_t count = 0;
  if (contents && contents->is_array())
    for (const Json& resource : contents->as_array())
      if (++count <= kMaxItems && out.text.size() <= kMaxMcpText) add_part(out.text, resource_text(resource));
  if (count == 0) out.text = "(the resource is empty)";
  return bounded(std::move(out));
}

ToolResult text_of_prompt(const Json& result) {
  ToolResult out;
  out.text = string_member(result, "description");
  const Json* messages = result.find("messages");
  size_t count = 0;
  if (messages && messages->is_array())
    for (const Json& message : messages->as_array()) {
      if (++count > kMaxItems || out.text.size() > kMaxMcpText) break;
      const std::string role = string_member(message, "role");
      std::string text = (role == "assistant" ? "assistant: " : "user: ");
      const Json* content = message.find("content");
      std::string said;
      if (content) add_content(said, *content);
      add_part(out.text, text + said);
    }
  if (out.text.empty()) out.text = "(the prompt is empty)";
  return bounded(std::move(out));
}

}  // namespace quern
