#include "convert/partial_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRecord = "quantize.json";

tl::unexpected<Error> io_failure(const fs::path& path, std::string_view doing, const std::error_code& error) {
  return fail(Errc::io, "{}: cannot {}: {}", path.string(), doing, error.message());
}

void sync_folder(const fs::path& path) {
  const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) ::fsync(folder.get());  // a file system without it still has the files
}

bool is_empty_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) && fs::is_empty(path, ignored);
}

// Replacing deletes what is there, which therefore has to look like what this program writes.
Result<void> check_target(const fs::path& out, Replace replace) {
  std::error_code ignored;
  if (!fs::exists(out, ignored) || is_empty_folder(out)) return {};
  if (!fs::is_directory(out, ignored)) return fail(Errc::denied, "{}: is a file; a folder is written", out.string());
  if (replace == Replace::never) return fail(Errc::denied, "{}: is not empty; --force replaces it", out.string());
  if (!fs::exists(out / "config.json", ignored))
    return fail(Errc::denied, "{}: is no model folder (it has no config.json), and therefore not replaced", out.string());
  return {};
}

}  // namespace

Result<PartialFolder> PartialFolder::open(const fs::path& named, const Json& request, Replace replace) {
  fs::path out = fs::absolute(named).lexically_normal();
  if (!out.has_filename()) out = out.parent_path();  // a slash at the end
  QUERN_TRY(check_target(out, replace));
  fs::path partial = out;
  partial += ".partial";
  std::error_code error;
  if (fs::exists(partial, error) && !is_empty_folder(partial) && !fs::exists(partial / kRecord, error))
    return fail(Errc::denied, "{}: is in the way, and not what an interrupted run left behind", partial.string());
  fs::create_directories(partial, error);
  if (error) return io_failure(partial, "make the folder", error);
  PartialFolder folder(std::move(out), std::move(partial), request, replace);
  QUERN_TRY(folder.lock());
  folder.read_record();
  QUERN_TRY(folder.write_record());
  QUERN_TRY(folder.delete_others());
  return folder;
}

Result<void> PartialFolder::lock() {
  lock_ = UniqueFd(::open(partial_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock_) return fail(Errc::io, "{}: cannot open: {}", partial_.string(), std::strerror(errno));
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return {};
  if (errno == EWOULDBLOCK) return fail(Errc::denied, "{}: another process is writing there", partial_.string());
  return {};  // a file system without locks
}

// A record that cannot be read is one of another request.
void PartialFolder::read_record() {
  const auto text = read_file(partial_ / kRecord, size_t{16} << 20);
  if (!text) return;
  const auto record = Json::parse(*text, kRecord);
  const Json* request = record ? record->find("request") : nullptr;
  const Json* files = record ? record->find("finished") : nullptr;
  if (!request || !(*request == request_) || !files || !files->is_object()) return;
  for (const auto& [name, size] : files->as_object()) {
    std::error_code error;
    const auto found = fs::file_size(partial_ / name, error);
    const auto expected = size.to_int64();
    if (!error && expected && static_cast<uint64_t>(*expected) == found) finished_[name] = found;
  }
}

Result<void> PartialFolder::write_record() const {
  Json files = Json::object(), record = Json::object();
  for (const auto& [name, size] : finished_) files.as_object().emplace_back(name, Json(size));
  record["request"] = request_;
  record["finished"] = std::move(files);
  return write_file(partial_ / kRecord, record.dump_indented() + "\n");
}

Result<void> PartialFolder::delete_others() const {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(partial_, error)) {
    const std::string name = entry.path().filename().string();
    if (name == kRecord || finished_.contains(name)) continue;
    std::error_code removing;
    fs::remove_all(entry.path(), removing);
    if (removing) return io_failure(entry.path(), "delete", removing);
  }
  if (error) return io_failure(partial_, "list", error);
  return {};
}

Result<void> PartialFolder::finish(const std::string& file) {
  std::error_code error;
  finished_[file] = fs::file_size(partial_ / file, error);
  if (error) return io_failure(partial_ / file, "look at", error);
  return write_record();
}

// Where something is replaced, the two folders change names in one step, and the old one is deleted under the other's.
Result<void> PartialFolder::publish() {
  std::error_code error;
  QUERN_TRY(check_target(out_, replace_));  // it may have been filled meanwhile
  sync_folder(partial_);
  if (!fs::exists(out_, error) || is_empty_folder(out_)) {
    fs::rename(partial_, out_, error);
    if (error) return io_failure(partial_, fmt::format("rename to {}", out_.string()), error);
  } else {
    if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, out_.c_str(), RENAME_EXCHANGE) != 0)
      return fail(Errc::io, "{}: cannot change places with {}: {}", out_.string(), partial_.string(), std::strerror(errno));
    fs::remove_all(partial_, error);
    if (error) return io_failure(partial_, "delete what was replaced", error);
  }
  fs::remove(out_ / kRecord, error);
  sync_folder(out_.parent_path());
  return {};
}

}  // namespace quern
