#include "runtime/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <set>

#include "base/checksum.h"
#include "base/compress.h"
#include "base/json.h"

namespace quern {
namespace {

constexpr std::string_view kMagic = "quern-kept-2\n";
constexpr size_t kMostHeader = size_t{1} << 20;

template <class T>
std::span<const std::byte> raw(std::span<const T> values) {
  return std::as_bytes(values);
}

uint64_t sum_of(std::span<const std::byte> bytes) {
  Checksum64 sum;
  sum.add(bytes);
  return sum.value();
}

// The name of what follows `before`: of tokens and the numbers they left behind.
uint64_t chained(uint64_t before, std::span<const int32_t> tokens, uint64_t content) {
  return Random::mix(Random::mix(before ^ sum_of(raw(tokens))) ^ content) | 1;  // never 0, which means: nothing before
}

std::string hex(uint64_t value) { return fmt::format("{:016x}", value); }

bool read_hex(std::string_view text, uint64_t& value) {
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return text.size() == 16 && status == std::errc() && end == text.data() + text.size();
}

size_t plane_width(KvFormat format) { return format == KvFormat::f32 ? 4 : format == KvFormat::bf16 ? 2 : 1; }

// Keys and values of the positions [first, end), both at page borders or end the last one's; layer by layer.
template <class Cache, class Visit>
void visit_pages(Cache& cache, int64_t first, int64_t end, const Visit& visit) {
  const auto last = static_cast<size_t>((end + kKvPagePositions - 1) / kKvPagePositions);
  for (auto p = static_cast<size_t>(first / kKvPagePositions); p < last; ++p)
    visit(std::span(cache.pages()[p].data, cache.page_bytes()));
}

// A body: sections of numbers of one width each, as planes.
class Body {
 public:
  void add(std::span<const std::byte> bytes) { section_.insert(section_.end(), bytes.begin(), bytes.end()); }
  void end_section(size_t width) {
    const size_t at = body_.size();
    body_.resize(at + section_.size());
    split_planes(section_, width, std::span(body_).subspan(at));
    section_.clear();
  }
  std::span<const std::byte> bytes() const { return body_; }

 private:
  std::vector<std::byte> section_, body_;
};

class BodyReader {
 public:
  explicit BodyReader(std::span<const std::byte> body) : rest_(body) {}
  void begin_section(size_t bytes, size_t width) {
    section_.resize(bytes);
    join_planes(rest_.first(bytes), width, section_);
    rest_ = rest_.subspan(bytes);
    at_ = 0;
  }
  void take(std::span<std::byte> out) {
    if (!out.empty()) std::memcpy(out.data(), section_.data() + at_, out.size());
    at_ += out.size();
  }

 private:
  std::span<const std::byte> rest_;
  std::vector<std::byte> section_;
  size_t at_ = 0;
};

}  // namespace

// What stands in a file's line of JSON.
struct StateFolder::Header {
  std::string kind, model, settings;
  uint64_t before = 0;            // block: the one before it, 0: none
  std::vector<uint64_t> blocks;   // state
  int64_t first = 0, tokens = 0;  // position of the first token, and how many
  int64_t mtp_length = 0, mtp_rows = 0;
  int64_t token_bytes = 0;  // of their frame
  uint64_t content = 0;     // checksum of the numbers

  Json json() const {
    Json json = Json::object();
    json["kind"] = kind;
    json["model"] = model;
    json["settings"] = settings;
    json["before"] = hex(before);
    Json ids = Json::array();
    for (const uint64_t id : blocks) ids.push_back(hex(id));
    json["blocks"] = std::move(ids);
    json["first"] = first;
    json["tokens"] = tokens;
    json["mtp_length"] = mtp_length;
    json["mtp_rows"] = mtp_rows;
    json["token_bytes"] = token_bytes;
    json["content"] = hex(content);
    return json;
  }

  static Result<Header> parse(const Json& json, std::string_view where) {
    Header h;
    const auto text = [&](std::string_view key, std::string& out) -> Result<void> {
      const Json* value = json.find(key);
      if (!value || !value->is_string()) return fail(Errc::malformed, "{}: {}: expected a string", where, key);
      out = value->as_string();
      return {};
    };
    const auto id = [&](std::string_view key, uint64_t& out) -> Result<void> {
      std::string digits;
      QUERN_TRY(text(key, digits));
      if (!read_hex(digits, out)) return fail(Errc::malformed, "{}: {}: expected 16 hexadecimal digits", where, key);
      return {};
    };
    const auto number = [&](std::string_view key, int64_t most, int64_t& out) -> Result<void> {
      const Json* value = json.find(key);
      const auto read = value ? value->to_int64() : Result<int64_t>(fail(Errc::malformed, "absent"));
      if (!read || *read < 0 || *read > most)
        return fail(Errc::malformed, "{}: {}: expected an integer from 0 to {}", where, key, most);
      out = *read;
      return {};
    };
    constexpr int64_t kMost = int64_t{1} << 40;
    QUERN_TRY(text("kind", h.kind));
    QUERN_TRY(text("model", h.model));
    QUERN_TRY(text("settings", h.settings));
    QUERN_TRY(id("before", h.before));
    QUERN_TRY(id("content", h.content));
    QUERN_TRY(number("first", kMost, h.first));
    QUERN_TRY(number("tokens", kMost, h.tokens));
    QUERN_TRY(number("mtp_length", kMost, h.mtp_length));
    QUERN_TRY(number("mtp_rows", 1, h.mtp_rows));
    QUERN_TRY(number("token_bytes", kMost, h.token_bytes));
    const Json* blocks = json.find("blocks");
    if (!blocks || !blocks->is_array()) return fail(Errc::malformed, "{}: blocks: expected an array", where);
    for (const Json& one : blocks->as_array()) {
      uint64_t value = 0;
      if (!one.is_string() || !read_hex(one.as_string(), value))
        return fail(Errc::malformed, "{}: blocks: expected 16 hexadecimal digits each", where);
      h.blocks.push_back(value);
    }
    return h;
  }
};

namespace {

// A file taken apart; views into the mapping.
template <class Header>
struct Opened {
  std::shared_ptr<const MappedFile> file;
  Header header;
  std::vector<int32_t> tokens;
  std::span<const std::byte> body;  // its frame
};

template <class Header>
Result<Opened<Header>> open_kept(const std::filesystem::path& path, const Header& expected, int64_t context, int64_t vocab) {
  Opened<Header> opened;
  QUERN_ASSIGN(opened.file, MappedFile::open(path));
  const auto bytes = opened.file->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kMostHeader));
  const size_t end = text.find('\n', kMagic.size());
  if (!text.starts_with(kMagic) || end == std::string_view::npos)
    return fail(Errc::malformed, "{}: not a kept state of this version", path.string());
  QUERN_ASSIGN(Json json, Json::parse(text.substr(kMagic.size(), end - kMagic.size()), path.string(), {.max_depth = 3}));
  std::string sum;
  if (const Json* given = json.find("checksum"); given && given->is_string()) sum = given->as_string();
  if (json.is_object()) std::erase_if(json.as_object(), [](const Json::Member& m) { return m.first == "checksum"; });
  QUERN_ASSIGN(opened.header, Header::parse(json, path.string()));
  const Header& h = opened.header;
  if (h.kind != expected.kind) return fail(Errc::malformed, "{}: a {}, expected a {}", path.string(), h.kind, expected.kind);
  if (h.model != expected.model || h.settings != expected.settings)
    return fail(Errc::mismatch, "{}: of another model or other settings", path.string());
  const auto rest = bytes.subspan(end + 1);
  if (h.tokens > context || h.first > context - h.tokens || static_cast<uint64_t>(h.token_bytes) > rest.size())
    return fail(Errc::malformed, "{}: its sizes do not go together", path.string());
  const auto token_frame = rest.first(static_cast<size_t>(h.token_bytes));
  Checksum64 check;
  check.add(json.dump());
  check.add(token_frame);
  if (sum != hex(check.value()))
    return fail(Errc::malformed, "{}: the checksum does not match: the file is damaged", path.string());
  opened.tokens.resize(static_cast<size_t>(h.tokens));
  if (auto done = decompress(token_frame, std::as_writable_bytes(std::span(opened.tokens))); !done)
    return with_context(done.error(), path.string());
  for (const int32_t id : opened.tokens)
    if (id < 0 || id >= vocab) return fail(Errc::malformed, "{}: token {}: no such id", path.string(), id);
  opened.body = rest.subspan(token_frame.size());
  return opened;
}

// The numbers of an opened file, `size` bytes of them.
template <class Header>
Result<std::vector<std::byte>> numbers_of(const Opened<Header>& opened, size_t size) {
  std::vector<std::byte> numbers(size);
  const std::string path = opened.file->path().string();
  if (auto done = decompress(opened.body, numbers); !done) return with_context(done.error(), path);
  if (sum_of(numbers) != opened.header.content) return fail(Errc::malformed, "{}: its content is damaged", path);
  return numbers;
}

template <class Header>
Result<size_t> write_kept(const std::filesystem::path& path, Header header, std::span<const int32_t> tokens,
                          std::span<const std::byte> numbers) {
  const std::string token_frame = compress(raw(tokens)), body = compress(numbers);
  header.tokens = static_cast<int64_t>(tokens.size());
  header.token_bytes = static_cast<int64_t>(token_frame.size());
  Json json = header.json();
  Checksum64 sum;
  sum.add(json.dump());
  sum.add(token_frame);
  json["checksum"] = hex(sum.value());
  const std::string line = json.dump() + "\n";
  if (kMagic.size() + line.size() > kMostHeader) return fail(Errc::out_of_range, "{}: too many blocks", path.string());
  QUERN_ASSIGN(AtomicFile out, AtomicFile::create(path));
  for (const std::string_view part : {kMagic, std::string_view(line), std::string_view(token_frame), std::string_view(body)})
    QUERN_TRY(out.write(part));
  QUERN_TRY(out.commit());
  return kMagic.size() + line.size() + token_frame.size() + body.size();
}

std::string settings_text(const Runner& runner) {
  std::string text;
  for (const auto& [key, value] : Timeline::settings_of(runner))
    text += fmt::format("{}{}-{}", text.empty() ? "" : "-", key, value);
  return text;
}

}  // namespace

// --- opening -------------------------------------------------------------------------------------------------------------------------

// What a folder holds when it is opened.
class StateFolder::Scan {
 public:
  explicit Scan(StateFolder& folder) : folder_(folder) {}

  Result<void> run(const Warn& warn) {
    std::error_code error;
    std::vector<std::filesystem::path> states;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path_, error)) {
      const std::string name = entry.path().filename().string();
      if (name.find(".tmp-") != std::string::npos) {  // of a process that died while it wrote
        std::filesystem::remove(entry.path(), error);
      } else if (name.starts_with("block-")) {
        block(entry.path(), name.substr(6));
      } else if (name.starts_with("state-")) {
        states.push_back(entry.path());
      }
    }
    if (error) return fail(Errc::io, "{}: {}", folder_.path_.string(), error.message());
    for (const auto& path : states) state(path, path.filename().string().substr(6));
    std::sort(times_.begin(), times_.end());
    for (const auto& [time, at] : times_) folder_.found_.push_back(std::move(found_[at]));
    for (auto it = blocks_.begin(); it != blocks_.end(); ++it)
      if (!folder_.blocks_.contains(it->first)) std::filesystem::remove(folder_.file("block", it->first), error);
    if (bad_ > 0 && warn) warn(fmt::format("{} of the kept states' files cannot be used: {}", bad_, first_bad_));
    return {};
  }

 private:
  struct Seen {
    uint64_t before;
    std::vector<int32_t> tokens;
    size_t bytes;
  };
  void bad(const Error& error) {
    if (bad_++ == 0) first_bad_ = error.message;
  }
  Result<Opened<Header>> open(const std::filesystem::path& path, std::string_view kind) {
    return open_kept(path, folder_.header(kind), folder_.runner_.context, folder_.runner_.model.config.vocab_size);
  }

  void block(const std::filesystem::path& path, std::string_view digits) {
    uint64_t id = 0;
    auto opened = open(path, "block");
    if (!opened) return bad(opened.error());
    if (!read_hex(digits, id) || opened->header.tokens != kBlock ||
        id != chained(opened->header.before, opened->tokens, opened->header.content))
      return bad({Errc::malformed, fmt::format("{}: not the block that its name says", path.string())});
    blocks_[id] = {opened->header.before, std::move(opened->tokens), opened->file->bytes().size()};
  }

  void state(const std::filesystem::path& path, std::string_view digits) {
    auto opened = open(path, "state");
    if (!opened) return bad(opened.error());
    Found found;
    uint64_t before = 0;
    for (const uint64_t id : opened->header.blocks) {
      const auto block = blocks_.find(id);
      if (block == blocks_.end() || block->second.before != before)
        return bad({Errc::malformed, fmt::format("{}: its block {} is not there", path.string(), hex(id))});
      found.tokens.insert(found.tokens.end(), block->second.tokens.begin(), block->second.tokens.end());
      before = id;
    }
    const bool fits = opened->header.first == static_cast<int64_t>(found.tokens.size()) && opened->header.tokens < kBlock &&
                      opened->header.first + opened->header.tokens <= folder_.runner_.context;
    if (!fits || !read_hex(digits, found.state.id) || found.state.id != chained(before, opened->tokens, opened->header.content))
      return bad({Errc::malformed, fmt::format("{}: not the state that its name says", path.string())});
    found.tokens.insert(found.tokens.end(), opened->tokens.begin(), opened->tokens.end());
    if (found.tokens.empty()) return bad({Errc::malformed, fmt::format("{}: a state of no tokens", path.string())});
    found.state.bytes = opened->file->bytes().size();
    found.state.blocks = std::move(opened->header.blocks);
    folder_.bytes_ += found.state.bytes;
    for (const uint64_t id : found.state.blocks) {
      Block& block = folder_.blocks_[id];
      if (block.users++ > 0) continue;
      block.bytes = blocks_[id].bytes;
      folder_.bytes_ += block.bytes;
    }
    std::error_code error;
    times_.emplace_back(std::filesystem::last_write_time(path, error), found_.size());
    found_.push_back(std::move(found));
  }

  StateFolder& folder_;
  std::map<uint64_t, Seen> blocks_;
  std::vector<Found> found_;
  std::vector<std::pair<std::filesystem::file_time_type, size_t>> times_;
  int64_t bad_ = 0;
  std::string first_bad_;
};

Result<std::unique_ptr<StateFolder>> StateFolder::open(const std::filesystem::path& folder, const Runner& runner,
                                                       const Warn& warn) {
  const std::filesystem::path path = folder / fmt::format("{}-{}", hex(runner.model.fingerprint), settings_text(runner));
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail(Errc::io, "{}: {}", path.string(), error.message());
  std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);  // conversations are in it
  std::unique_ptr<StateFolder> opened(new StateFolder(path, runner));
  opened->lock_ = UniqueFd(::open((path / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!opened->lock_) return fail(Errc::io, "{}: {}", path.string(), std::strerror(errno));
  if (::flock(opened->lock_.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Errc::busy, "{}: another process keeps its states there", path.string());
  QUERN_TRY(Scan(*opened).run(warn));
  return opened;
}

StateFolder::Header StateFolder::header(std::string_view kind) const {
  Header h;
  h.kind = kind;
  h.model = hex(runner_.model.fingerprint);
  h.settings = settings_text(runner_);
  return h;
}

std::filesystem::path StateFolder::file(std::string_view kind, uint64_t id) const {
  return path_ / fmt::format("{}-{}", kind, hex(id));
}

// --- writing -------------------------------------------------------------------------------------------------------------------------

Result<void> StateFolder::write_block(uint64_t id, uint64_t before, int64_t first, std::span<const int32_t> tokens,
                                      std::span<const std::byte> numbers) {
  Header h = header("block");
  h.before = before;
  h.first = first;
  h.content = sum_of(numbers);
  QUERN_ASSIGN(const size_t bytes, write_kept(file("block", id), std::move(h), tokens, numbers));
  const std::lock_guard lock(mutex_);
  blocks_[id].bytes = bytes;
  bytes_ += bytes;
  return {};
}

Result<StoredState> StateFolder::write(const std::shared_ptr<const SequenceState>& state, std::span<const int32_t> tokens) {
  StoredState stored;
  uint64_t before = 0;
  int64_t at = 0;
  const auto caches = state->kv_caches();
  const size_t own = caches.size() - (state->has_mtp() ? 1 : 0);
  const size_t width = plane_width(runner_.kv);
  const auto give_up = [&](const Error& error) {
    const std::lock_guard lock(mutex_);
    let_go(stored.blocks);
    return tl::unexpected(error);
  };
  for (; at + kBlock <= state->position(); at += kBlock) {
    Body body;
    for (size_t c = 0; c < own; ++c) visit_pages(*caches[c], at, at + kBlock, [&](auto page) { body.add(page); });
    body.end_section(width);
    const auto part = tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(kBlock));
    const uint64_t id = chained(before, part, sum_of(body.bytes()));
    bool known = false;
    {
      const std::lock_guard lock(mutex_);
      Block& block = blocks_[id];
      known = block.bytes > 0;
      ++block.users;
      if (block.holder.expired()) block.holder = state;
    }
    stored.blocks.push_back(id);
    if (!known)
      if (auto written = write_block(id, before, at, part, body.bytes()); !written) return give_up(written.error());
    before = id;
  }
  Header h = header("state");
  Body body;
  for (const std::vector<float>* part : const_cast<SequenceState&>(*state).settled_parts())  // read only
    body.add(std::as_bytes(std::span(*part)));
  body.end_section(sizeof(float));
  for (size_t c = 0; c < own; ++c) visit_pages(*caches[c], at, state->position(), [&](auto page) { body.add(page); });
  if (state->has_mtp()) {
    h.mtp_length = caches[own]->length();
    h.mtp_rows = const_cast<SequenceState&>(*state).mtp_hidden().empty() ? 0 : 1;
    visit_pages(*caches[own], 0, h.mtp_length, [&](auto page) { body.add(page); });
  }
  body.end_section(width);
  h.before = before;
  h.blocks = stored.blocks;
  h.first = at;
  h.content = sum_of(body.bytes());
  const auto tail = tokens.subspan(static_cast<size_t>(at));
  stored.id = chained(before, tail, h.content);
  auto bytes = write_kept(file("state", stored.id), std::move(h), tail, body.bytes());
  if (!bytes) return give_up(bytes.error());
  stored.bytes = *bytes;
  const std::lock_guard lock(mutex_);
  bytes_ += stored.bytes;
  return stored;
}

// --- loading -------------------------------------------------------------------------------------------------------------------------

Result<void> StateFolder::load_block(uint64_t id, uint64_t before, int64_t at, std::span<const int32_t> tokens,
                                     SequenceState& state) {
  const auto layers = static_cast<int64_t>(state.kv_caches().size()) - (state.has_mtp() ? 1 : 0);
  const int64_t end = at + kBlock;
  std::shared_ptr<const SequenceState> holder;
  {
    const std::lock_guard lock(mutex_);
    holder = blocks_[id].holder.lock();
  }
  if (holder && holder->position() >= end) {
    const auto from = holder->kv_caches();
    for (int64_t l = 0; l < layers; ++l) state.kv(l).share(*from[static_cast<size_t>(l)], end);
    return {};
  }
  QUERN_ASSIGN(const auto opened, open_kept(file("block", id), header("block"), runner_.context, runner_.model.config.vocab_size));
  if (opened.header.before != before || opened.header.first != at || !std::ranges::equal(opened.tokens, tokens) ||
      id != chained(before, tokens, opened.header.content))
    return fail(Errc::malformed, "{}: not the block that its name says", file("block", id).string());
  const size_t pages = static_cast<size_t>(kBlock / kKvPagePositions);
  const size_t bytes = layers > 0 ? static_cast<size_t>(layers) * pages * state.kv(0).page_bytes() : 0;
  QUERN_ASSIGN(const std::vector<std::byte> numbers, numbers_of(opened, bytes));
  BodyReader reader(numbers);
  reader.begin_section(bytes, plane_width(runner_.kv));
  for (int64_t l = 0; l < layers; ++l) {
    state.kv(l).extend(at, kBlock);
    visit_pages(state.kv(l), at, end, [&](auto page) { reader.take(page); });
  }
  return {};
}

Result<SequenceState> StateFolder::load(const StoredState& stored, std::span<const int32_t> tokens) {
  const std::filesystem::path path = file("state", stored.id);
  const auto position = static_cast<int64_t>(tokens.size());
  QUERN_ASSIGN(const auto opened, open_kept(path, header("state"), runner_.context, runner_.model.config.vocab_size));
  const Header& h = opened.header;
  if (h.blocks != stored.blocks || h.first != static_cast<int64_t>(h.blocks.size()) * kBlock || h.first + h.tokens != position ||
      h.mtp_length > std::max<int64_t>(0, position - 1) || (!runner_.with_mtp && h.mtp_length + h.mtp_rows > 0))
    return fail(Errc::malformed, "{}: not the state that it was", path.string());
  SequenceState state = SequenceState::settled_at(runner_.model.config, runner_.kv, runner_.model.fingerprint, runner_.with_mtp,
                                                  position, h.mtp_rows);
  uint64_t before = 0;
  for (size_t b = 0; b < h.blocks.size(); ++b) {
    const size_t at = b * static_cast<size_t>(kBlock);
    QUERN_TRY(load_block(h.blocks[b], before, static_cast<int64_t>(at), tokens.subspan(at, static_cast<size_t>(kBlock)), state));
    before = h.blocks[b];
  }
  const auto parts = state.settled_parts();
  size_t floats = 0, kv = 0;
  for (const auto* part : parts) floats += part->size() * sizeof(float);
  const auto layers = static_cast<int64_t>(state.kv_caches().size()) - (state.has_mtp() ? 1 : 0);
  for (int64_t l = 0; l < layers; ++l) {
    state.kv(l).extend(h.first, position - h.first);
    visit_pages(state.kv(l), h.first, position, [&](auto page) { kv += page.size(); });
  }
  if (state.has_mtp()) {
    state.mtp_kv().extend(0, h.mtp_length);
    visit_pages(state.mtp_kv(), 0, h.mtp_length, [&](auto page) { kv += page.size(); });
  }
  QUERN_ASSIGN(const std::vector<std::byte> numbers, numbers_of(opened, floats + kv));
  if (stored.id != chained(before, tokens.subspan(static_cast<size_t>(h.first)), h.content))
    return fail(Errc::malformed, "{}: not the state that its name says", path.string());
  BodyReader reader(numbers);
  reader.begin_section(floats, sizeof(float));
  for (auto* part : parts) reader.take(std::as_writable_bytes(std::span(*part)));
  reader.begin_section(kv, plane_width(runner_.kv));
  for (int64_t l = 0; l < layers; ++l) visit_pages(state.kv(l), h.first, position, [&](auto page) { reader.take(page); });
  if (state.has_mtp()) visit_pages(state.mtp_kv(), 0, h.mtp_length, [&](auto page) { reader.take(page); });
  std::error_code error;  // its use, for the next process that opens the folder
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now(), error);
  return state;
}

// --- what is there -------------------------------------------------------------------------------------------------------------------

void StateFolder::share(const StoredState& stored, const std::shared_ptr<const SequenceState>& state) {
  const std::lock_guard lock(mutex_);
  for (const uint64_t id : stored.blocks)
    if (const auto block = blocks_.find(id); block != blocks_.end() && block->second.holder.expired()) block->second.holder = state;
}

void StateFolder::let_go(const std::vector<uint64_t>& blocks) {
  std::error_code error;
  for (const uint64_t id : blocks) {
    const auto block = blocks_.find(id);
    if (block == blocks_.end() || --block->second.users > 0) continue;
    bytes_ -= block->second.bytes;
    blocks_.erase(block);
    std::filesystem::remove(file("block", id), error);
  }
}

void StateFolder::remove(const StoredState& stored) {
  std::error_code error;
  std::filesystem::remove(file("state", stored.id), error);
  const std::lock_guard lock(mutex_);
  bytes_ -= stored.bytes;
  let_go(stored.blocks);
}

size_t StateFolder::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

size_t StateFolder::removal_frees(const StoredState& stored) const {
  const std::lock_guard lock(mutex_);
  size_t bytes = stored.bytes;
  for (auto id = stored.blocks.rbegin(); id != stored.blocks.rend(); ++id) {
    const auto block = blocks_.find(*id);
    if (block == blocks_.end() || block->second.users > 1) break;  // nor are those before it its own
    bytes += block->second.bytes;
  }
  return bytes;
}

}  // namespace quern
