#include "agent/tools/root_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace quern {
namespace {

using Failure = RootFolder::Failure;
using Problem = RootFolder::Problem;

constexpr int kMaxDepth = 64;  // of the tree that find walks

tl::unexpected<Failure> problem(Problem what, std::string path, std::string detail = {}) {
  return tl::unexpected(Failure{what, path.empty() ? "." : std::move(path), std::move(detail)});
}

// errno of a call that did not itself resolve the path (renames report EXDEV for another reason than openat2 does).
tl::unexpected<Failure> failed(std::string path, std::string_view doing) {
  const int error = errno;
  if (error == ENOENT) return problem(Problem::missing, std::move(path));
  if (error == EEXIST) return problem(Problem::exists, std::move(path));
  return problem(Problem::other, std::move(path), fmt::format("cannot {}: {}", doing, std::strerror(error)));
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

long openat2(int folder, const char* path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0;; ++tries) {
    const long fd = ::syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN) || tries == 100) return fd;  // EAGAIN: something was renamed meanwhile
  }
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return true;
}

// Appends up to `most` bytes; false: errno says why.
bool read_some(int fd, std::string& out, size_t most) {
  char buffer[1 << 14];
  while (most > 0) {
    const ssize_t got = ::read(fd, buffer, std::min(sizeof buffer, most));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0;
    out.append(buffer, static_cast<size_t>(got));
    most -= static_cast<size_t>(got);
  }
  return true;
}

void sync_folder(int folder) {
  const UniqueFd fd(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) ::fsync(fd.get());  // a file system that cannot still has the file
}

// A new file under a hidden name, which either gets its own name or disappears.
class Temporary {
 public:
  Temporary(int folder, mode_t mode) : folder_(folder) {
    for (int tries = 0; tries < 100 && !fd_; ++tries) {
      uint64_t random = 0;
      if (::getrandom(&random, sizeof random, 0) != sizeof random) return;
      name_ = fmt::format(".quern-{:016x}", random);
      fd_ = UniqueFd(::openat(folder, name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode));
      if (!fd_ && errno != EEXIST) return;
    }
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (fd_) ::unlinkat(folder_, name_.c_str(), 0);
  }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }
  bool become(const std::string& name, unsigned flags) {
    if (::fsync(fd()) != 0 || ::renameat2(folder_, name_.c_str(), folder_, name.c_str(), flags) != 0) return false;
    fd_ = UniqueFd();
    sync_folder(folder_);
    return true;
  }

 private:
  int folder_;
  std::string name_;
  UniqueFd fd_;
};

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

// The entries of an opened folder, each with what it is itself (links are not followed), until visit returns false.
bool each_entry(UniqueFd folder, const std::function<bool(int fd, const char* name, const struct stat& info)>& visit) {
  const int copy = ::fcntl(folder.get(), F_DUPFD_CLOEXEC, 0);  // closedir closes what fdopendir took
  const Dir dir(copy < 0 ? nullptr : ::fdopendir(copy));
  if (!dir) {
    if (copy >= 0) ::close(copy);
    return false;
  }
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat info{};
    if (::fstatat(folder.get(), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;  // deleted meanwhile
    if (!visit(folder.get(), entry->d_name, info)) break;
  }
  return true;
}

struct Walk {
  const std::function<bool(std::string_view)>& wanted;
  size_t most, left;  // to find; entries left to look at
  RootFolder::Listing& out;

  void folder(UniqueFd fd, const std::string& prefix, int depth) {
    if (depth > kMaxDepth) {
      out.complete = false;
      return;
    }
    each_entry(std::move(fd), [&](int parent, const char* name, const struct stat& info) {
      if (left == 0 || out.paths.size() > most) return out.complete = false;
      --left;
      if (S_ISDIR(info.st_mode)) {
        UniqueFd inner(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (inner) folder(std::move(inner), prefix + name + "/", depth + 1);
      } else if (S_ISREG(info.st_mode) && wanted(name)) {
        out.paths.push_back(prefix + name);
      }
      return true;
    });
  }
};

void sort_and_cut(RootFolder::Listing& listing, size_t most) {
  std::sort(listing.paths.begin(), listing.paths.end());
  if (listing.paths.size() <= most) return;
  listing.paths.resize(most);
  listing.complete = false;
}

}  // namespace

Result<RootFolder> RootFolder::open(const std::filesystem::path& folder) {
  UniqueFd root(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root)
    return fail(errno == ENOENT ? Errc::not_found : Errc::io, "{}: cannot open the folder: {}", folder.string(),
                std::strerror(errno));
  const UniqueFd probe(static_cast<int>(openat2(root.get(), ".", O_PATH | O_DIRECTORY)));
  if (!probe)
    return fail(Errc::unsupported, "{}: this kernel cannot confine paths to a folder (openat2, Linux 5.6 or later): {}",
                folder.string(), std::strerror(errno));
  return RootFolder(std::move(root));
}

RootFolder::Outcome<std::string> RootFolder::normal(std::string_view path) {
  if (path.starts_with('/') || path.find('\0') != std::string_view::npos) return problem(Problem::outside, std::string(path));
  std::string joined;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part == "..") return problem(Problem::outside, std::string(path));
    if (!part.empty() && part != ".") joined.append(joined.empty() ? "" : "/").append(part);
    begin = end + 1;
  }
  return joined;
}

RootFolder::Outcome<UniqueFd> RootFolder::open_beneath(const std::string& path, int flags) const {
  UniqueFd fd(static_cast<int>(openat2(root_.get(), path.empty() ? "." : path.c_str(), flags)));
  if (fd) return fd;
  if (errno == EXDEV || errno == ELOOP) return problem(Problem::outside, path);
  if (errno == ENOTDIR) return problem(Problem::not_a_folder, path);
  return failed(path, "open");
}

// O_NONBLOCK: opening a pipe must not wait for its other end.
RootFolder::Outcome<UniqueFd> RootFolder::open_file(const std::string& path) const {
  auto fd = open_beneath(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) return fd.error().problem == Problem::not_a_folder ? problem(Problem::missing, path) : tl::unexpected(fd.error());
  struct stat info{};
  if (::fstat(fd->get(), &info) != 0) return failed(path, "look at it");
  if (S_ISDIR(info.st_mode)) return problem(Problem::is_a_folder, path);
  if (!S_ISREG(info.st_mode)) return problem(Problem::other, path, "not a regular file");
  return fd;
}

RootFolder::Outcome<RootFolder::Kind> RootFolder::kind(const std::string& path) const {
  if (path.empty()) return Kind::folder;
  const auto parent = open_beneath(folder_of(path), O_PATH | O_DIRECTORY);
  if (!parent) {
    if (parent.error().problem == Problem::missing || parent.error().problem == Problem::not_a_folder) return Kind::missing;
    return tl::unexpected(parent.error());
  }
  struct stat info{};
  if (::fstatat(parent->get(), name_of(path).c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return Kind::missing;
    return failed(path, "look at it");
  }
  return S_ISDIR(info.st_mode) ? Kind::folder : S_ISREG(info.st_mode) ? Kind::file : Kind::other;
}

RootFolder::Outcome<RootFolder::Listing> RootFolder::list(const std::string& folder, size_t most) const {
  auto fd = open_beneath(folder, O_RDONLY | O_DIRECTORY);
  if (!fd) return tl::unexpected(fd.error());
  Listing listing;
  const std::string prefix = folder.empty() ? "" : folder + "/";
  const bool read = each_entry(std::move(*fd), [&](int, const char* name, const struct stat& info) {
    listing.paths.push_back(prefix + name + (S_ISDIR(info.st_mode) ? "/" : ""));
    return listing.paths.size() < 100 * most;  // far past what is shown, so that what is shown is the beginning
  });
  if (!read) return failed(folder, "list");
  sort_and_cut(listing, most);
  return listing;
}

RootFolder::Listing RootFolder::find(const std::function<bool(std::string_view)>& wanted, size_t most, size_t most_visited) const {
  Listing listing;
  auto fd = open_beneath("", O_RDONLY | O_DIRECTORY);
  if (fd) Walk{wanted, 100 * most, most_visited, listing}.folder(std::move(*fd), "", 0);
  sort_and_cut(listing, most);
  return listing;
}

RootFolder::Outcome<RootFolder::Content> RootFolder::read(const std::string& path, size_t most) const {
  auto fd = open_file(path);
  if (!fd) return tl::unexpected(fd.error());
  struct stat info{};
  Content content;
  if (::fstat(fd->get(), &info) != 0 || !read_some(fd->get(), content.bytes, most)) return failed(path, "read");
  content.size = std::max(static_cast<size_t>(info.st_size), content.bytes.size());
  return content;
}

RootFolder::Outcome<RootFolder::FileInfo> RootFolder::look_at(const std::string& path) const {
  const auto fd = open_file(path);
  if (!fd) return tl::unexpected(fd.error());
  struct stat info{};
  if (::fstat(fd->get(), &info) != 0) return failed(path, "look at it");
  return FileInfo{static_cast<size_t>(info.st_size), int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

// Folders are made one by one, each opened from the root again: a link on the way is followed only as far as it stays inside.
RootFolder::Outcome<UniqueFd> RootFolder::make_folders(const std::string& path) {
  auto fd = open_beneath(path, O_PATH | O_DIRECTORY);
  if (fd || fd.error().problem != Problem::missing || path.empty()) return fd;
  auto parent = make_folders(folder_of(path));
  if (!parent) return parent;
  if (::mkdirat(parent->get(), name_of(path).c_str(), 0777) != 0 && errno != EEXIST) return failed(path, "make the folder");
  sync_folder(parent->get());
  return open_beneath(path, O_PATH | O_DIRECTORY);
}

RootFolder::Outcome<void> RootFolder::can_make_parents(const std::string& path) const {
  for (std::string folder = folder_of(path); !folder.empty(); folder = folder_of(folder)) {
    const auto fd = open_beneath(folder, O_PATH | O_DIRECTORY);
    if (fd) return {};
    if (fd.error().problem != Problem::missing) return tl::unexpected(fd.error());
  }
  return {};
}

RootFolder::Outcome<void> RootFolder::can_write(const std::string& path) const {
  const auto what = kind(path);
  if (!what) return tl::unexpected(what.error());
  if (*what == Kind::folder) return problem(Problem::is_a_folder, path);
  if (*what == Kind::other)
    return problem(Problem::other, path, "not a regular file");  // a link too: what it points to has its own name
  return *what == Kind::missing ? can_make_parents(path) : Outcome<void>{};
}

RootFolder::Outcome<void> RootFolder::write(const std::string& path, std::string_view text, Mode mode) {
  const auto can = can_write(path);
  if (!can || mode == Mode::check) return can;
  const auto folder = make_folders(folder_of(path));
  if (!folder) return tl::unexpected(folder.error());
  struct stat old{};
  const bool replaces = ::fstatat(folder->get(), name_of(path).c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
  Temporary file(folder->get(), 0666);
  if (!file || !write_all(file.fd(), text) || (replaces && ::fchmod(file.fd(), old.st_mode & 07777) != 0) ||
      !file.become(name_of(path), 0))
    return failed(path, "write");
  return {};
}

RootFolder::Outcome<void> RootFolder::append_line(const std::string& path, std::string_view line, Mode mode) {
  const auto can = can_write(path);
  if (!can || mode == Mode::check) return can;
  std::string text;
  if (auto old = open_file(path)) {
    constexpr size_t kMost = size_t{256} << 20;
    struct stat info{};
    if (::fstat(old->get(), &info) != 0 || !read_some(old->get(), text, info.st_size > static_cast<off_t>(kMost) ? 0 : kMost))
      return failed(path, "read");
    if (info.st_size > static_cast<off_t>(kMost)) return problem(Problem::other, path, "too long to add to (256 MiB)");
  } else if (old.error().problem != Problem::missing) {
    return tl::unexpected(old.error());
  }
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  return write(path, text.append(line) + "\n", mode);
}

// follow: a link as the source stands for the file it leads to.
RootFolder::Outcome<void> RootFolder::can_transfer(const std::string& from, const std::string& to, bool follow) const {
  if (follow) {
    const auto source = open_file(from);
    if (!source) return tl::unexpected(source.error());
  } else {
    const auto source = kind(from);
    if (!source) return tl::unexpected(source.error());
    if (*source == Kind::missing) return problem(Problem::missing, from);
    if (*source == Kind::folder) return problem(Problem::is_a_folder, from);
  }
  const auto target = kind(to);
  if (!target) return tl::unexpected(target.error());
  if (*target != Kind::missing) return problem(Problem::exists, to);
  return can_make_parents(to);
}

RootFolder::Outcome<void> RootFolder::move(const std::string& from, const std::string& to, Mode mode) {
  const auto can = can_transfer(from, to, /*follow=*/false);
  if (!can || mode == Mode::check) return can;
  const auto source = open_beneath(folder_of(from), O_PATH | O_DIRECTORY);
  if (!source) return tl::unexpected(source.error());
  const auto target = make_folders(folder_of(to));
  if (!target) return tl::unexpected(target.error());
  if (::renameat2(source->get(), name_of(from).c_str(), target->get(), name_of(to).c_str(), RENAME_NOREPLACE) != 0)
    return failed(errno == EEXIST ? to : from, "move");
  sync_folder(target->get());
  sync_folder(source->get());
  return {};
}

RootFolder::Outcome<void> RootFolder::copy(const std::string& from, const std::string& to, Mode mode) {
  const auto can = can_transfer(from, to, /*follow=*/true);
  if (!can || mode == Mode::check) return can;
  const auto source = open_file(from);
  if (!source) return tl::unexpected(source.error());
  const auto folder = make_folders(folder_of(to));
  if (!folder) return tl::unexpected(folder.error());
  struct stat info{};
  if (::fstat(source->get(), &info) != 0) return failed(from, "read");
  Temporary file(folder->get(), info.st_mode & 0777);
  if (!file) return failed(to, "write");
  for (std::string part = "-"; !part.empty();) {
    part.clear();
    if (!read_some(source->get(), part, size_t{1} << 20)) return failed(from, "read");
    if (!write_all(file.fd(), part)) return failed(to, "write");
  }
  if (!file.become(name_of(to), RENAME_NOREPLACE)) return failed(to, "write");
  return {};
}

RootFolder::Outcome<void> RootFolder::make_folder(const std::string& path, Mode mode) {
  const auto what = kind(path);
  if (!what) return tl::unexpected(what.error());
  if (*what != Kind::missing) return problem(Problem::exists, path);
  const auto can = can_make_parents(path);
  if (!can || mode == Mode::check) return can;
  const auto parent = make_folders(folder_of(path));
  if (!parent) return tl::unexpected(parent.error());
  if (::mkdirat(parent->get(), name_of(path).c_str(), 0777) != 0) return failed(path, "make the folder");
  sync_folder(parent->get());
  return {};
}

RootFolder::Outcome<void> RootFolder::remove(const std::string& path, Mode mode) {
  if (path.empty()) return problem(Problem::outside, path);  // the root is not inside itself
  const auto what = kind(path);
  if (!what) return tl::unexpected(what.error());
  if (*what == Kind::missing) return problem(Problem::missing, path);
  if (*what == Kind::folder) {
    const auto inside = list(path, 1);
    if (!inside) return tl::unexpected(inside.error());
    if (!inside->paths.empty()) return problem(Problem::not_empty, path);
  }
  if (mode == Mode::check) return {};
  const auto parent = open_beneath(folder_of(path), O_PATH | O_DIRECTORY);
  if (!parent) return tl::unexpected(parent.error());
  if (::unlinkat(parent->get(), name_of(path).c_str(), *what == Kind::folder ? AT_REMOVEDIR : 0) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST) return problem(Problem::not_empty, path);
    return failed(path, "delete");
  }
  sync_folder(parent->get());
  return {};
}

}  // namespace quern
