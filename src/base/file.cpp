#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>

namespace quern {
namespace {

tl::unexpected<Error> io_error(const std::filesystem::path& path, std::string_view doing) {
  const int error = errno;
  return fail(error == ENOENT ? Errc::not_found : Errc::io, "{}: cannot {}: {}", path.string(), doing, std::strerror(error));
}

Result<std::pair<UniqueFd, size_t>> open_regular(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a fifo without a writer would keep us waiting
  if (!fd) return io_error(path, "open");
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return io_error(path, "stat");
  if (!S_ISREG(info.st_mode)) return fail(Errc::io, "{}: not a regular file", path.string());
  return std::pair(std::move(fd), static_cast<size_t>(info.st_size));
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}
UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::filesystem::path& path) {
  QUERN_ASSIGN(auto opened, open_regular(path));
  auto& [fd, size] = opened;
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile(path, {}));  // mmap refuses empty ranges
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (address == MAP_FAILED) return io_error(path, "map");
  // Large pages where the kernel has them for files: a weight matrix otherwise costs a walk of the page table every 4 KB. Only a wish.
  ::madvise(address, size, MADV_HUGEPAGE);
  return std::shared_ptr<const MappedFile>(new MappedFile(path, {static_cast<const std::byte*>(address), size}));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<std::string> read_file(const std::filesystem::path& path, size_t max_bytes) {
  QUERN_ASSIGN(auto opened, open_regular(path));
  auto& [fd, size] = opened;
  if (size > max_bytes) return fail(Errc::out_of_range, "{}: {} bytes, at most {} are read", path.string(), size, max_bytes);
  std::string text(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t got = ::read(fd.get(), text.data() + have, size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_error(path, "read");
    if (got == 0) break;  // shortened since fstat: what is there is what is there
    have += static_cast<size_t>(got);
  }
  text.resize(have);
  return text;
}

AtomicFile::AtomicFile(std::filesystem::path path, std::filesystem::path temporary, UniqueFd fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

Result<AtomicFile> AtomicFile::create(const std::filesystem::path& path) {
  // Not mkostemp: its file is private, and the umask that others are to have can only be asked for by setting it, under the feet of other
  // threads that just then make files of their own.
  std::random_device random;
  for (int attempt = 0; attempt < 100; ++attempt) {
    const std::string name = fmt::format("{}.tmp-{:08x}", path.string(), random());
    UniqueFd fd(::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (fd) return AtomicFile(path, name, std::move(fd));
    if (errno != EEXIST) break;
  }
  return io_error(path, "create a temporary file beside it");
}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  if (this == &other) return *this;
  if (fd_) ::unlink(temporary_.c_str());  // this one was never committed
  path_ = std::move(other.path_), temporary_ = std::move(other.temporary_), fd_ = std::move(other.fd_);
  return *this;
}

AtomicFile::~AtomicFile() {
  if (fd_) ::unlink(temporary_.c_str());
}

Result<void> AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_.get(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return io_error(path_, "write");
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
  return {};
}

Result<void> AtomicFile::commit() {
  if (::fsync(fd_.get()) != 0) return io_error(path_, "sync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return io_error(path_, "rename to its name");
  fd_ = UniqueFd();
  const auto folder = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
  UniqueFd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir) ::fsync(dir.get());  // the rename itself; a file system without it still has the file
  return {};
}

Result<void> make_private_folders(const std::filesystem::path& path) {
  std::error_code ignored;
  if (path.empty() || std::filesystem::is_directory(path, ignored)) return {};
  const std::filesystem::path above = path.parent_path();
  if (above != path) QUERN_TRY(make_private_folders(above));
  if (!path.has_filename() || ::mkdir(path.c_str(), 0700) == 0) return {};         // without one: "a/b/", whose b was made above
  if (errno == EEXIST && std::filesystem::is_directory(path, ignored)) return {};  // somebody else made it meanwhile
  return fail(Errc::io, "{}: cannot make the folder: {}", path.string(), std::strerror(errno));
}

Result<void> write_file(const std::filesystem::path& path, std::string_view text) {
  QUERN_ASSIGN(AtomicFile file, AtomicFile::create(path));
  QUERN_TRY(file.write(text));
  return file.commit();
}

}  // namespace quern
