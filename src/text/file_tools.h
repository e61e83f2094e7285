// The built-in file tools as a model sees them: names, descriptions, parameter schemas, and the wording of every result. One place, so
// that the agent's tools on real folders and the generator's mocked folders (eval/) speak alike to the letter.
// Paths are relative to the task's root folder, separated by '/', without a leading "./"; "." is the root.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace quern::file_tools {

// list_files(folder)         names in one folder, sorted by byte, folders with a trailing "/", one a line as a path from the root
// find_files(pattern)        files in the whole tree whose name matches a glob (*, ?), sorted, one path a line
// read_file(path)            the text
// write_file(path, text)     makes or replaces the file; missing parent folders are made
// append_file(path, text)    adds text and a newline at the end; makes the file (and parent folders) when missing
// move_file(from, to)        also renames; missing parent folders of `to` are made; never overwrites
// copy_file(from, to)        never overwrites
// make_folder(path)
// delete_file(path)          a file or an empty folder
std::vector<Json> definitions();            // the nine tool objects {"type": "function", "function": {…}} in the order above
bool changes_files(std::string_view tool);  // write, append, move, copy, make_folder, delete: these ask first

// Results. `entries` are already paths from the root, folders with their trailing "/".
std::string listing(const std::vector<std::string>& entries);  // "(empty)" when there are none
std::string no_matches(std::string_view pattern);
std::string empty_file(std::string_view path);
std::string wrote(std::string_view path, size_t characters);
std::string appended(std::string_view path);
std::string moved(std::string_view from, std::string_view to);
std::string copied(std::string_view from, std::string_view to);
std::string made_folder(std::string_view path);
std::string deleted(std::string_view path);

// Errors, as the tool's result text.
std::string no_such_file(std::string_view path);
std::string no_such_folder(std::string_view path);
std::string already_exists(std::string_view path);
std::string is_a_folder(std::string_view path);
std::string not_empty(std::string_view path);
std::string outside_root(std::string_view path);

// True when the name (no '/') matches the glob: * any run, ? one character, everything else itself.
bool glob_matches(std::string_view pattern, std::string_view name);

}  // namespace quern::file_tools
