#include "catalogue/part_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/json.h"
#include "catalogue/content_hash.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr auto kSaveEvery = std::chrono::seconds(2);
constexpr size_t kMaxRecord = 4 << 20;
constexpr size_t kMaxSpans = 1 << 16;

std::optional<uint64_t> number(const Json* json) {
  const auto value = json && json->is_number() ? json->to_int64() : Result<int64_t>(fail(Errc::malformed, ""));
  if (!value || *value < 0) return {};
  return static_cast<uint64_t>(*value);
}

}  // namespace

void PartFile::cut(uint64_t piece_bytes) {
  spans_.clear();
  piece_bytes_ = piece_bytes;
  for (uint64_t begin = 0; begin < file_.size; begin += piece_bytes)
    spans_.push_back({.begin = begin, .end = std::min(file_.size, begin + piece_bytes)});
}

bool PartFile::load_record(uint64_t& piece_bytes, std::vector<uint64_t>& there) {
  const auto text = read_file(record_path(), kMaxRecord);
  const auto json = text ? Json::parse(*text, "") : Result<Json>(fail(Errc::not_found, ""));
  if (!json) return false;
  const Json *identity = json->find("identity"), *etag = json->find("etag"), *list = json->find("there");
  const auto piece = number(json->find("piece_bytes"));
  if (!identity || !identity->is_string() || identity->as_string() != file_.identity() || !piece || *piece == 0 || !list ||
      !list->is_array())
    return false;
  for (const Json& one : list->as_array()) {
    const auto bytes = number(&one);
    if (!bytes) return false;
    there.push_back(*bytes);
  }
  piece_bytes = *piece;
  if (etag && etag->is_string()) etag_ = etag->as_string();
  return there.size() == (file_.size + *piece - 1) / *piece;
}

Result<std::unique_ptr<PartFile>> PartFile::open(const fs::path& path, const RepositoryFile& file, uint64_t piece_bytes) {
  std::unique_ptr<PartFile> part(new PartFile(path, file));
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::vector<uint64_t> there;
  uint64_t recorded_piece = 0;
  const bool known = fs::exists(part->part_path(), error) && part->load_record(recorded_piece, there);
  if (!known) part->etag_.clear();
  part->fd_ = UniqueFd(::open(part->part_path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (known ? 0 : O_TRUNC), 0666));
  if (!part->fd_) return fail(Errc::io, "{}: cannot create: {}", part->part_path().string(), std::strerror(errno));
  part->cut(known ? recorded_piece : std::max(piece_bytes, file.size / kMaxSpans + 1));
  const off_t size = ::lseek(part->fd_.get(), 0, SEEK_END);
  for (size_t i = 0; known && i < there.size(); ++i) {
    Span& span = part->spans_[i];  // the record says no more than the file can hold
    const uint64_t in_file = static_cast<uint64_t>(size) > span.begin ? static_cast<uint64_t>(size) - span.begin : 0;
    span.there = std::min({there[i], span.end - span.begin, in_file});
    part->resumed_ |= span.there > 0;
  }
  return part;
}

std::optional<PartFile::Piece> PartFile::take() {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < spans_.size(); ++i) {
    Span& span = spans_[i];
    if (span.taken || span.begin + span.there == span.end) continue;
    span.taken = true;
    return Piece{i, span.begin + span.there, span.end, attempt_};
  }
  return {};
}

void PartFile::give_back(const Piece& piece) {
  const std::lock_guard lock(mutex_);
  if (piece.attempt == attempt_) spans_[piece.index].taken = false;
}

Result<bool> PartFile::write(Piece& piece, std::string_view bytes) {
  if (bytes.size() > piece.end - piece.at) return fail(Errc::mismatch, "{}: the server sends more than was asked for", file_.path);
  const std::lock_guard lock(mutex_);  // held while writing: restart() must not come between
  if (piece.attempt != attempt_) return false;
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(piece.at));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(Errc::io, "{}: cannot write: {}", part_path().string(), std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(put));
    piece.at += static_cast<uint64_t>(put);
  }
  spans_[piece.index].there = piece.at - spans_[piece.index].begin;
  if (Clock::now() - saved_ > kSaveEvery) QUERN_TRY(save_locked());
  return true;
}

bool PartFile::is_void(const Piece& piece) const {
  const std::lock_guard lock(mutex_);
  return piece.attempt != attempt_;
}

bool PartFile::complete() const {
  const std::lock_guard lock(mutex_);
  return std::all_of(spans_.begin(), spans_.end(), [](const Span& s) { return !s.taken && s.begin + s.there == s.end; });
}

uint64_t PartFile::bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const Span& span : spans_) sum += span.there;
  return sum;
}

std::string PartFile::etag() const {
  const std::lock_guard lock(mutex_);
  return etag_;
}

bool PartFile::check_etag(const std::string& etag) {
  const bool strong = etag.size() >= 2 && etag.front() == '"' && etag.back() == '"';
  const std::lock_guard lock(mutex_);
  if (!strong || etag == etag_) return true;
  if (!etag_.empty()) return false;
  etag_ = etag;
  return true;
}

Result<void> PartFile::restart(bool in_one_piece) {
  const std::lock_guard lock(mutex_);
  ++attempt_;
  resumed_ = false;
  etag_.clear();
  cut(in_one_piece ? std::max<uint64_t>(file_.size, 1) : piece_bytes_);
  if (::ftruncate(fd_.get(), 0) != 0) return fail(Errc::io, "{}: cannot empty it: {}", part_path().string(), std::strerror(errno));
  return save_locked();
}

Result<void> PartFile::save() {
  const std::lock_guard lock(mutex_);
  return save_locked();
}

Result<void> PartFile::save_locked() {
  Json json = Json::object();
  json["identity"] = file_.identity();
  json["etag"] = etag_;
  json["piece_bytes"] = piece_bytes_;
  Json there = Json::array();
  for (const Span& span : spans_) there.push_back(span.there);
  json["there"] = std::move(there);
  saved_ = Clock::now();
  return write_file(record_path(), json.dump(Json::Spacing::compact));
}

Result<void> PartFile::finish(const std::function<bool(uint64_t)>& on_bytes) {
  if (const std::string& expected = hash_at_hub(file_); !expected.empty()) {
    QUERN_ASSIGN(const std::string found, content_hash(fd_.get(), part_path(), file_, on_bytes));
    if (found != expected)
      return fail(Errc::mismatch, "{}: its {} is {}, the hub says {}", file_.path, hash_name(file_), found, expected);
  }
  if (::fsync(fd_.get()) != 0) return fail(Errc::io, "{}: cannot sync: {}", part_path().string(), std::strerror(errno));
  if (::rename(part_path().c_str(), path_.c_str()) != 0)
    return fail(Errc::io, "{}: cannot rename to its name: {}", part_path().string(), std::strerror(errno));
  std::error_code ignored;
  fs::remove(record_path(), ignored);
  return {};
}

uint64_t PartFile::recorded_bytes(const fs::path& record) {
  const auto text = read_file(record, kMaxRecord);
  const auto json = text ? Json::parse(*text, "") : Result<Json>(fail(Errc::not_found, ""));
  const Json* list = json ? json->find("there") : nullptr;
  uint64_t sum = 0;
  if (list && list->is_array())
    for (const Json& one : list->as_array()) sum += number(&one).value_or(0);
  return sum;
}

}  // namespace quern
