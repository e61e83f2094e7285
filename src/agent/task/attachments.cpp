#include "agent/task/attachments.h"

#include "agent/tools/root_folder.h"
#include "base/utf8.h"

namespace quern {
namespace {

Result<std::string> read_attached(const AttachedFile& file, const std::string& path, const std::vector<RootFolder>& folders) {
  const auto normal = RootFolder::normal(path);
  if (!normal) return fail(Errc::denied, "files: {}: expected a path below the task's folder or the root", path);
  for (const RootFolder& folder : folders) {
    const auto content = folder.read(*normal, file.max_bytes);
    if (!content && content.error().problem == RootFolder::Problem::missing) continue;
    if (!content) return fail(Errc::io, "files: {}: cannot be read", path);
    if (content->size > file.max_bytes)
      return fail(Errc::out_of_range, "files: {}: {} bytes, at most {} are attached (max_bytes:)", path, content->size,
                  file.max_bytes);
    if (find_invalid_utf8(content->bytes) != std::string::npos || content->bytes.find('\0') != std::string::npos)
      return fail(Errc::malformed, "files: {}: not a text", path);
    return content->bytes;
  }
  return fail(Errc::not_found, "files: {}: there is no such file below the task's folder or the root", path);
}

}  // namespace

Result<std::string> attached_files(const std::vector<AttachedFile>& files, const Scope& scope,
                                   const std::vector<std::filesystem::path>& folders) {
  std::string all;
  if (files.empty()) return all;
  std::vector<RootFolder> opened;
  for (const auto& folder : folders) {
    if (folder.empty()) continue;
    QUERN_ASSIGN(RootFolder one, RootFolder::open(folder));
    opened.push_back(std::move(one));
  }
  size_t bytes = 0;
  for (const AttachedFile& file : files) {
    QUERN_ASSIGN(const std::string path, scope.fill(file.path));
    QUERN_ASSIGN(std::string text, read_attached(file, path, opened));
    bytes += text.size();
    if (bytes > kMaxAttachedBytes) return fail(Errc::out_of_range, "files: {}: more than {} bytes in all", path, kMaxAttachedBytes);
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    all += fmt::format("\n\n<file path={}>\n{}</file>", Json(path).dump(), text);
  }
  return all;
}

}  // namespace quern
