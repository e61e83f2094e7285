#include "catalogue/download.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <memory>
#include <thread>

#include "catalogue/part_file.h"

namespace quern {
namespace {

// "bytes 0-99/1234" of a 206.
struct ContentRange {
  uint64_t first = 0, last = 0, size = 0;

  static std::optional<ContentRange> parse(std::string_view text) {
    ContentRange range;
    const auto number = [&](uint64_t& value, std::string_view until) {
      const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
      text.remove_prefix(static_cast<size_t>(end - text.data()));
      if (status != std::errc() || !text.starts_with(until)) return false;
      text.remove_prefix(until.size());
      return true;
    };
    if (!text.starts_with("bytes ")) return {};
    text.remove_prefix(6);
    if (!number(range.first, "-") || !number(range.last, "/") || !number(range.size, "") || !text.empty()) return {};
    return range;
  }
};

struct Work {
  size_t file = 0;
  PartFile::Piece piece;
};

enum class Outcome { complete, void_piece, again };

// What one answer came to.
struct Attempt {
  Outcome outcome = Outcome::again;
  bool progress = false;
  double retry_after = 0;
  Error error;  // of Outcome::again, where no further try helps either
};

class Downloads {
 public:
  Downloads(const HubAccess& access, const Repository& repository, const DownloadOptions& options)
      : access_(access), repository_(repository), options_(options) {}

  Result<void> open(const std::vector<RepositoryFile>& files, const std::filesystem::path& folder) {
    for (const RepositoryFile& file : files) {
      QUERN_ASSIGN(auto part, PartFile::open(folder / file.path, file, options_.piece_bytes));
      parts_.push_back(std::move(part));
      finished_.push_back(State::open);
      progress_.total += file.size;
    }
    progress_.files = files.size();
    return {};
  }

  Result<void> run() {
    std::vector<std::thread> threads;
    const size_t count = std::min<size_t>(static_cast<size_t>(std::max(1, options_.connections)), 64);
    {
      const std::lock_guard lock(mutex_);
      running_ = count;
    }
    for (size_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
    {
      std::unique_lock lock(mutex_);
      while (running_ > 0) {
        changed_.wait_for(lock, std::chrono::milliseconds(200));
        if (options_.on_progress) report(lock);
      }
    }
    for (std::thread& thread : threads) thread.join();
    if (error_) {
      for (size_t i = 0; i < parts_.size(); ++i)
        if (finished_[i] != State::done) static_cast<void>(parts_[i]->save());  // whose error would only hide the first
      return tl::unexpected(*error_);
    }
    return {};
  }

 private:
  enum class State { open, verifying, done };

  void report(std::unique_lock<std::mutex>& lock) {
    DownloadProgress progress = progress_;
    progress.verified = verified_;
    for (size_t i = 0; i < parts_.size(); ++i)
      progress.done += finished_[i] == State::done ? parts_[i]->file().size : parts_[i]->bytes();
    lock.unlock();
    options_.on_progress(progress);
    lock.lock();
  }

  bool stopped() const { return stop_ || (options_.cancelled && options_.cancelled()); }

  void stop(Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    stop_ = true;
    changed_.notify_all();
  }

  // The next piece of the first files; nothing when all is done or everything has to stop. Verifies a file that has just become complete.
  std::optional<Work> next() {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (stop_) return {};
      bool all_done = true, look_again = false;
      for (size_t i = 0; i < parts_.size(); ++i) {
        if (finished_[i] == State::done) continue;
        all_done = false;
        if (finished_[i] == State::verifying) continue;
        if (auto piece = parts_[i]->take()) return Work{i, *piece};
        if (!parts_[i]->complete()) continue;  // others have its last pieces
        finished_[i] = State::verifying;
        lock.unlock();
        auto verified = finish(i);
        lock.lock();
        if (!verified) {
          if (!error_) error_ = verified.error();
          stop_ = true;
        }
        changed_.notify_all();
        look_again = true;
        break;
      }
      if (all_done) return {};
      if (!look_again) changed_.wait_for(lock, std::chrono::milliseconds(100));
    }
  }

  Result<void> finish(size_t index) {
    PartFile& part = *parts_[index];
    const auto done = part.finish([this](uint64_t bytes) {
      verified_ += bytes;
      return !stopped();
    });
    if (!done && done.error().code == Errc::mismatch) {
      const bool resumed = part.resumed();
      QUERN_TRY(part.restart(/*in_one_piece=*/false));  // nobody needs these bytes
      if (!resumed) return done;
      const std::lock_guard lock(mutex_);
      finished_[index] = State::open;  // the machine may have lost what an earlier process wrote: once more, from the beginning
      return {};
    }
    QUERN_TRY(done);
    const std::lock_guard lock(mutex_);
    if (options_.on_file) QUERN_TRY(options_.on_file(part.file()));
    finished_[index] = State::done;
    ++progress_.files_done;
    return {};
  }

  void work() {
    while (auto work = next()) {
      PartFile& part = *parts_[work->file];
      const auto fetched = fetch(part, work->piece);
      part.give_back(work->piece);
      {
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
      }
      if (!fetched) stop(fetched.error());
    }
    const std::lock_guard lock(mutex_);
    --running_;
    changed_.notify_all();
  }

  // Until the piece is complete, or void, or no more tries are left.
  Result<void> fetch(PartFile& part, PartFile::Piece& piece) {
    for (int failures = 0;;) {
      if (stopped()) return fail(Errc::io, "{}: interrupted; the same command goes on where this one stopped", repository_.id);
      QUERN_ASSIGN(Attempt attempt, try_once(part, piece));
      if (attempt.outcome != Outcome::again) return {};
      failures = attempt.progress ? 1 : failures + 1;
      if (failures > access_.retries) return tl::unexpected(attempt.error);
      const double wait = std::max(access_.retry_wait_s * (1 << std::min(failures - 1, 5)), attempt.retry_after);
      wait_for(wait, [&] { return stopped() || part.is_void(piece); });
      if (part.is_void(piece)) return {};
    }
  }

  // Why an answer is of no use, decided by its head.
  struct Verdict {
    bool usable = false;
    std::optional<Error> refused;  // for good
    std::optional<bool> restart;   // everything again, in one piece?
  };

  Verdict judge(PartFile& part, const PartFile::Piece& piece, bool ranged, const HttpResponse& head) const {
    const RepositoryFile& file = part.file();
    const auto mismatch = [&](std::string text) {
      return Verdict{.refused = Error{Errc::mismatch, printable_line(file.path + ": " + text)}};
    };
    const std::string* etag = head.headers.find("etag");
    if (head.status == 206 && ranged) {
      const std::string* field = head.headers.find("content-range");
      const auto range = field ? ContentRange::parse(*field) : std::nullopt;
      if (!range) return mismatch("the server sends a part of it without saying which");
      if (range->size != file.size)
        return mismatch(fmt::format("the server has {} bytes of it, the hub lists {}", range->size, file.size));
      if (range->first != piece.at || range->last >= piece.end || range->last < range->first)
        return mismatch(fmt::format("the server sends bytes {} to {}, {} to {} were asked for", range->first, range->last, piece.at,
                                    piece.end - 1));
      if (etag && !part.check_etag(*etag)) return {.restart = false};  // it has changed between two pieces
      return {.usable = true};
    }
    if (head.status == 200) {
      const std::string* length = head.headers.find("content-length");
      if (length && *length != std::to_string(file.size))
        return mismatch(fmt::format("the server has {} bytes of it, the hub lists {}", length->substr(0, 30), file.size));
      if (ranged) return {.restart = true};  // it has changed, or this server sends no parts
      if (etag) part.check_etag(*etag);
      return {.usable = true};
    }
    if (head.status == 416 && ranged) return {.restart = true};
    // A signed URL that is refused may have run out: the hub is asked for another.
    if (!is_temporary(head.status) && !is_from_elsewhere(access_, head))
      return {.refused = status_error(head, repository_.id + "/" + file.path, !access_.token.empty())};
    return {};
  }

  Result<Attempt> try_once(PartFile& part, PartFile::Piece& piece) {
    const RepositoryFile& file = part.file();
    HttpRequest request = hub_request(access_, file_path(repository_, file));
    request.max_body = SIZE_MAX;
    request.cancelled = [&] { return stopped(); };
    const bool ranged = piece.at > 0 || piece.end < file.size;
    if (ranged) {
      request.headers.add("Range", fmt::format("bytes={}-{}", piece.at, piece.end - 1));
      if (const std::string etag = part.etag(); !etag.empty()) request.headers.add("If-Range", etag);
    }
    Verdict verdict;
    const uint64_t before = piece.at;
    bool wanted = true;
    Result<void> written;
    request.on_head = [&](const HttpResponse& head) {
      verdict = judge(part, piece, ranged, head);
      return verdict.usable;
    };
    request.on_chunk = [&](std::string_view bytes) {
      const auto put = part.write(piece, bytes);
      if (!put) written = tl::unexpected(put.error());
      wanted = put.value_or(false);
      return wanted;
    };
    const auto response = http_send(request);
    QUERN_TRY(written);
    if (!wanted || part.is_void(piece)) return Attempt{.outcome = Outcome::void_piece};
    if (verdict.refused) return tl::unexpected(*verdict.refused);
    if (verdict.restart) return restart(part, *verdict.restart);
    if (piece.at == piece.end) return Attempt{.outcome = Outcome::complete};
    Attempt again{.progress = piece.at > before};
    if (!response) {
      if (response.error().code != Errc::io && response.error().code != Errc::malformed) return tl::unexpected(response.error());
      again.error = Error{response.error().code, file.path + ": " + response.error().message};
    } else if (verdict.usable) {
      again.error = Error{Errc::io, fmt::format("{}: the server stops {} bytes before its end", file.path, piece.end - piece.at)};
    } else {
      again.error = is_from_elsewhere(access_, *response)
                        ? Error{Errc::io, fmt::format("{}: the host that the hub redirects to answers with status {}", file.path,
                                                      response->status)}
                        : status_error(*response, file.path, !access_.token.empty());
      again.retry_after = retry_after_s(*response);
    }
    return again;
  }

  Result<Attempt> restart(PartFile& part, bool in_one_piece) {
    if (++restarts_ > parts_.size() + 3)
      return fail(Errc::mismatch, "{}: had to be begun anew too often: the server sends no parts of files, or changes them",
                  part.file().path);
    QUERN_TRY(part.restart(in_one_piece));
    return Attempt{.outcome = Outcome::void_piece};
  }

  const HubAccess& access_;
  const Repository& repository_;
  const DownloadOptions& options_;
  std::vector<std::unique_ptr<PartFile>> parts_;
  std::atomic<uint64_t> verified_ = 0;
  std::atomic<size_t> restarts_ = 0;
  std::atomic<bool> stop_ = false;

  std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  std::vector<State> finished_;
  DownloadProgress progress_;
  size_t running_ = 0;
  std::optional<Error> error_;
};

}  // namespace

Result<void> download(const HubAccess& access, const Repository& repository, const std::vector<RepositoryFile>& files,
                      const std::filesystem::path& folder, const DownloadOptions& options) {
  QUERN_TRY(access.check());
  Downloads downloads(access, repository, options);
  QUERN_TRY(downloads.open(files, folder));
  return downloads.run();
}

}  // namespace quern
