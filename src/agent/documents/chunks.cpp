#include "agent/documents/chunks.h"

#include <algorithm>

namespace quern {
namespace {

constexpr size_t kMaxHeading = 200;  // bytes of one heading

// The level of a Markdown heading, 0 for another line.
size_t heading_level(std::string_view line) {
  const size_t level = std::min(line.find_first_not_of('#'), line.size());
  return level >= 1 && level <= 6 && level < line.size() && line[level] == ' ' ? level : 0;
}

bool is_fence(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return line.starts_with("```") || line.starts_with("~~~");
}

// Where to cut text that is too long: behind a line, a sentence, a word, a character, whichever comes latest in the second half.
size_t cut_within(std::string_view text, size_t most) {
  const size_t half = most / 2;
  for (const std::string_view end : {"\n", ". ", " "})
    if (const size_t at = text.rfind(end, most - end.size()); at != std::string_view::npos && at >= half) return at + end.size();
  while (most > 1 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return most;
}

class Splitter {
 public:
  Splitter(std::string_view text, size_t most) : text_(text), most_(std::max<size_t>(most, 8)) {}

  std::vector<Chunk> split() && {
    bool fenced = false, blank = false;
    for (size_t at = 0; at < text_.size();) {
      const size_t end = std::min(text_.find('\n', at), text_.size());
      const std::string_view line = text_.substr(at, end - at);
      const size_t next = std::min(end + 1, text_.size());
      if (is_fence(line)) fenced = !fenced;
      const size_t level = fenced ? 0 : heading_level(line);
      const bool is_blank = line.find_first_not_of(" \t") == std::string_view::npos;
      if (level > 0) {
        paragraph_ends(at);
        chunk_ends(at);
        enter(level, line.substr(level + 1));
      } else if (blank && !is_blank && !fenced) {
        paragraph_ends(at);
      }
      blank = is_blank;
      at = next;
    }
    paragraph_ends(text_.size());
    chunk_ends(text_.size());
    return std::move(chunks_);
  }

 private:
  void enter(size_t level, std::string_view title) {
    headings_.resize(std::min(headings_.size(), level - 1));
    headings_.emplace_back(title.substr(0, kMaxHeading));
    while (!headings_.back().empty() && (static_cast<unsigned char>(headings_.back().back()) & 0x80) != 0 &&
           title.size() > kMaxHeading)
      headings_.back().pop_back();
  }
  void paragraph_ends(size_t end) {
    if (end == paragraph_) return;
    if (end - begin_ > most_) chunk_ends(paragraph_);
    while (end - begin_ > most_) chunk_ends(begin_ + cut_within(text_.substr(begin_), most_));
    paragraph_ = end;
  }
  void chunk_ends(size_t end) {
    if (end == begin_) return;
    Chunk chunk{.begin = begin_, .end = end, .heading = {}};
    for (const std::string& heading : headings_) chunk.heading += (chunk.heading.empty() ? "" : " > ") + heading;
    begin_ = paragraph_ = end;
    const std::string_view piece = text_.substr(chunk.begin, end - chunk.begin);
    if (piece.find_first_not_of(" \t\n\v\f\r") == std::string_view::npos && !chunks_.empty())
      chunks_.back().end = end;  // nothing but white space belongs to what is before it
    else
      chunks_.push_back(std::move(chunk));
  }

  std::string_view text_;
  size_t most_;
  size_t begin_ = 0, paragraph_ = 0;  // of the chunk, and of the paragraph, that are not finished
  std::vector<std::string> headings_;
  std::vector<Chunk> chunks_;
};

}  // namespace

std::vector<Chunk> split_into_chunks(std::string_view text, size_t most) { return Splitter(text, most).split(); }

}  // namespace quern
