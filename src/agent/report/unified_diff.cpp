#include "agent/report/unified_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <vector>

namespace quern {
namespace {

using Lines = std::vector<std::string_view>;  // each with its line end; the last one may lack it
using Ids = std::vector<int32_t>;             // equal lines, equal ids

// Of each line of a text, whether it is no part of the other.
struct Marks {
  std::vector<bool> removed, added;
};

Lines split(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end == std::string_view::npos ? end : end + 1));
    text.remove_prefix(lines.back().size());
  }
  return lines;
}

// The shortest edit script by Myers (An O(ND) difference algorithm, 1986): furthest[k] is the largest a such that a lines of `a` and
// a - k of `b` can be matched up with d edits; the furthest points of each d are kept, and walked back from the end.
class Myers {
 public:
  Myers(const int32_t* a, int64_t a_size, const int32_t* b, int64_t b_size) : a_(a), b_(b), n_(a_size), m_(b_size) {}

  // Marks what is removed from a and added from b; false when that is more than `most` lines, and nothing is marked.
  bool mark(int64_t most, std::vector<bool>& removed, std::vector<bool>& added, int64_t offset) {
    const auto edits = search(most);
    if (!edits) return false;
    int64_t x = n_, y = m_;
    for (int64_t d = *edits; d > 0; --d) {
      const int64_t k = x - y, before_k = from_above(d, k) ? k + 1 : k - 1;
      const int64_t before_x = at(d - 1, before_k), before_y = before_x - before_k;
      if (from_above(d, k))
        added[static_cast<size_t>(offset + before_y)] = true;
      else
        removed[static_cast<size_t>(offset + before_x)] = true;
      x = before_x, y = before_y;
    }
    return true;
  }

 private:
  int32_t& at(int64_t d, int64_t k) { return trace_[static_cast<size_t>(d)][static_cast<size_t>(k + d)]; }
  // Whether the d-th edit that ends on diagonal k adds a line of b.
  bool from_above(int64_t d, int64_t k) { return k == -d || (k != d && at(d - 1, k - 1) < at(d - 1, k + 1)); }

  std::optional<int64_t> search(int64_t most) {
    for (int64_t d = 0; d <= std::min(most, n_ + m_); ++d) {
      trace_.emplace_back(static_cast<size_t>(2 * d + 1), int32_t{-1});
      for (int64_t k = -d; k <= d; k += 2) {
        int64_t x = d == 0 ? 0 : from_above(d, k) ? at(d - 1, k + 1) : at(d - 1, k - 1) + 1;
        // Beyond an edge there is nothing to match; such a point is of no use to any later one.
        while (x < n_ && x - k < m_ && x - k >= 0 && a_[x] == b_[x - k]) ++x;
        at(d, k) = static_cast<int32_t>(x);
        if (x == n_ && x - k == m_) return d;
      }
    }
    return std::nullopt;
  }

  const int32_t *a_, *b_;
  int64_t n_, m_;
  std::vector<std::vector<int32_t>> trace_;  // [d][k + d]
};

Marks compare(const Lines& before, const Lines& after) {
  std::unordered_map<std::string_view, int32_t> known;
  const auto ids = [&](const Lines& lines) {
    Ids out;
    for (const std::string_view line : lines)
      out.push_back(known.try_emplace(line, static_cast<int32_t>(known.size())).first->second);
    return out;
  };
  const Ids a = ids(before), b = ids(after);
  const size_t shorter = std::min(a.size(), b.size());
  size_t head = 0, tail = 0;
  while (head < shorter && a[head] == b[head]) ++head;
  while (tail < shorter - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  Marks marks{std::vector<bool>(a.size()), std::vector<bool>(b.size())};
  Myers middle(a.data() + head, static_cast<int64_t>(a.size() - head - tail), b.data() + head,
               static_cast<int64_t>(b.size() - head - tail));
  if (!middle.mark(kMostEdits, marks.removed, marks.added, static_cast<int64_t>(head))) {
    std::fill(marks.removed.begin() + static_cast<std::ptrdiff_t>(head), marks.removed.end() - static_cast<std::ptrdiff_t>(tail),
              true);
    std::fill(marks.added.begin() + static_cast<std::ptrdiff_t>(head), marks.added.end() - static_cast<std::ptrdiff_t>(tail), true);
  }
  return marks;
}

// A block of lines that are not the same: [a, a_end) replaced by [b, b_end).
struct Change {
  int64_t a, a_end, b, b_end;
};

std::vector<Change> changes_of(const Marks& marks) {
  std::vector<Change> changes;
  const auto n = static_cast<int64_t>(marks.removed.size()), m = static_cast<int64_t>(marks.added.size());
  for (int64_t a = 0, b = 0; a < n || b < m;) {
    Change change{a, a, b, b};
    while (change.a_end < n && marks.removed[static_cast<size_t>(change.a_end)]) ++change.a_end;
    while (change.b_end < m && marks.added[static_cast<size_t>(change.b_end)]) ++change.b_end;
    if (change.a_end == a && change.b_end == b) {
      ++a, ++b;
      continue;
    }
    changes.push_back(change);
    a = change.a_end, b = change.b_end;
  }
  return changes;
}

std::string range(int64_t from, int64_t to) {
  const int64_t count = to - from;
  return count == 1 ? fmt::format("{}", from + 1) : fmt::format("{},{}", count == 0 ? from : from + 1, count);
}

void append_line(std::string& out, char mark, std::string_view line) {
  out += mark;
  out += line;
  if (!line.ends_with('\n')) out += "\n\\ No newline at end of file\n";
}

// The changes [first, last) are near enough to share a hunk.
void append_hunk(std::string& out, const Lines& before, const Lines& after, const Change* first, const Change* last,
                 int64_t context) {
  const int64_t from = std::max<int64_t>(0, first->a - context);
  const int64_t to = std::min(static_cast<int64_t>(before.size()), last[-1].a_end + context);
  const int64_t b_from = first->b - (first->a - from), b_to = last[-1].b_end + (to - last[-1].a_end);
  out += fmt::format("@@ -{} +{} @@\n", range(from, to), range(b_from, b_to));
  int64_t a = from;
  const auto keep = [&](int64_t end) {
    for (; a < end; ++a) append_line(out, ' ', before[static_cast<size_t>(a)]);
  };
  for (const Change* change = first; change != last; ++change) {
    keep(change->a);
    for (; a < change->a_end; ++a) append_line(out, '-', before[static_cast<size_t>(a)]);
    for (int64_t b = change->b; b < change->b_end; ++b) append_line(out, '+', after[static_cast<size_t>(b)]);
  }
  keep(to);
}

}  // namespace

UnifiedDiff unified_diff(std::string_view before, std::string_view after, int64_t context) {
  UnifiedDiff diff;
  if (before == after) return diff;
  const Lines a = split(before), b = split(after);
  const std::vector<Change> changes = changes_of(compare(a, b));
  for (const Change& change : changes) {
    diff.removed += change.a_end - change.a;
    diff.added += change.b_end - change.b;
  }
  for (size_t first = 0; first < changes.size();) {
    size_t last = first + 1;
    while (last < changes.size() && changes[last].a - changes[last - 1].a_end <= 2 * context) ++last;
    append_hunk(diff.text, a, b, &changes[first], changes.data() + last, context);
    first = last;
  }
  return diff;
}

}  // namespace quern
