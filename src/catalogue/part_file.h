// A file on its way: its bytes so far in NAME.part, and in NAME.part.json which of them are there. It is fetched in pieces, each by whoever is
// free, so that several connections share one large file. A process that is killed loses at most the last seconds of what it wrote; a machine that
// loses power may lose more, which the hash of the whole tells.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "catalogue/repository.h"

namespace quern {

// All functions may be called from any thread.
class PartFile {
 public:
  static constexpr std::string_view kRecordEnding = ".part.json";

  // A span of the file that one connection fetches. Its bytes up to `at` are there.
  struct Piece {
    size_t index = 0;
    uint64_t at = 0, end = 0;
    uint64_t attempt = 0;  // restart() makes pieces of earlier attempts void
  };

  // Takes up what an earlier process left, if it is of the same content. path: the finished file's. io.
  static Result<std::unique_ptr<PartFile>> open(const std::filesystem::path& path, const RepositoryFile& file,
                                                uint64_t piece_bytes);

  const RepositoryFile& file() const { return file_; }
  bool resumed() const { return resumed_; }  // some bytes are of an earlier process

  // A piece that is not complete and that nobody has; give_back when done with it, complete or not.
  std::optional<Piece> take();
  void give_back(const Piece& piece);
  // The piece's next bytes, of which it takes note. False: the piece is void. io; mismatch: more than the piece has.
  Result<bool> write(Piece& piece, std::string_view bytes);
  bool is_void(const Piece& piece) const;
  bool complete() const;  // and nobody has a piece
  uint64_t bytes() const;

  // The content's name by the server that sent it, for If-Range: a strong ETag, or empty.
  std::string etag() const;
  // Takes note of a server's; false: it is another than before, the content has changed.
  bool check_etag(const std::string& etag);
  // Everything again, from the beginning: the content has changed, or was wrong. in_one_piece: the server sends no parts.
  Result<void> restart(bool in_one_piece);

  Result<void> save();  // the record, now
  // Compares the content's hash with the file's, then gives it its name. mismatch: another one. on_bytes: called now and then; false gives up.
  Result<void> finish(const std::function<bool(uint64_t bytes)>& on_bytes);

  static uint64_t recorded_bytes(const std::filesystem::path& record);  // for lists; 0 where it cannot be read

 private:
  PartFile(std::filesystem::path path, RepositoryFile file) : path_(std::move(path)), file_(std::move(file)) {}
  std::filesystem::path part_path() const { return path_.string() + ".part"; }
  std::filesystem::path record_path() const { return path_.string() + std::string(kRecordEnding); }
  void cut(uint64_t piece_bytes);
  bool load_record(uint64_t& piece_bytes, std::vector<uint64_t>& there);
  Result<void> save_locked();

  struct Span {
    uint64_t begin = 0, end = 0, there = 0;
    bool taken = false;
  };

  std::filesystem::path path_;
  RepositoryFile file_;
  UniqueFd fd_;
  bool resumed_ = false;

  mutable std::mutex mutex_;  // of all below
  std::vector<Span> spans_;
  std::string etag_;
  uint64_t attempt_ = 0, piece_bytes_ = 0;
  std::chrono::steady_clock::time_point saved_{};
};

}  // namespace quern
