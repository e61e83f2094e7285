#include "catalogue/pull.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/file.h"
#include "catalogue/hub_cache.h"
#include "catalogue/part_file.h"
#include "catalogue/pull_record.h"
#include "formats/config_json.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kDiskReserve = 256 << 20;  // what a disk should not be filled beyond

tl::unexpected<Error> io_failure(const fs::path& path, std::string_view doing, const std::string& why) {
  return fail(Errc::io, "{}: cannot {}: {}", path.string(), doing, why);
}

std::string gibibytes(uint64_t bytes) { return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / (1 << 30)); }

void sync_folder(const fs::path& path) {
  const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) ::fsync(folder.get());  // a file system without it still has the files
}

bool has_file(const fs::path& path, uint64_t size) {
  std::error_code error;
  return fs::is_regular_file(fs::symlink_status(path, error)) && fs::file_size(path, error) == size && !error;
}

// One pull into one name.
class Pull {
 public:
  Pull(const Catalogue& catalogue, const HubAccess& access, const PullPlan& plan, const PullOptions& options)
      : access_(access),
        plan_(plan),
        options_(options),
        target_(catalogue.model_folder(plan.selection.name)),
        partial_(catalogue.partial_folder(plan.selection.name)) {}

  Result<PullOutcome> run() {
    QUERN_TRY(look_at_target());
    PullOutcome outcome{.path = target_, .bytes = plan_.selection.bytes()};
    if (is_there()) {
      outcome.already_there = true;
      return outcome;
    }
    QUERN_TRY(open_partial());
    reuse_installed_files();
    const uint64_t before = record_.bytes_there(partial_);
    if (!options_.any_model) QUERN_TRY(check_model());
    QUERN_TRY(take_cached_files(CacheUse::link));
    QUERN_TRY(check_disk());
    QUERN_TRY(take_cached_files(CacheUse::copy));
    QUERN_TRY(fetch(missing()));
    outcome.cached_bytes = cached_bytes_;
    outcome.fetched_bytes = outcome.bytes - std::min(outcome.bytes, before + cached_bytes_);
    QUERN_TRY(publish());
    return outcome;
  }

 private:
  // What has that name in the catalogue may only be replaced by the same repository.
  Result<void> look_at_target() {
    std::error_code ignored;
    fs::path file = target_;
    file += ".gguf";
    if (fs::exists(file, ignored))
      return fail(Errc::denied, "{}: is in the catalogue already; --name gives this model another name", file.string());
    if (!fs::exists(fs::symlink_status(target_, ignored))) return {};
    installed_ = ModelSource::of(target_);
    if (!installed_ || installed_->repository != plan_.repository.id)
      return fail(Errc::denied, "{}: is there already, {}; --name gives this model another name", target_.string(),
                  installed_ ? "pulled from " + installed_->repository : std::string("and was not pulled"));
    return {};
  }

  bool is_there() const {
    if (!installed_) return false;
    return std::all_of(plan_.selection.files.begin(), plan_.selection.files.end(),
                       [&](const RepositoryFile& f) { return installed(f); }) &&
           installed_->files.size() == plan_.selection.files.size();
  }
  bool installed(const RepositoryFile& file) const {
    const auto found = installed_->files.find(file.path);
    return found != installed_->files.end() && found->second == file.identity() && has_file(target_ / file.path, file.size);
  }

  Result<void> open_partial() {
    std::error_code error;
    auto record = PullRecord::load(partial_);
    if (!record && fs::exists(partial_, error) && !fs::is_empty(partial_, error))
      return fail(Errc::denied, "{}: is in the way, and not what an interrupted pull left behind", partial_.string());
    fs::create_directories(partial_, error);
    if (error) return io_failure(partial_, "make the folder", error.message());
    lock_ = UniqueFd(::open(partial_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!lock_) return io_failure(partial_, "open", std::strerror(errno));
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      return fail(Errc::busy, "{}: is being pulled by another process", plan_.selection.name);
    record_ = record.value_or(PullRecord{});
    record_.repository = plan_.repository.id;
    record_.total = plan_.selection.bytes();
    drop_other_files();
    return record_.save(partial_);
  }

  // What an earlier attempt fetched of another commit or selection: its files, and those on their way.
  void drop_other_files() {
    std::map<std::string, std::string> kept;
    std::vector<fs::path> wanted{partial_ / PullRecord::kFile};
    for (const RepositoryFile& file : plan_.selection.files) {
      const fs::path path = partial_ / file.path;
      const auto found = record_.finished.find(file.path);
      if (found != record_.finished.end() && found->second == file.identity() && has_file(path, file.size)) {
        kept.insert(*found);
        wanted.push_back(path);
      } else {
        wanted.push_back(path.string() + ".part");
        wanted.push_back(path.string() + std::string(PartFile::kRecordEnding));
      }
    }
    record_.finished = std::move(kept);
    std::sort(wanted.begin(), wanted.end());
    std::vector<fs::path> others;
    std::error_code error;
    for (fs::recursive_directory_iterator at(partial_, error), end; !error && at != end; at.increment(error))
      if (!at->is_directory(error) && !std::binary_search(wanted.begin(), wanted.end(), at->path())) others.push_back(at->path());
    for (const fs::path& path : others) fs::remove(path, error);
  }

  void reuse_installed_files() {
    if (!installed_) return;
    for (const RepositoryFile& file : missing()) {
      std::error_code error;
      fs::create_directories((partial_ / file.path).parent_path(), error);
      if (installed(file)) fs::create_hard_link(target_ / file.path, partial_ / file.path, error);
      if (installed(file) && !error) record_.finished[file.path] = file.identity();
    }
  }

  Result<void> take_cached_files(CacheUse use) {
    if (options_.hub_cache.empty()) return {};
    for (const RepositoryFile& file : missing()) {
      const fs::path target = partial_ / file.path;
      uint64_t read = 0;  // of this file
      QUERN_ASSIGN(const bool taken,
                   take_from_hub_cache(options_.hub_cache, use, plan_.repository, file, target, [&](uint64_t bytes) {
                     report_cached(read += bytes);
                     return !options_.download.cancelled || !options_.download.cancelled();
                   }));
      if (!taken) continue;
      std::error_code ignored;
      fs::remove(target.string() + ".part", ignored);
      fs::remove(target.string() + std::string(PartFile::kRecordEnding), ignored);
      cached_bytes_ += file.size;
      record_.finished[file.path] = file.identity();
      QUERN_TRY(record_.save(partial_));
    }
    return {};
  }

  void report_cached(uint64_t bytes) {
    if (!options_.download.on_progress || Clock::now() < next_report_) return;
    next_report_ = Clock::now() + std::chrono::milliseconds(200);
    DownloadProgress progress{.done = bytes, .total = record_.total, .verified = bytes, .files_done = record_.finished.size()};
    for (const RepositoryFile& file : plan_.selection.files)
      if (record_.finished.contains(file.path)) progress.done += file.size;
    progress.files = plan_.selection.files.size();
    options_.download.on_progress(progress);
  }

  std::vector<RepositoryFile> missing() const {
    std::vector<RepositoryFile> files;
    for (const RepositoryFile& file : plan_.selection.files)
      if (!record_.finished.contains(file.path)) files.push_back(file);
    return files;
  }

  Result<void> check_disk() const {
    const uint64_t there = record_.bytes_there(partial_), needed = record_.total - std::min(record_.total, there);
    std::error_code error;
    const uint64_t free = options_.free_bytes ? options_.free_bytes(partial_) : fs::space(partial_, error).available;
    if (error || needed + kDiskReserve <= free) return {};
    return fail(Errc::out_of_range, "{}: {} are still to be fetched, and of the disk {} are free ({} are kept in reserve)",
                plan_.selection.name, gibibytes(needed), gibibytes(free), gibibytes(kDiskReserve));
  }

  // Its config says whether quern runs the model, which is better known before its weights are here.
  Result<void> check_model() {
    const auto& files = plan_.selection.files;
    const auto config = std::find_if(files.begin(), files.end(), [](const RepositoryFile& f) { return f.path == "config.json"; });
    if (config == files.end()) return {};
    if (!record_.finished.contains(config->path)) QUERN_TRY(fetch({*config}));
    const auto loaded = ModelConfig::load(partial_ / config->path);
    if (!loaded)
      return fail(loaded.error().code, "{}: quern cannot run this model: {} (--any pulls it all the same)", plan_.repository.id,
                  loaded.error().message);
    return {};
  }

  Result<void> fetch(const std::vector<RepositoryFile>& files) {
    DownloadOptions download_options = options_.download;
    download_options.on_file = [&](const RepositoryFile& file) {
      record_.finished[file.path] = file.identity();
      return record_.save(partial_);
    };
    uint64_t others = 0;  // bytes that need no fetching
    for (const RepositoryFile& file : plan_.selection.files)
      if (record_.finished.contains(file.path)) others += file.size;
    const size_t files_there = record_.finished.size();
    if (options_.download.on_progress)
      download_options.on_progress = [&, others, files_there](DownloadProgress progress) {
        progress.done += others;
        progress.total = record_.total;
        progress.files_done += files_there;
        progress.files = plan_.selection.files.size();
        options_.download.on_progress(progress);
      };
    return download(access_, plan_.repository, files, partial_, download_options);
  }

  Result<void> publish() {
    ModelSource source{access_.endpoint, plan_.repository.id, plan_.repository.revision, plan_.repository.commit, record_.finished};
    QUERN_TRY(write_file(partial_ / ModelSource::kFile, source.to_json().dump_indented() + "\n"));
    std::error_code ignored;
    sync_folder(partial_);
    const bool replaces = fs::exists(fs::symlink_status(target_, ignored));
    const int renamed = replaces ? ::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE)
                                 : ::rename(partial_.c_str(), target_.c_str());
    if (renamed != 0) return io_failure(partial_, "rename to " + target_.string(), std::strerror(errno));
    fs::remove(target_ / PullRecord::kFile, ignored);
    sync_folder(target_.parent_path());
    if (replaces) fs::remove_all(partial_, ignored);  // the old one
    return {};
  }

  const HubAccess& access_;
  const PullPlan& plan_;
  const PullOptions& options_;
  fs::path target_, partial_;
  std::optional<ModelSource> installed_;
  UniqueFd lock_;
  PullRecord record_;
  uint64_t cached_bytes_ = 0;
  Clock::time_point next_report_{};
};

}  // namespace

Result<PullPlan> plan_pull(const HubAccess& access, const ModelReference& reference, const PullWishes& wishes,
                           const std::function<bool()>& cancelled) {
  PullPlan plan;
  QUERN_ASSIGN(plan.repository, fetch_repository(access, reference.repository, wishes.revision, cancelled));
  QUERN_ASSIGN(plan.selection, select_files(plan.repository, reference, wishes.include, wishes.exclude));
  if (!wishes.name.empty()) plan.selection.name = wishes.name;
  QUERN_TRY(Catalogue::check_name(plan.selection.name));
  return plan;
}

Result<PullOutcome> pull(const Catalogue& catalogue, const HubAccess& access, const PullPlan& plan, const PullOptions& options) {
  return Pull(catalogue, access, plan, options).run();
}

}  // namespace quern
