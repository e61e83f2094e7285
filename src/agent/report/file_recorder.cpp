#include "agent/report/file_recorder.h"

#include <algorithm>
#include <set>

#include "agent/report/unified_diff.h"
#include "base/utf8.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostVisited = 50000;  // entries of the folder, files or not

}  // namespace

std::string_view FileChange::kind_name(Kind kind) {
  constexpr std::string_view names[] = {"added", "removed", "changed", "moved"};
  return names[static_cast<size_t>(kind)];
}

FileRecorder::FileRecorder(const fs::path& root) : path_(root) {
  if (auto opened = RootFolder::open(root)) root_ = std::move(*opened);
}

bool FileRecorder::File::is_text() const {
  return size == beginning.size() && beginning.find('\0') == std::string::npos && find_invalid_utf8(beginning) == std::string::npos;
}

std::optional<FileRecorder::File> FileRecorder::read(const std::string& path) const {
  auto content = root_->read(path, kMostFileBytes);
  if (!content) return std::nullopt;
  return File{content->size, std::move(content->bytes)};
}

FileRecorder::Files FileRecorder::read_all(bool& complete) const {
  Files files;
  size_t bytes = 0, visited = 0;
  std::error_code error;
  complete = true;
  for (fs::recursive_directory_iterator at(path_, fs::directory_options::skip_permission_denied, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code ignored;
    const std::string name = at->path().filename().string();
    if (at->is_directory(ignored) && (name == ".git" || name == "node_modules")) at.disable_recursion_pending();
    if (++visited > kMostVisited || files.size() == kMostFiles || bytes > kMostBytes) {
      complete = false;
      break;
    }
    if (at->symlink_status(ignored).type() != fs::file_type::regular) continue;
    const std::string path = at->path().lexically_relative(path_).string();
    if (auto file = read(path)) {
      bytes += file->beginning.size();
      files.emplace(path, std::move(*file));
    }
  }
  return files;
}

void FileRecorder::look_at(const Json& argument) {
  if (argument.is_array()) {
    for (const Json& one : argument.as_array()) look_at(one);
  } else if (argument.is_object()) {
    for (const auto& [name, value] : argument.as_object()) look_at(value);
  } else if (argument.is_string() && argument.as_string().size() < 4096) {
    const auto path = RootFolder::normal(argument.as_string());
    if (!path || path->empty() || before_.contains(*path) || before_.size() > 2 * kMostFiles) return;
    if (std::find(absent_.begin(), absent_.end(), *path) != absent_.end()) return;
    if (auto file = read(*path))
      before_.emplace(*path, std::move(*file));
    else if (absent_.size() < kMostFiles)
      absent_.push_back(*path);
  }
}

void FileRecorder::before_call(const Json& arguments) {
  if (!root_) return;
  if (!std::exchange(started_, true)) before_ = read_all(complete_);
  if (!complete_) look_at(arguments);
}

FileChange FileRecorder::compare(const std::string& path, const File* before, const File* after) {
  FileChange change{.kind = !before  ? FileChange::Kind::added
                            : !after ? FileChange::Kind::removed
                                     : FileChange::Kind::changed,
                    .path = replace_invalid_utf8(path),
                    .from = {},
                    .diff = {},
                    .note = {}};
  const bool text = (!before || before->is_text()) && (!after || after->is_text());
  if (!text) {
    const auto size = [](const File* file) { return file ? fmt::format("{} bytes", file->size) : std::string("none"); };
    change.note = fmt::format("binary or large: {}, then {}", size(before), size(after));
    return change;
  }
  UnifiedDiff diff = unified_diff(before ? before->beginning : "", after ? after->beginning : "");
  change.added = diff.added;
  change.removed = diff.removed;
  change.diff = std::move(diff.text);
  if (change.diff.size() > kMostDiffBytes) {
    change.diff.resize(change.diff.rfind('\n', kMostDiffBytes) + 1);
    change.note = fmt::format("only the first {} KiB of the difference are shown", kMostDiffBytes >> 10);
  }
  return change;
}

std::vector<FileChange> FileRecorder::changes() const {
  if (!started_) return {};
  bool all = true;
  Files after = read_all(all);
  const bool everything = all && complete_;
  if (!everything) {  // files that only one of the two walks met are no changes by that alone
    for (const auto& [path, file] : before_)
      if (auto now = after.contains(path) ? std::nullopt : read(path)) after.emplace(path, std::move(*now));
    for (const std::string& path : absent_)
      if (auto now = after.contains(path) ? std::nullopt : read(path)) after.emplace(path, std::move(*now));
  }
  std::vector<const std::string*> gone;
  for (const auto& [path, file] : before_)
    if (!after.contains(path)) gone.push_back(&path);
  std::set<std::string> moved_away;
  std::vector<FileChange> changes;
  for (const auto& [path, file] : after) {
    const auto old = before_.find(path);
    if (old != before_.end()) {
      if (!(old->second == file)) changes.push_back(compare(path, &old->second, &file));
      continue;
    }
    if (!everything && std::find(absent_.begin(), absent_.end(), path) == absent_.end()) continue;
    const auto from = std::find_if(gone.begin(), gone.end(), [&](const std::string* was) {
      return file.size > 0 && !moved_away.contains(*was) && before_.at(*was) == file;
    });
    if (from == gone.end()) {
      changes.push_back(compare(path, nullptr, &file));
    } else {
      moved_away.insert(**from);
      changes.push_back({.kind = FileChange::Kind::moved,
                         .path = replace_invalid_utf8(path),
                         .from = replace_invalid_utf8(**from),
                         .diff = {},
                         .note = {}});
    }
  }
  for (const std::string* path : gone)
    if (!moved_away.contains(*path)) changes.push_back(compare(*path, &before_.at(*path), nullptr));
  std::sort(changes.begin(), changes.end(), [](const FileChange& a, const FileChange& b) { return a.path < b.path; });
  return changes;
}

}  // namespace quern
