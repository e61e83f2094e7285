#include "agent/tools/tool_results.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/utf8.h"
#include "text/conversation.h"
#include "text/file_tools.h"

namespace quern {

ToolResult tool_done(std::string text) { return {std::move(text), false}; }
ToolResult tool_error(std::string_view problem) { return {fmt::format("error: {}", problem), true}; }

ToolResult tool_error(const RootFolder::Failure& failure, bool folder_wanted) {
  using Problem = RootFolder::Problem;
  const auto error = [](std::string text) { return ToolResult{std::move(text), true}; };
  switch (failure.problem) {
    case Problem::outside:
      return error(file_tools::outside_root(failure.path));
    case Problem::missing:
      return error(folder_wanted ? file_tools::no_such_folder(failure.path) : file_tools::no_such_file(failure.path));
    case Problem::not_a_folder:
      return error(file_tools::no_such_folder(failure.path));
    case Problem::is_a_folder:
      return error(file_tools::is_a_folder(failure.path));
    case Problem::exists:
      return error(file_tools::already_exists(failure.path));
    case Problem::not_empty:
      return error(file_tools::not_empty(failure.path));
    case Problem::other:
      break;
  }
  return tool_error(fmt::format("{}: {}", failure.path, failure.detail));
}

Json tool_definition(std::string_view name, std::string_view description, std::string_view parameters, size_t required) {
  auto properties = Json::parse(parameters, name);
  QUERN_CHECK(properties && properties->is_object() && properties->size() >= required, std::string(name));
  Json names = Json::array();
  for (size_t i = 0; i < required; ++i) names.push_back(properties->as_object()[i].first);
  Json schema = Json::object();
  schema["type"] = "object";
  schema["properties"] = std::move(*properties);
  schema["required"] = std::move(names);
  return function_tool(name, description, std::move(schema));
}

std::string text_argument(const Json& arguments, std::string_view name, std::string_view otherwise) {
  const Json* value = arguments.find(name);
  return value && value->is_string() ? value->as_string() : std::string(otherwise);
}

int64_t integer_argument(const Json& arguments, std::string_view name, int64_t otherwise) {
  const Json* value = arguments.find(name);
  return value && value->is_number() ? value->to_int64().value_or(otherwise) : otherwise;
}

bool flag_argument(const Json& arguments, std::string_view name) {
  const Json* value = arguments.find(name);
  return value && value->is_bool() && value->as_bool();
}

std::string printable_name(std::string_view name) {
  std::string text = replace_invalid_utf8(name);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return text;
}

std::string_view whole_characters(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  text = text.substr(0, most);
  return text.substr(0, complete_utf8_prefix(text));
}

tl::expected<std::string, ToolResult> read_text_file(const RootFolder& root, const std::string& path, size_t most) {
  auto content = root.read(path, most);
  if (!content) return tl::unexpected(tool_error(content.error()));
  if (content->size > content->bytes.size())
    return tl::unexpected(tool_error(fmt::format("{}: {} bytes, more than {}", path, content->size, most)));
  const size_t wrong = std::min(find_invalid_utf8(content->bytes), content->bytes.find('\0'));
  if (wrong != std::string::npos) return tl::unexpected(tool_error(fmt::format("not a text file: {} (byte {})", path, wrong)));
  return std::move(content->bytes);
}

}  // namespace quern
