#include "text/replay.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <list>
#include <unordered_map>

#include "base/checksum.h"
#include "base/file.h"
#include "text/assistant_parser.h"
#include "text/trim.h"

namespace quern {
namespace {

// A JSON value whatever its spacing, the order of its keys and the spelling of its numbers. Numbers as doubles, as most clients hold them.
void append_canonical(std::string& out, const Json& value) {
  if (value.is_number()) {
    const double number = value.as_double();
    out += std::isfinite(number) ? fmt::format("{}", number == 0 ? 0.0 : number) : value.number_text();
  } else if (value.is_array()) {
    out += '[';
    for (const Json& one : value.as_array()) {
      append_canonical(out, one);
      out += ',';
    }
    out += ']';
  } else if (value.is_object()) {
    std::vector<const Json::Member*> members;
    for (const Json::Member& member : value.as_object()) members.push_back(&member);
    std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
    out += '{';
    for (const Json::Member* member : members) {
      append_json_string(out, member->first);
      out += ':';
      append_canonical(out, member->second);
      out += ',';
    }
    out += '}';
  } else {
    out += value.dump(Json::Spacing::compact);
  }
}

// Arguments that came as a string are the JSON it reads as; none at all are an empty object.
void append_arguments(std::string& out, const Json& arguments) {
  if (!arguments.is_string()) return append_canonical(out, arguments);
  if (trim(arguments.as_string()).empty()) return append_canonical(out, Json::object());
  const auto read = Json::parse(arguments.as_string(), "arguments");
  append_canonical(out, read ? *read : arguments);
}

// Runs of white space as one space: a client may keep or lose line breaks between text and calls.
std::string single_spaced(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool space = kTextSpaces.find(c) != std::string_view::npos;
    if (!space)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

// A message as a text that is equal for those that say the same; reasoning is left out.
std::string canonical(const Message& m) {
  std::string text = fmt::format("{}\n", role_name(m.role));
  text += m.tool_calls.empty() ? std::string(trim(m.content)) : single_spaced(m.content);
  for (const ToolCall& call : m.tool_calls) {
    text += '\0';
    text += call.name;
    text += '\0';
    append_arguments(text, call.arguments);
  }
  return text;
}

uint64_t hashed(std::string_view text) {
  Checksum64 sum;
  sum.add(text);
  return sum.value();
}
uint64_t followed_by(uint64_t before, uint64_t message) {
  return Random::mix(before ^ 0x9E3779B97F4A7C15ULL) ^ Random::mix(message + 1);
}

}  // namespace

struct ReplayStore::Impl {
  Impl(const Tokenizer& t, ChatFormat f, size_t bytes) : tokenizer(t), format(f), most(bytes) {}

  const Tokenizer& tokenizer;
  ChatFormat format;
  size_t most;

  struct Turn {
    uint64_t message = 0, after = 0;  // what it says; that, behind the messages before it
    std::string reasoning;            // trimmed
    std::vector<int32_t> ids;
    size_t bytes() const { return ids.size() * sizeof(int32_t) + reasoning.size() + 192; }
  };
  using Turns = std::list<Turn>;

  mutable std::mutex mutex;
  Turns turns;  // the longest unused first
  std::unordered_map<uint64_t, Turns::iterator> by_after;
  std::unordered_multimap<uint64_t, Turns::iterator> by_message;
  Stats stats;

  void erase(Turns::iterator turn) {
    by_after.erase(turn->after);
    const auto [first, last] = by_message.equal_range(turn->message);
    for (auto it = first; it != last; ++it)
      if (it->second == turn) {
        by_message.erase(it);
        break;
      }
    stats.bytes -= turn->bytes();
    --stats.turns;
    turns.erase(turn);
  }

  void insert(Turn turn) {
    if (const auto old = by_after.find(turn.after); old != by_after.end()) erase(old->second);
    stats.bytes += turn.bytes();
    ++stats.turns;
    turns.push_back(std::move(turn));
    const auto at = std::prev(turns.end());
    by_after.emplace(at->after, at);
    by_message.emplace(at->message, at);
    while (stats.bytes > most && turns.size() > 1) erase(turns.begin());
  }

  // The turn that a message is; end() when it is none. Behind other messages it may be another client's, whose reasoning nobody gets to
  // see who does not bring it along.
  Turns::iterator find(uint64_t message, uint64_t after, const Message& m) {
    const std::string reasoning = single_spaced(m.reasoning.value_or(""));
    const auto agrees = [&](const Turn& turn, bool may_lack) {
      return turn.message == message && ((may_lack && reasoning.empty()) || reasoning == single_spaced(turn.reasoning));
    };
    if (const auto exact = by_after.find(after); exact != by_after.end() && agrees(*exact->second, true)) return exact->second;
    const auto [first, last] = by_message.equal_range(message);
    for (auto turn = turns.end(); first != last && turn != turns.begin();)  // the latest that says so
      if (--turn; agrees(*turn, false)) return turn;
    return turns.end();
  }

  static constexpr size_t kSlack = size_t{1} << 20;
  std::filesystem::path path;
  UniqueFd out;        // at the file's end, where turns are kept in one
  size_t written = 0;  // bytes of it

  std::string first_line() const;
  static std::string record(const Turn& turn);
  Result<Turn> parse(std::string_view body) const;
  Result<void> read(std::string_view file);
  Result<void> rewrite();
  void append(const Turn& turn);
};

ReplayStore::ReplayStore(const Tokenizer& tokenizer, ChatFormat format, size_t bytes) : impl_(new Impl(tokenizer, format, bytes)) {}
ReplayStore::~ReplayStore() = default;

void ReplayStore::remember(const Conversation& before, std::span<const int32_t> generated) {
  Impl& s = *impl_;
  if (std::any_of(generated.begin(), generated.end(), [&](int32_t id) { return s.tokenizer.is_special(id); })) return;
  const auto text = s.tokenizer.decode(generated);
  if (!text || text->empty()) return;
  AssistantTurn said = parse_assistant(*text, s.format, before.tools);
  Message message{.role = Role::assistant, .content = std::move(said.content)};
  for (ParsedCall& call : said.calls) {
    if (call.error) return;
    message.tool_calls.push_back(std::move(call.call));
  }
  if (said.missing_opener || (trim(message.content).empty() && message.tool_calls.empty())) return;
  uint64_t chain = 0;
  for (const Message& m : before.messages)
    if (m.role != Role::system) chain = followed_by(chain, hashed(canonical(m)));
  Impl::Turn turn{
      .message = hashed(canonical(message)), .reasoning = std::move(said.reasoning), .ids = {generated.begin(), generated.end()}};
  turn.after = followed_by(chain, turn.message);
  const std::lock_guard lock(s.mutex);
  s.append(turn);
  s.insert(std::move(turn));
}

size_t ReplayStore::recall(Conversation& conversation) {
  Impl& s = *impl_;
  size_t recognised = 0;
  uint64_t chain = 0;
  for (Message& m : conversation.messages) {
    if (m.role == Role::system) continue;  // what a client changes there from turn to turn is no other conversation
    const uint64_t message = hashed(canonical(m));
    chain = followed_by(chain, message);
    if (m.role != Role::assistant || m.verbatim) continue;
    const std::lock_guard lock(s.mutex);
    ++s.stats.asked;
    const auto turn = s.find(message, chain, m);
    if (turn == s.turns.end()) continue;
    m.verbatim_ids = turn->ids;
    m.verbatim = s.tokenizer.decode(turn->ids).value_or("");
    s.turns.splice(s.turns.end(), s.turns, turn);
    ++s.stats.recognised;
    ++recognised;
  }
  return recognised;
}

ReplayStore::Stats ReplayStore::stats() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->stats;
}

// --- the file: a line that says what it is, then records: size, checksum, and so many bytes ------------------------------------------

namespace {

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : rest_(bytes) {}
  template <class T>
  bool number(T& value) {
    if (rest_.size() < sizeof value) return false;
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return true;
  }
  bool take(uint64_t size, std::string_view& out) {
    if (size > rest_.size()) return false;
    out = rest_.substr(0, static_cast<size_t>(size));
    rest_.remove_prefix(out.size());
    return true;
  }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace

std::string ReplayStore::Impl::first_line() const {
  return fmt::format("quern-replay-1 {} {}\n", chat_format_name(format), tokenizer.vocab_size());
}

std::string ReplayStore::Impl::record(const Turn& turn) {
  std::string body, out;
  put(body, turn.message);
  put(body, turn.after);
  put(body, static_cast<uint64_t>(turn.reasoning.size()));
  body += turn.reasoning;
  body.append(reinterpret_cast<const char*>(turn.ids.data()), turn.ids.size() * sizeof(int32_t));
  put(out, static_cast<uint64_t>(body.size()));
  put(out, hashed(body));
  return out + body;
}

// The turn that a record's bytes are.
Result<ReplayStore::Impl::Turn> ReplayStore::Impl::parse(std::string_view body) const {
  Turn turn;
  Bytes bytes(body);
  uint64_t reasoning = 0;
  std::string_view text, ids;
  if (!bytes.number(turn.message) || !bytes.number(turn.after) || !bytes.number(reasoning) || !bytes.take(reasoning, text))
    return fail(Errc::malformed, "its parts do not go together");
  const size_t rest = body.size() - 3 * sizeof(uint64_t) - text.size();
  bytes.take(rest, ids);
  if (rest % sizeof(int32_t) != 0) return fail(Errc::malformed, "its parts do not go together");
  turn.reasoning = text;
  turn.ids.resize(rest / sizeof(int32_t));
  if (rest > 0) std::memcpy(turn.ids.data(), ids.data(), rest);
  for (const int32_t id : turn.ids)
    if (id < 0 || id >= tokenizer.vocab_size() || tokenizer.is_special(id))
      return fail(Errc::malformed, "token {}: no such id", id);
  return turn;
}

Result<void> ReplayStore::Impl::read(std::string_view file) {
  const std::string line = first_line();
  if (!file.starts_with(line))
    return fail(Errc::mismatch, "{}: of another tokenizer or chat format, or no such file", path.string());
  for (Bytes bytes(file.substr(line.size())); !bytes.empty();) {
    uint64_t size = 0, sum = 0;
    std::string_view body;
    if (!bytes.number(size) || !bytes.number(sum) || !bytes.take(size, body)) return {};  // a process was killed while it wrote
    if (hashed(body) != sum) return fail(Errc::malformed, "{}: a turn in it is damaged", path.string());
    auto turn = parse(body);
    if (!turn) return with_context(turn.error(), path.string());
    insert(std::move(*turn));
  }
  return {};
}

Result<void> ReplayStore::Impl::rewrite() {
  std::string text = first_line();
  for (const Turn& turn : turns) text += record(turn);
  out = UniqueFd();
  QUERN_TRY(write_file(path, text));
  out = UniqueFd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  written = text.size();
  if (!out) return fail(Errc::io, "{}: {}", path.string(), std::strerror(errno));
  return {};
}

void ReplayStore::Impl::append(const Turn& turn) {
  if (!out) return;
  const std::string bytes = record(turn);
  if (written > 2 * most + kSlack) {
    if (!rewrite()) out = UniqueFd();
  } else if (::write(out.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size())) {
    written += bytes.size();
  } else {
    out = UniqueFd();  // the disk is full: what is there stays, up to the half record
  }
}

Result<void> ReplayStore::keep_in(const std::filesystem::path& path) {
  Impl& s = *impl_;
  const std::lock_guard lock(s.mutex);
  s.path = path;
  std::error_code error;
  Result<void> read;
  if (std::filesystem::exists(path, error)) {
    const auto file = read_file(path, 4 * s.most + Impl::kSlack);
    read = file ? s.read(*file) : Result<void>(tl::unexpected(file.error()));
  }
  QUERN_TRY(s.rewrite());
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write, error);
  return read;
}

}  // namespace quern
