#include "agent/documents/ignore_rules.h"

#include <algorithm>

namespace quern {
namespace {

constexpr size_t kMaxRules = 10'000, kMaxPattern = 1000;  // beyond what anybody writes; bounds the work for a hostile file

}  // namespace

IgnoreRules::Rule IgnoreRules::parse(std::string_view folder, std::string_view line) {
  Rule rule{.folder = std::string(folder), .pieces = {}};
  while (line.ends_with(' ') && !line.ends_with("\\ ")) line.remove_suffix(1);
  if (line.starts_with('!')) rule.takes_back = true, line.remove_prefix(1);
  if (line.ends_with('/')) rule.folders_only = true, line.remove_suffix(1);
  rule.anchored = line.find('/') != std::string_view::npos;
  if (line.starts_with('/')) line.remove_prefix(1);
  for (size_t i = 0; i < line.size(); ++i) {
    const bool at_start = i == 0 || line[i - 1] == '/';
    const std::string_view left = line.substr(i);
    if (at_start && left.starts_with("**/")) {
      rule.pieces.push_back({.kind = Kind::folders, .ranges = {}});
      i += 2;
    } else if (at_start && left == "**") {
      rule.pieces.push_back({.kind = Kind::rest, .ranges = {}});
      ++i;
    } else if (left[0] == '*') {
      rule.pieces.push_back({.kind = Kind::star, .ranges = {}});
    } else if (left[0] == '?') {
      rule.pieces.push_back({.kind = Kind::any_byte, .ranges = {}});
    } else if (const size_t close = left[0] == '[' ? left.find(']', 2) : std::string_view::npos; close != std::string_view::npos) {
      Piece set{.kind = Kind::set, .negated = left[1] == '!' || left[1] == '^', .ranges = {}};
      for (size_t j = set.negated ? 2 : 1; j < close; ++j) {
        const bool range = j + 2 < close && left[j + 1] == '-';
        set.ranges += {left[j], left[range ? j + 2 : j]};
        j += range ? 2 : 0;
      }
      rule.pieces.push_back(std::move(set));
      i += close;
    } else {
      if (left[0] == '\\' && left.size() > 1) ++i;
      rule.pieces.push_back({.kind = Kind::byte, .byte = line[i], .ranges = {}});
    }
  }
  return rule;
}

// Every position the pattern can have reached, piece by piece: no backtracking, whatever the pattern.
bool IgnoreRules::matches(const std::vector<Piece>& pieces, std::string_view text) {
  std::vector<bool> at(text.size() + 1), next(text.size() + 1);
  at[0] = true;
  for (const Piece& piece : pieces) {
    std::fill(next.begin(), next.end(), false);
    bool open = false;  // star, folders: some way stands open to here
    for (size_t i = 0; i <= text.size(); ++i) {
      const char c = i < text.size() ? text[i] : '\0';
      const auto byte = static_cast<unsigned char>(c);
      switch (piece.kind) {
        case Kind::star:
          open = open || at[i];
          if (open) next[i] = true;
          if (c == '/') open = false;
          break;
        case Kind::rest:
          open = open || at[i];
          if (open) next[text.size()] = true;
          break;
        case Kind::folders:
          if (at[i] || (open && i > 0 && text[i - 1] == '/')) next[i] = true;
          open = open || at[i];
          break;
        default: {
          if (!at[i] || i == text.size()) break;
          bool fits = c == piece.byte;
          if (piece.kind == Kind::any_byte) fits = c != '/';
          if (piece.kind == Kind::set) {
            fits = piece.negated;
            for (size_t r = 0; r < piece.ranges.size(); r += 2)
              if (static_cast<unsigned char>(piece.ranges[r]) <= byte && byte <= static_cast<unsigned char>(piece.ranges[r + 1]))
                fits = !piece.negated;
            fits = fits && c != '/';
          }
          if (fits) next[i + 1] = true;
        }
      }
    }
    at.swap(next);
  }
  return at[text.size()];
}

void IgnoreRules::add(std::string_view folder, std::string_view text) {
  while (!text.empty() && rules_.size() < kMaxRules) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.size() > kMaxPattern || line.starts_with('#')) continue;
    Rule rule = parse(folder, line);
    if (!rule.pieces.empty()) rules_.push_back(std::move(rule));
  }
}

bool IgnoreRules::ignores(std::string_view path, bool is_folder) const {
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    if (!path.starts_with(rule->folder) || (rule->folders_only && !is_folder)) continue;
    const std::string_view inside = path.substr(rule->folder.size());
    if (matches(rule->pieces, rule->anchored ? inside : inside.substr(inside.rfind('/') + 1))) return !rule->takes_back;
  }
  return false;
}

}  // namespace quern
