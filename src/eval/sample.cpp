#include "eval/sample.h"

#include <algorithm>

#include "base/file.h"
#include "eval/episodes.h"

namespace quern {
namespace {

constexpr int64_t kWindow = 2048;  // tokens of a document of plain text
constexpr size_t kPiece =
    size_t{64} << 10;  // bytes of plain text that are encoded at a time, because most files are longer than a sample
constexpr uint64_t kSeed = 20'000;
constexpr size_t kMaxFile = size_t{1} << 30;

// For tokenizers without tool calls; written for this purpose.
constexpr std::string_view kProse =
    R"(A quern is a pair of round stones for grinding grain by hand. The lower stone lies still; the upper one turns on it, moved by an upright
handle near its edge. Grain is poured into a hole in the middle, a handful at a time, and meal comes out all around, between the stones,
onto a cloth or into a trough. The faces are cut with shallow grooves that lead from the middle outwards. They become smooth with use, and
somebody in the household has to lift the stone every few weeks and cut them again with a pointed hammer.

How fine the meal becomes depends on three things: the weight of the upper stone, the distance between the two, and how quickly the grain
is fed. On better querns the upper stone hangs on a small bridge of wood or iron, whose height can be set with a wedge. Two women could
grind about three kilograms in an hour, enough bread for a family for a day and a half. It was the first work of the morning, before light,
and in many languages there are songs that keep its rhythm.

Water mills did the same work thirty times faster, and where a lord owned the mill, he often forbade the quern: whoever ground at home paid
nothing. Court rolls of the thirteenth century list stones that were taken from houses and laid as paving in an abbey's floor. Yet the
querns never disappeared. A mill stands still when the brook is frozen or dry, it is a day's walk away, and the miller keeps one part in
sixteen. A quern stands in the corner, belongs to the house, and is ready when it is needed.

What follows from this for machines of our own time? Not that the small tool is better. For great quantities it never was. But a household
that can grind a little grain by itself is in another position towards the mill than one that cannot; it can wait, it can compare, it can
say no. "Is the mill running?" asks the neighbour. "I don't know," is the answer, "I have not been there since Tuesday."

The arithmetic is simple enough. If 3 kg take one hour, then 0.5 kg take 10 minutes; at 1,500 kcal for half a kilogram of flour, against
perhaps 60 kcal spent at the handle, the work pays for itself twenty-five times over. In code one would write: gain = energy / effort.
)";

// Up to kPiece bytes of a text, up to the beginning of a line: no token reaches over that, so the pieces have the ids of the whole. In a
// text without one, up to a character.
std::string_view first_piece(std::string_view text) {
  if (text.size() <= kPiece) return text;
  for (size_t end = kPiece; end > 0; --end)
    if (text[end - 1] == '\n' && std::string_view(" \t\r\n").find(text[end]) == std::string_view::npos) return text.substr(0, end);
  size_t end = kPiece;
  while (end > kPiece - 3 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

class SampleMaker {
 public:
  SampleMaker(const SampleRequest& request, const Tokenizer& tokenizer) : request_(request), tokenizer_(tokenizer) {}

  bool full() const { return left() < 2; }

  Result<void> add(const Conversation& conversation) {
    QUERN_ASSIGN(const Prompt prompt, render(conversation, request_.format));
    SampleDocument document;
    QUERN_ASSIGN(document.ids, tokenizer_.encode(prompt));
    if (has_turn_tokens(tokenizer_)) {
      QUERN_ASSIGN(document.spoken, spoken_by_assistant(document.ids, tokenizer_));
    }
    add(std::move(document));
    return {};
  }

  Result<void> add(std::string_view text) {
    const auto window = static_cast<size_t>(std::min(kWindow, longest()));
    std::vector<int32_t> ids;  // not yet in a document
    for (size_t at = 0; at < text.size() && !full();) {
      const std::string_view piece = first_piece(text.substr(at));
      const auto encoded = tokenizer_.encode(piece, /*trusted=*/false);
      if (!encoded)
        return at == 0 ? tl::unexpected(encoded.error()) : with_context(encoded.error(), fmt::format("from byte {}", at));
      ids.insert(ids.end(), encoded->begin(), encoded->end());
      at += piece.size();
      size_t used = 0;
      while (!full() && used < ids.size() && (ids.size() - used >= window || at == text.size())) {
        const auto document = std::span(ids).subspan(used, std::min(window, ids.size() - used));
        add(SampleDocument{.ids = {document.begin(), document.end()}, .spoken = {}});
        used += document.size();
      }
      ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(used));
    }
    return {};
  }

  Sample take() && { return std::move(sample_); }

 private:
  int64_t left() const { return request_.max_tokens - tokens_; }
  int64_t longest() const { return std::max<int64_t>(2, request_.context); }

  // A single token predicts nothing that could be compared.
  void add(SampleDocument document) {
    const auto most = static_cast<size_t>(std::min(left(), longest()));
    if (document.ids.size() > most) document.ids.resize(most);
    if (document.spoken.size() > most) document.spoken.resize(most);
    if (document.ids.size() < 2) return;
    tokens_ += static_cast<int64_t>(document.ids.size());
    sample_.documents.push_back(std::move(document));
  }

  const SampleRequest& request_;
  const Tokenizer& tokenizer_;
  Sample sample_;
  int64_t tokens_ = 0;
};

Result<void> add_line(SampleMaker& maker, std::string_view line, const std::string& where) {
  QUERN_ASSIGN(const Json json, Json::parse(line, where));
  if (const Json* text = json.find("text"); text && !json.find("messages")) {
    if (!text->is_string()) return fail(Errc::malformed, "{}: text is no string", where);
    const auto added = maker.add(text->as_string());
    if (!added) return with_context(added.error(), where);
    return {};
  }
  auto conversation = Conversation::from_json(json);
  if (!conversation) return with_context(conversation.error(), where);
  conversation->add_generation_prompt = false;
  const auto added = maker.add(*conversation);
  if (!added) return with_context(added.error(), where);
  return {};
}

Result<void> add_file(SampleMaker& maker, const std::filesystem::path& path) {
  QUERN_ASSIGN(const std::string text, read_file(path, kMaxFile));
  if (path.extension() != ".jsonl") {
    const auto added = maker.add(std::string_view(text));
    if (!added) return with_context(added.error(), path.string());
    return {};
  }
  std::string_view rest = text;
  for (int64_t number = 1; !rest.empty() && !maker.full(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    QUERN_TRY(add_line(maker, line, fmt::format("{}: line {}", path.string(), number)));
  }
  return {};
}

// Of every kind that the generator knows.
Result<void> add_episodes(SampleMaker& maker, Split split) {
  for (uint64_t i = 0; !maker.full(); ++i)
    QUERN_TRY(maker.add(make_episode(Suite::mixed, split, /*length=*/0, Random::mix(kSeed) + i).conversation));
  return {};
}

}  // namespace

std::vector<std::vector<int32_t>> Sample::ids() const {
  std::vector<std::vector<int32_t>> ids;
  for (const SampleDocument& document : documents) ids.push_back(document.ids);
  return ids;
}

int64_t Sample::tokens() const {
  int64_t sum = 0;
  for (const SampleDocument& document : documents) sum += static_cast<int64_t>(document.ids.size());
  return sum;
}

bool has_turn_tokens(const Tokenizer& tokenizer) {
  return tokenizer.find_added("<|im_start|>") >= 0 && tokenizer.find_added("<|im_end|>") >= 0;
}

Result<std::vector<bool>> spoken_by_assistant(std::span<const int32_t> ids, const Tokenizer& tokenizer) {
  const int32_t start = tokenizer.find_added("<|im_start|>"), end = tokenizer.find_added("<|im_end|>");
  QUERN_ASSIGN(const std::vector<int32_t> header, tokenizer.encode("assistant\n", false));
  std::vector<bool> spoken(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto rest = ids.subspan(i + 1);
    if (ids[i] != start || rest.size() < header.size() || !std::equal(header.begin(), header.end(), rest.begin())) continue;
    for (i += 1 + header.size(); i < ids.size(); ++i) {
      spoken[i] = true;
      if (ids[i] == end) break;
    }
  }
  return spoken;
}

Result<Sample> make_sample(const SampleRequest& request, const Tokenizer& tokenizer) {
  SampleMaker maker(request, tokenizer);
  std::string source;
  if (!request.file.empty()) {
    source = request.file.filename().string();
    QUERN_TRY(add_file(maker, request.file));
  } else if (tokenizer.find_added("<tool_call>") >= 0 && has_turn_tokens(tokenizer)) {
    source = fmt::format("conversations of the eval's {} generator", request.split == Split::held_out ? "held-out" : "training");
    QUERN_TRY(add_episodes(maker, request.split));
  } else {
    source = "the built-in page of prose";
    QUERN_TRY(maker.add(kProse));
  }
  Sample sample = std::move(maker).take();
  sample.source = std::move(source);
  if (sample.documents.empty()) return fail(Errc::malformed, "{}: too short: two tokens at least are needed", sample.source);
  return sample;
}

}  // namespace quern
