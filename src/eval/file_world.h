// FileWorld: a folder tree in memory behind the nine file tools, answering as the real ones do (text/file_tools).
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "eval/world.h"

namespace quern {

class FileWorld : public World {
 public:
  std::string execute(const ToolCall& call) override;
  std::unique_ptr<World> clone() const override { return std::make_unique<FileWorld>(*this); }
  std::string state() const override;

  void add_folder(const std::string& path);
  void add_file(const std::string& path, std::string text);  // and its parent folders
  bool exists(const std::string& path) const { return files.contains(path) || folders.contains(path); }

  // Paths from the root; of one folder ("" is the root), sorted.
  std::vector<std::string> files_in(const std::string& folder) const;

  std::map<std::string, std::string> files;
  std::set<std::string> folders;

 private:
  std::string list(const std::string& folder) const;
  std::string find(const std::string& pattern) const;
  std::string read(const std::string& path) const;
  std::string put(const std::string& path, const std::string& text, bool append);
  std::string transfer(const std::string& from, const std::string& to, bool keep);
  std::string make(const std::string& path);
  std::string remove(const std::string& path);
};

std::string folder_of(const std::string& path);     // "a/b.txt" → "a"; "b.txt" → ""
std::string name_of(const std::string& path);       // "a/b.txt" → "b.txt"
std::string extension_of(const std::string& path);  // "a/b.txt" → "txt"; none: ""
std::string in_folder(const std::string& folder, const std::string& name);

}  // namespace quern
