#include "eval/file_world.h"

#include <algorithm>

#include "text/file_tools.h"

namespace quern {
namespace {

// Paths as the tools mean them: "./a", "a/" and "a" are one, "." is the root (""). nullopt where the path leaves the root.
std::optional<std::string> normal(std::string_view path) {
  if (path.starts_with('/')) return std::nullopt;
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part == "..") return std::nullopt;
    if (!part.empty() && part != ".") parts.push_back(part);
    begin = end + 1;
  }
  std::string joined;
  for (const std::string_view part : parts) joined += (joined.empty() ? "" : "/") + std::string(part);
  return joined;
}

bool directly_in(const std::string& path, const std::string& folder) { return folder_of(path) == folder; }

}  // namespace

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string extension_of(const std::string& path) {
  const std::string name = name_of(path);
  const size_t dot = name.rfind('.');
  return dot == std::string::npos ? "" : name.substr(dot + 1);
}

std::string in_folder(const std::string& folder, const std::string& name) { return folder.empty() ? name : folder + "/" + name; }

void FileWorld::add_folder(const std::string& path) {
  for (std::string folder = path; !folder.empty(); folder = folder_of(folder)) folders.insert(folder);
}

void FileWorld::add_file(const std::string& path, std::string text) {
  add_folder(folder_of(path));
  files[path] = std::move(text);
}

std::vector<std::string> FileWorld::files_in(const std::string& folder) const {
  std::vector<std::string> found;
  for (const auto& [path, text] : files)
    if (directly_in(path, folder)) found.push_back(path);
  return found;
}

std::string FileWorld::state() const {
  std::string all;
  for (const std::string& folder : folders) all += folder + "/\n";
  for (const auto& [path, text] : files) all += fmt::format("{}\n{}\n{}\n", path, text.size(), text);
  return all;
}

std::string FileWorld::execute(const ToolCall& call) {
  const auto text = [&](std::string_view name) {
    const Json* value = call.arguments.find(name);
    return value && value->is_string() ? value->as_string() : std::string();
  };
  if (call.name == "find_files") return find(text("pattern"));
  for (const std::string_view name : {"path", "folder", "from", "to"})
    if (call.arguments.find(name) && !normal(text(name))) return file_tools::outside_root(text(name));
  const auto path = [&](std::string_view name) { return normal(text(name)).value_or(""); };
  if (call.name == "list_files") return list(path("folder"));
  if (call.name == "read_file") return read(path("path"));
  if (call.name == "write_file") return put(path("path"), text("text"), false);
  if (call.name == "append_file") return put(path("path"), text("text"), true);
  if (call.name == "move_file") return transfer(path("from"), path("to"), false);
  if (call.name == "copy_file") return transfer(path("from"), path("to"), true);
  if (call.name == "make_folder") return make(path("path"));
  if (call.name == "delete_file") return remove(path("path"));
  return fmt::format("error: no such tool: {}", call.name);
}

std::string FileWorld::list(const std::string& folder) const {
  if (!folder.empty() && !folders.contains(folder)) return file_tools::no_such_folder(folder);
  std::vector<std::string> entries = files_in(folder);
  for (const std::string& path : folders)
    if (directly_in(path, folder)) entries.push_back(path + "/");
  std::sort(entries.begin(), entries.end());
  return file_tools::listing(entries);
}

std::string FileWorld::find(const std::string& pattern) const {
  std::vector<std::string> found;
  for (const auto& [path, text] : files)
    if (file_tools::glob_matches(pattern, name_of(path))) found.push_back(path);
  return found.empty() ? file_tools::no_matches(pattern) : file_tools::listing(found);
}

std::string FileWorld::read(const std::string& path) const {
  if (path.empty() || folders.contains(path)) return file_tools::is_a_folder(path.empty() ? "." : path);
  const auto file = files.find(path);
  if (file == files.end()) return file_tools::no_such_file(path);
  return file->second.empty() ? file_tools::empty_file(path) : file->second;
}

std::string FileWorld::put(const std::string& path, const std::string& text, bool append) {
  if (path.empty() || folders.contains(path)) return file_tools::is_a_folder(path.empty() ? "." : path);
  add_folder(folder_of(path));
  std::string& content = files[path];
  if (!append) {
    content = text;
    return file_tools::wrote(
        path, static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; })));
  }
  if (!content.empty() && !content.ends_with('\n')) content += '\n';
  content += text + "\n";
  return file_tools::appended(path);
}

std::string FileWorld::transfer(const std::string& from, const std::string& to, bool keep) {
  if (folders.contains(from)) return file_tools::is_a_folder(from);
  const auto file = files.find(from);
  if (file == files.end()) return file_tools::no_such_file(from);
  if (to.empty() || exists(to)) return file_tools::already_exists(to.empty() ? "." : to);
  add_file(to, file->second);
  if (!keep) files.erase(from);
  return keep ? file_tools::copied(from, to) : file_tools::moved(from, to);
}

std::string FileWorld::make(const std::string& path) {
  if (path.empty() || exists(path)) return file_tools::already_exists(path.empty() ? "." : path);
  add_folder(path);
  return file_tools::made_folder(path);
}

std::string FileWorld::remove(const std::string& path) {
  if (files.erase(path)) return file_tools::deleted(path);
  if (!folders.contains(path)) return file_tools::no_such_file(path);
  const auto inside = [&](const std::string& other) { return other.starts_with(path + "/"); };
  if (std::any_of(folders.begin(), folders.end(), inside) ||
      std::any_of(files.begin(), files.end(), [&](const auto& file) { return inside(file.first); }))
    return file_tools::not_empty(path);
  folders.erase(path);
  return file_tools::deleted(path);
}

}  // namespace quern
