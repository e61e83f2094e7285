// RootFolder: the one folder a task may touch. Every path is resolved by the kernel (openat2, RESOLVE_BENEATH) from a directory handle
// that was opened once, so no "..", absolute path, symbolic link or race with another program leads out of it. Nothing is ever
// half-written: new content goes to a temporary name, is synced, and gets its name by a rename that (but for write and append) refuses
// to replace what is there.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace quern {

// May be moved between threads, not shared.
class RootFolder {
 public:
  enum class Problem { outside, missing, not_a_folder, is_a_folder, exists, not_empty, other };
  struct Failure {
    Problem problem = Problem::other;
    std::string path;    // from the root, as far as it went wrong there
    std::string detail;  // of `other`
  };
  template <class T>
  using Outcome = tl::expected<T, Failure>;

  // unsupported when the kernel lacks openat2 (Linux 5.6); not_found, io.
  static Result<RootFolder> open(const std::filesystem::path& folder);

  // "./a//b/" → "a/b", "." → "". Failure outside: absolute, "..", or a byte no name can have.
  static Outcome<std::string> normal(std::string_view path);

  // All paths below are normal ones.

  struct Listing {
    std::vector<std::string> paths;  // from the root; folders with a trailing '/'; sorted by byte
    bool complete = true;            // false: there was more than the limit
  };
  Outcome<Listing> list(const std::string& folder, size_t most) const;
  // Regular files in the whole tree, links not followed, for which wanted(name).
  Listing find(const std::function<bool(std::string_view name)>& wanted, size_t most, size_t most_visited) const;

  struct Content {
    std::string bytes;  // at most `most`
    size_t size = 0;    // of the whole file
  };
  Outcome<Content> read(const std::string& path, size_t most) const;

  struct FileInfo {
    size_t size = 0;
    int64_t modified_ns = 0;  // since 1970
  };
  Outcome<FileInfo> look_at(const std::string& path) const;  // a regular file, without reading it

  enum class Mode { act, check };  // check: the same answers, nothing changed
  Outcome<void> write(const std::string& path, std::string_view text, Mode mode);
  Outcome<void> append_line(const std::string& path, std::string_view line, Mode mode);
  Outcome<void> move(const std::string& from, const std::string& to, Mode mode);
  Outcome<void> copy(const std::string& from, const std::string& to, Mode mode);
  Outcome<void> make_folder(const std::string& path, Mode mode);
  Outcome<void> remove(const std::string& path, Mode mode);

 private:
  explicit RootFolder(UniqueFd root) : root_(std::move(root)) {}

  enum class Kind { missing, file, folder, other };
  Outcome<UniqueFd> open_beneath(const std::string& path, int flags) const;
  Outcome<UniqueFd> open_file(const std::string& path) const;
  Outcome<UniqueFd> make_folders(const std::string& path);
  Outcome<Kind> kind(const std::string& path) const;  // of the name itself: a link is `other`
  Outcome<void> can_write(const std::string& path) const;
  Outcome<void> can_transfer(const std::string& from, const std::string& to, bool follow) const;
  Outcome<void> can_make_parents(const std::string& path) const;

  UniqueFd root_;
};

}  // namespace quern
