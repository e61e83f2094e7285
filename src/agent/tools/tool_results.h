// What tools that are no file tools have in common: how a definition is written down, arguments with defaults, and the wording of what
// goes wrong with a path.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/tools/root_folder.h"
#include "agent/tools/tool.h"

namespace quern {

ToolResult tool_done(std::string text);
ToolResult tool_error(std::string_view problem);  // with "error: " in front
// folder_wanted: what is missing is a folder, not a file.
ToolResult tool_error(const RootFolder::Failure& failure, bool folder_wanted = false);

// parameters: the JSON text of an object of properties; the first `required` of them must be given. Checked: it is our own text.
Json tool_definition(std::string_view name, std::string_view description, std::string_view parameters, size_t required);

// Arguments passed check_arguments: what is there has its type.
std::string text_argument(const Json& arguments, std::string_view name, std::string_view otherwise = "");
int64_t integer_argument(const Json& arguments, std::string_view name, int64_t otherwise);
bool flag_argument(const Json& arguments, std::string_view name);

// A name from the disk: any bytes. A line break or an escape sequence in one must not look like another entry.
std::string printable_name(std::string_view name);

// Whole characters of at most `most` bytes.
std::string_view whole_characters(std::string_view text, size_t most);

// A text file whole. Errors: the wording of a tool's.
tl::expected<std::string, ToolResult> read_text_file(const RootFolder& root, const std::string& path, size_t most);

}  // namespace quern
