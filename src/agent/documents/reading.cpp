#include "agent/documents/reading.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "agent/documents/chunks.h"
#include "text/document_prompt.h"

namespace quern {
namespace {

constexpr int64_t kMargin = 16;       // tokens: counts of parts need not add up to the count of the whole
constexpr double kBytesPerToken = 8;  // more than text has: beyond it documents do not fit, and are not read to find out
constexpr size_t kMostHits = 400;

std::string_view part(const QuotedSource& source, size_t i) {
  const auto& [begin, end] = source.shown[i];
  return std::string_view(source.document->content.text).substr(begin, end - begin);
}

// A mark that the documents cannot have foreseen, the same for the same documents.
std::string mark_for(const std::vector<QuotedSource>& shown) {
  std::string all;
  for (const QuotedSource& source : shown) all += source.document->name + "\n" + source.document->digest + "\n";
  return document_prompt::mark_for(all);
}

void append_document(std::string& out, const QuotedSource& source, std::string_view mark) {
  document_prompt::begin_document(out, mark, source.document->name);
  const PlainText& content = source.document->content;
  for (size_t i = 0; i < source.shown.size(); ++i) {
    const size_t begin = source.shown[i].first;
    document_prompt::add_part(out, part(source, i), begin > 0 || i > 0 ? content.line_at(begin) : 0, content.pages);
  }
  document_prompt::end_document(out, mark, !source.shown.empty() && source.shown.back().second < content.text.size());
}

class Reader {
 public:
  Reader(const Library& library, const AnswerModel& model, const ReadingOptions& options)
      : library_(library), model_(model), options_(options) {}

  Result<Reading> read() && {
    QUERN_ASSIGN(const int64_t empty, model_.count_tokens(question_about({}, options_.question)));
    limit_ = model_.context() - options_.max_tokens;
    budget_ = limit_ - empty - kMargin;
    if (budget_ <= 0)
      return fail(Errc::out_of_range,
                  "the question takes {} tokens, the answer up to {}: the context of {} has no room for documents", empty,
                  options_.max_tokens, model_.context());
    reading_.notes = library_.notes();
    bool searches = options_.chunks > 0;
    if (!searches) {
      QUERN_ASSIGN(const bool fits, read_whole());
      searches = !fits;
    }
    if (searches) QUERN_TRY(read_found());
    QUERN_TRY(fit());
    if (reading_.shown.empty()) return fail(Errc::not_found, "{}", nothing_to_read());
    return std::move(reading_);
  }

 private:
  std::string nothing_to_read() const {
    std::string why = library_.entries().empty() ? "no documents" : "no document that can be read";
    if (!reading_.notes.empty()) why += ": " + reading_.notes.front();
    return why;
  }
  Result<void> progress(std::string_view stage, double done, double total) const {
    if (options_.on_progress && !options_.on_progress(stage, done, total)) return fail(Errc::denied, "cancelled");
    return {};
  }
  Result<int64_t> cost(const QuotedSource& source) const {
    std::string block;
    append_document(block, source, "01234567");
    return model_.count_tokens(block);
  }

  // Everything, if it fits. False: it does not, and nothing is kept.
  Result<bool> read_whole() {
    double total = 0, done = 0;
    for (const LibraryEntry& entry : library_.entries()) total += static_cast<double>(entry.size);
    if (total > kBytesPerToken * static_cast<double>(budget_)) return false;
    std::unordered_map<std::string, std::string> seen;  // digest → place
    std::vector<std::string> notes;
    int64_t used = 0;
    for (const LibraryEntry& entry : library_.entries()) {
      QUERN_TRY(progress("reading", done += static_cast<double>(entry.size), total));
      ReadFile file = library_.read(entry);
      if (!file.note.empty()) notes.push_back(std::move(file.note));
      if (!file.document) continue;
      const auto [first, is_new] = seen.emplace(file.digest, file.document->place);
      if (!is_new) {
        notes.push_back(fmt::format("{}: the same as {}, read once", file.document->place, first->second));
        continue;
      }
      const QuotedSource source{&*file.document, {{0, file.document->content.text.size()}}};
      QUERN_ASSIGN(const int64_t tokens, cost(source));
      used += tokens;
      if (used > budget_) {
        reading_.documents.clear(), parts_.clear();
        return false;
      }
      reading_.documents.push_back(std::move(*file.document));
      parts_.push_back(source.shown);
    }
    reading_.whole = true;
    reading_.notes.insert(reading_.notes.end(), notes.begin(), notes.end());
    return true;
  }

  Result<void> read_found() {
    const auto on_index = [&](double done, double total) {
      return !options_.on_progress || options_.on_progress("indexing", done, total);
    };
    const auto search = [&]() -> Result<std::vector<SearchHit>> {
      QUERN_ASSIGN(const SearchIndex index, SearchIndex::open(options_.index, library_, on_index, reading_.index));
      return index.search(options_.question, kMostHits);
    };
    auto found = search();
    if (!found && found.error().code == Errc::malformed && !options_.index.empty()) {  // damage that opening it did not meet
      std::error_code ignored;
      std::filesystem::remove(options_.index, ignored);
      found = search();
    }
    if (!found) return tl::unexpected(found.error());
    const std::vector<SearchHit>& hits = *found;
    reading_.notes.insert(reading_.notes.end(), reading_.index.notes.begin(), reading_.index.notes.end());
    const size_t most = options_.chunks > 0 ? options_.chunks : kMostHits;
    int64_t used = 0;
    for (const SearchHit& hit : hits) {
      if (reading_.chunks == most) break;
      QUERN_ASSIGN(const bool taken, take(hit.entry, hit.begin, hit.end, used));
      if (taken) ++reading_.chunks;
    }
    if (reading_.chunks > 0) return {};
    // A question whose words are nowhere, "What is this about?": how the documents begin.
    reading_.notes.emplace_back("no document has a word of the question; the beginnings are read");
    for (size_t i = 0; i < library_.entries().size() && reading_.chunks < most && used < budget_; ++i) {
      QUERN_ASSIGN(const bool taken, take(i, 0, kChunkBytes, used));
      if (taken) ++reading_.chunks;
    }
    return {};
  }

  // One piece, where it fits. What is shown is read from the file now: where the index was wrong about it, the piece is cut as the
  // text wants.
  Result<bool> take(size_t entry, size_t begin, size_t end, int64_t& used) {
    auto known = by_entry_.find(entry);
    if (known == by_entry_.end()) {
      ReadFile file = library_.read(library_.entries()[entry]);
      const bool use = file.document && digests_.insert(file.digest).second;
      known = by_entry_.emplace(entry, use ? reading_.documents.size() : kUnused).first;
      if (use) {
        reading_.documents.push_back(std::move(*file.document));
        parts_.emplace_back();
      }
    }
    if (known->second == kUnused) return false;
    const Document& document = reading_.documents[known->second];
    const std::string& text = document.content.text;
    end = std::min(end, text.size());
    const auto inside = [&](size_t at) { return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; };
    while (inside(begin)) ++begin;
    while (inside(end)) --end;
    if (begin >= end) return false;
    auto& parts = parts_[known->second];
    const QuotedSource piece{&document, {{begin, end}}};
    QUERN_ASSIGN(const int64_t tokens, parts.empty() ? cost(piece) : model_.count_tokens(part(piece, 0)));
    if (used + tokens + kMargin > budget_) return false;
    used += tokens + kMargin;
    parts.emplace_back(begin, end);
    order_.emplace_back(known->second, parts.back());
    return true;
  }

  void show() {
    reading_.shown.clear();
    for (size_t d = 0; d < reading_.documents.size(); ++d) {
      std::vector<std::pair<size_t, size_t>> parts = parts_[d];
      if (parts.empty()) continue;
      std::sort(parts.begin(), parts.end());
      QuotedSource source{&reading_.documents[d], {}};
      for (const auto& [begin, end] : parts) {
        if (!source.shown.empty() && begin <= source.shown.back().second)
          source.shown.back().second = std::max(source.shown.back().second, end);
        else
          source.shown.emplace_back(begin, end);
      }
      reading_.shown.push_back(std::move(source));
    }
    reading_.conversation = question_about(reading_.shown, options_.question);
  }

  // Counted as it will be read; what was found last goes until it fits.
  Result<void> fit() {
    for (;;) {
      show();
      QUERN_ASSIGN(reading_.prompt_tokens, model_.count_tokens(reading_.conversation));
      if (reading_.prompt_tokens <= limit_ || reading_.shown.empty()) return {};
      if (order_.empty())
        return fail(Errc::out_of_range, "the documents take {} tokens, more than was counted", reading_.prompt_tokens);
      auto& parts = parts_[order_.back().first];
      parts.erase(std::find(parts.begin(), parts.end(), order_.back().second));
      order_.pop_back();
      --reading_.chunks;
    }
  }

  static constexpr size_t kUnused = SIZE_MAX;
  const Library& library_;
  const AnswerModel& model_;
  const ReadingOptions& options_;
  int64_t limit_ = 0, budget_ = 0;  // tokens of the prompt, and of the documents in it
  Reading reading_;
  std::vector<std::vector<std::pair<size_t, size_t>>> parts_;        // by document
  std::vector<std::pair<size_t, std::pair<size_t, size_t>>> order_;  // found pieces: document, part; the best first
  std::unordered_map<size_t, size_t> by_entry_;                      // document of an entry
  std::unordered_set<std::string> digests_;
};

}  // namespace

Conversation question_about(const std::vector<QuotedSource>& shown, std::string_view question) {
  Conversation conversation;
  Message system{.role = Role::system}, user{.role = Role::user};
  system.content = document_prompt::kInstruction;
  const std::string mark = mark_for(shown);
  for (const QuotedSource& source : shown) append_document(user.content, source, mark);
  user.content += document_prompt::question(question);
  conversation.messages = {std::move(system), std::move(user)};
  return conversation;
}

Result<Reading> read_for(const Library& library, const AnswerModel& model, const ReadingOptions& options) {
  return Reader(library, model, options).read();
}

}  // namespace quern
