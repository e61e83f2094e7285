#include "eval/needle_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "eval/markup.h"

namespace quern {
namespace {

constexpr std::string_view kCorner = "depth \\ tokens", kAll = "all depths";

// A cell's share in a column of 12: a shade for the eye, the number for everything else.
std::string shaded(double share) {
  constexpr std::array<std::string_view, 5> kShades = {"···", "░░░", "▒▒▒", "▓▓▓", "███"};
  const auto shade = share <= 0 ? size_t{0} : share >= 1 ? size_t{4} : static_cast<size_t>(1 + std::min(2.0, share * 3));
  return fmt::format("   {} {:>3.0f} %", kShades[shade], 100 * share);
}

std::string grouped(int64_t count) {
  std::string digits = std::to_string(count);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

std::string depth_name(double depth) { return fmt::format("{:g} %", 100 * depth); }

// Orange over a pale middle to blue, Okabe and Ito's, which differ for all eyes.
std::string colour(double share) {
  constexpr std::array<double, 3> kNone = {213, 94, 0}, kHalf = {240, 228, 190}, kAllFound = {0, 114, 178};
  const auto& from = share < 0.5 ? kNone : kHalf;
  const auto& to = share < 0.5 ? kHalf : kAllFound;
  const double at = share < 0.5 ? 2 * share : 2 * share - 1;
  std::string out = "#";
  for (size_t i = 0; i < 3; ++i) out += fmt::format("{:02x}", static_cast<int>(from[i] + (to[i] - from[i]) * at + 0.5));
  return out;
}

constexpr double kLeft = 72, kTop = 64, kCellWidth = 88, kCellHeight = 40;
constexpr std::string_view kStyle = R"(  <style>
    .needle { color: #1f2933; font: 13px system-ui, sans-serif; }
    .needle text { fill: currentColor; }
    .needle .title { font-size: 16px; font-weight: 600; }
    .needle .on-dark { fill: #ffffff; }
    .needle .on-light { fill: #1f2933; }
    @media (prefers-color-scheme: dark) { .needle { color: #e4e7eb; } }
  </style>
)";

std::string text_at(double x, double y, std::string_view anchor, std::string_view text, std::string_view kind = "label") {
  return fmt::format("  <text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", kind, x, y, anchor,
                     escaped(text));
}

}  // namespace

NeedleGrid::NeedleGrid(NeedleKind which, std::vector<int64_t> of_lengths, std::vector<double> of_depths)
    : kind(which), lengths(std::move(of_lengths)), depths(std::move(of_depths)), cells(lengths.size() * depths.size()) {}

NeedleCell NeedleGrid::all_depths(size_t length) const {
  NeedleCell sum;
  for (size_t d = 0; d < depths.size(); ++d) {
    const NeedleCell& cell = at(d, length);
    sum.trials += cell.trials, sum.found += cell.found, sum.tokens += cell.tokens;
  }
  return sum;
}

std::string needle_text(const NeedleGrid& grid) {
  std::string out = fmt::format("{:>{}}", kCorner, kCorner.size());
  for (const int64_t length : grid.lengths) out += fmt::format("{:>12}", grouped(length));
  out += "\n";
  for (size_t d = 0; d < grid.depths.size(); ++d) {
    out += fmt::format("{:>{}}", depth_name(grid.depths[d]), kCorner.size());
    for (size_t l = 0; l < grid.lengths.size(); ++l) out += shaded(grid.at(d, l).share());
    out += "\n";
  }
  out += fmt::format("{:>{}}", kAll, kCorner.size());
  for (size_t l = 0; l < grid.lengths.size(); ++l) out += shaded(grid.all_depths(l).share());
  return out + "\n";
}

Json needle_json(const NeedleGrid& grid) {
  Json cells = Json::array(), out = Json::object();
  int64_t trials = 0, found = 0;
  for (size_t d = 0; d < grid.depths.size(); ++d)
    for (size_t l = 0; l < grid.lengths.size(); ++l) {
      const NeedleCell& cell = grid.at(d, l);
      Json one = Json::object();
      one["length"] = grid.lengths[l];
      one["depth"] = grid.depths[d];
      one["trials"] = cell.trials;
      one["found"] = cell.found;
      one["tokens"] = cell.trials > 0 ? cell.tokens / cell.trials : 0;
      cells.push_back(std::move(one));
      trials += cell.trials, found += cell.found;
    }
  out["kind"] = needle_kind_name(grid.kind);
  out["lengths"] = Json(Json::Array(grid.lengths.begin(), grid.lengths.end()));
  out["depths"] = Json(Json::Array(grid.depths.begin(), grid.depths.end()));
  out["cells"] = std::move(cells);
  out["trials"] = trials;
  out["found"] = found;
  return out;
}

std::string needle_svg(std::string_view title, const NeedleGrid& grid) {
  const double width = std::max(640.0, kLeft + kCellWidth * static_cast<double>(grid.lengths.size()) + 24);
  const double bottom = kTop + kCellHeight * static_cast<double>(grid.depths.size());
  std::string out = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"needle\" viewBox=\"0 0 {} {}\" role=\"img\">\n",
                                width, bottom + 56);
  out += fmt::format("  <title>{}</title>\n", escaped(title));
  out += kStyle;
  out += text_at(8, 28, "start", title, "title");
  out += text_at(8, kTop - 12, "start", "depth");
  for (size_t d = 0; d < grid.depths.size(); ++d) {
    const double y = kTop + kCellHeight * static_cast<double>(d);
    out += text_at(kLeft - 8, y + kCellHeight / 2 + 5, "end", depth_name(grid.depths[d]));
    for (size_t l = 0; l < grid.lengths.size(); ++l) {
      const double x = kLeft + kCellWidth * static_cast<double>(l), share = grid.at(d, l).share();
      out += fmt::format("  <rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>\n", x, y, kCellWidth - 2,
                         kCellHeight - 2, colour(share));
      out += text_at(x + kCellWidth / 2 - 1, y + kCellHeight / 2 + 4, "middle", fmt::format("{:.0f} %", 100 * share),
                     share > 0.85 ? "on-dark" : "on-light");
    }
  }
  for (size_t l = 0; l < grid.lengths.size(); ++l)
    out += text_at(kLeft + kCellWidth * (static_cast<double>(l) + 0.5) - 1, bottom + 18, "middle", grouped(grid.lengths[l]));
  out += text_at(kLeft + kCellWidth * static_cast<double>(grid.lengths.size()) / 2, bottom + 40, "middle", "tokens of the prompt");
  return out + "</svg>\n";
}

std::vector<int64_t> needle_lengths(NeedleKind kind, int64_t longest) {
  std::vector<int64_t> lengths;
  for (int64_t length = kind == NeedleKind::tools ? 2048 : 1024; length < longest; length *= 2) lengths.push_back(length);
  lengths.push_back(longest);
  return lengths;
}

}  // namespace quern
