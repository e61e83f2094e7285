// What a run did to the files of its folder, whoever did it: a tool, or a command that a tool started. The folder is read before the first
// call and again at the end; what differs is a change.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/tools/root_folder.h"
#include "base/json.h"

namespace quern {

struct FileChange {
  enum class Kind { added, removed, changed, moved };
  Kind kind = Kind::changed;
  std::string path, from;          // from the root; `from` of moved: content and all, from there
  std::string diff;                // hunks as diff -u prints them; empty where `note` says why
  int64_t added = 0, removed = 0;  // lines
  std::string note;

  static std::string_view kind_name(Kind kind);
};

// Regular files only, links are not followed, nothing under a folder named .git or node_modules. Of more than kMostFiles files or
// kMostBytes the rest is seen only when a call's arguments name it.
class FileRecorder {
 public:
  static constexpr size_t kMostFiles = 5000;
  static constexpr size_t kMostFileBytes =
      256 << 10;  // a larger file is compared by its size and beginning, and shown without its lines
  static constexpr size_t kMostBytes = size_t{32} << 20;
  static constexpr size_t kMostDiffBytes = 256 << 10;  // of one file

  // A folder that cannot be opened has no changes.
  explicit FileRecorder(const std::filesystem::path& root);

  // To be called before each call is carried out. Strings among the arguments that name a file of the folder are looked at too.
  void before_call(const Json& arguments);
  // Sorted by path. Invalid UTF-8 in names and content is replaced.
  std::vector<FileChange> changes() const;
  bool complete() const { return complete_; }  // false: there were more files than the limits allow for

 private:
  struct File {
    size_t size = 0;
    std::string beginning;  // at most kMostFileBytes
    bool operator==(const File&) const = default;
    bool is_text() const;
  };
  using Files = std::map<std::string, File>;

  std::optional<File> read(const std::string& path) const;
  Files read_all(bool& complete) const;
  void look_at(const Json& argument);
  static FileChange compare(const std::string& path, const File* before, const File* after);

  std::filesystem::path path_;
  std::optional<RootFolder> root_;
  bool started_ = false, complete_ = true;
  Files before_;
  std::vector<std::string> absent_;  // named by arguments, and not there before; only when not everything was read
};

}  // namespace quern
