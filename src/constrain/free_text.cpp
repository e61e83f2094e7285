#include "constrain/free_text.h"

#include "base/json.h"

namespace quern {
namespace {

// Lines of free text, in the terms of CommonMark 0.31, section 4.5, with fences indented by any white space (inside list items they are).
class Lines {
 public:
  explicit Lines(Exprs& exprs)
      : exprs_(exprs),
        newline_(exprs.literal("\n")),
        indent_(exprs.star(exprs.chars(CharSet({{' ', ' '}, {'\t', '\t'}, {'\r', '\r'}})))),
        any_(exprs.star(other_than('\n'))) {}

  ExprId text(std::span<const std::string> tools) {
    std::vector<ExprId> openings, blocks, open_blocks;
    for (const char32_t c : {U'`', U'~'})
      for (int64_t n = 3; n <= kLongestFence; ++n) {
        const ExprId opening = fence(c, n), inner = exprs_.without(any_, closing_fence(c, n));
        const ExprId body = exprs_.concat({opening, newline_, exprs_.star(exprs_.concat(inner, newline_))});
        openings.push_back(opening);
        blocks.push_back(exprs_.concat(body, closing_fence(c, n)));
        open_blocks.insert(open_blocks.end(), {opening, exprs_.concat(body, inner)});
      }
    const ExprId plain = exprs_.without(any_, exprs_.any_of(call(tools), exprs_.any_of(openings)));
    const ExprId whole = exprs_.any_of(plain, exprs_.any_of(blocks));
    return exprs_.concat(exprs_.star(exprs_.concat(whole, newline_)), exprs_.any_of(whole, exprs_.any_of(open_blocks)));
  }

 private:
  static constexpr int64_t kLongestFence = 5;  // longer ones count as this long

  ExprId other_than(char32_t c) { return exprs_.chars(CharSet({{c, c}, {'\n', '\n'}}).complement()); }

  // Exactly n marks; behind backticks none may follow on the line, or they are code in a sentence.
  ExprId fence(char32_t c, int64_t n) {
    const ExprId mark = exprs_.chars(CharSet::one(c));
    const ExprId info = c == '`' ? exprs_.star(other_than(c)) : exprs_.optional(exprs_.concat(other_than(c), any_));
    return exprs_.concat({indent_, exprs_.repeat(mark, n, n == kLongestFence ? Exprs::kUnbounded : n), info});
  }
  ExprId closing_fence(char32_t c, int64_t n) {
    return exprs_.concat({indent_, exprs_.repeat(exprs_.chars(CharSet::one(c)), n, Exprs::kUnbounded), indent_});
  }
  ExprId call(std::span<const std::string> tools) {
    std::vector<std::string> names;
    for (const std::string& tool : tools) append_json_string(names.emplace_back(), tool);
    const ExprId json = exprs_.concat({exprs_.literal("{"), indent_, exprs_.literal("\"name\""), indent_, exprs_.literal(":"),
                                       indent_, exprs_.literals(std::move(names)), any_});
    return exprs_.concat(indent_, exprs_.any_of(json, exprs_.concat(exprs_.literal("<function="), any_)));
  }

  Exprs& exprs_;
  ExprId newline_, indent_, any_;
};

}  // namespace

ExprId free_text(Exprs& exprs, std::span<const std::string> tools) { return Lines(exprs).text(tools); }

ExprId free_of(Exprs& exprs, std::string_view mark) {
  return exprs.complement(exprs.concat({Exprs::kAll, exprs.literal(mark), Exprs::kAll}));
}

}  // namespace quern
