#include "text/file_tools.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <initializer_list>
#include <utility>

#include "text/conversation.h"

namespace quern::file_tools {
namespace {

struct Parameter {
  std::string_view name, description;
};

Json definition(std::string_view name, std::string_view description, std::initializer_list<Parameter> parameters) {
  Json properties = Json::object(), required = Json::array();
  for (const Parameter& p : parameters) {
    Json property = Json::object();
    property["type"] = "string";
    property["description"] = p.description;
    properties[p.name] = std::move(property);
    required.push_back(p.name);
  }
  Json schema = Json::object();
  schema["type"] = "object";
  schema["properties"] = std::move(properties);
  schema["required"] = std::move(required);
  return function_tool(name, description, std::move(schema));
}

}  // namespace

std::vector<Json> definitions() {
  return {
      definition("list_files", "List the files and folders inside one folder.", {{"folder", "Folder to list, \".\" for the top"}}),
      definition("find_files", "Find files anywhere whose name matches a pattern.", {{"pattern", "Name pattern such as *.txt"}}),
      definition("read_file", "Read a text file.", {{"path", "File to read"}}),
      definition("write_file", "Write a text file, replacing what was there.",
                 {{"path", "File to write"}, {"text", "The whole text"}}),
      definition("append_file", "Add one line at the end of a text file.",
                 {{"path", "File to add to"}, {"text", "The line to add"}}),
      definition("move_file", "Move or rename a file. Missing folders are made.", {{"from", "File to move"}, {"to", "New path"}}),
      definition("copy_file", "Copy a file. Missing folders are made.", {{"from", "File to copy"}, {"to", "Path of the copy"}}),
      definition("make_folder", "Make a new folder.", {{"path", "Folder to make"}}),
      definition("delete_file", "Delete a file or an empty folder.", {{"path", "What to delete"}}),
  };
}

bool changes_files(std::string_view tool) {
  for (const std::string_view name : {"write_file", "append_file", "move_file", "copy_file", "make_folder", "delete_file"})
    if (tool == name) return true;
  return false;
}

std::string listing(const std::vector<std::string>& entries) {
  return entries.empty() ? "(empty)" : fmt::format("{}", fmt::join(entries, "\n"));
}
std::string no_matches(std::string_view pattern) { return fmt::format("no files match {}", pattern); }
std::string empty_file(std::string_view path) { return fmt::format("{} is empty", path); }
std::string wrote(std::string_view path, size_t characters) { return fmt::format("wrote {} ({} characters)", path, characters); }
std::string appended(std::string_view path) { return fmt::format("added a line to {}", path); }
std::string moved(std::string_view from, std::string_view to) { return fmt::format("moved {} to {}", from, to); }
std::string copied(std::string_view from, std::string_view to) { return fmt::format("copied {} to {}", from, to); }
std::string made_folder(std::string_view path) { return fmt::format("made folder {}", path); }
std::string deleted(std::string_view path) { return fmt::format("deleted {}", path); }

std::string no_such_file(std::string_view path) { return fmt::format("error: no such file: {}", path); }
std::string no_such_folder(std::string_view path) { return fmt::format("error: no such folder: {}", path); }
std::string already_exists(std::string_view path) { return fmt::format("error: already exists: {}", path); }
std::string is_a_folder(std::string_view path) { return fmt::format("error: is a folder: {}", path); }
std::string not_empty(std::string_view path) { return fmt::format("error: folder is not empty: {}", path); }
std::string outside_root(std::string_view path) { return fmt::format("error: outside the task's folder: {}", path); }

bool glob_matches(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;  // on a mismatch the last * swallows one character more
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*')
      star = p++, resume = n;
    else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n]))
      ++p, ++n;
    else if (star != std::string_view::npos)
      p = star + 1, n = ++resume;
    else
      return false;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace quern::file_tools
