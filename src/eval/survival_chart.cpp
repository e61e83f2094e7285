#include "eval/survival_chart.h"

#include <fmt/format.h>

#include <algorithm>

#include "eval/markup.h"

namespace quern {
namespace {

constexpr double kWidth = 800, kLeft = 56, kRight = 776, kTop = 64, kBottom = 364;  // the picture, and the axes in it
constexpr double kLegend = 436, kLegendRow = 24, kLegendColumn = 360;

// Rules hold below .survival only, so that the picture can stand in a page. Colours: Okabe and Ito's, which differ for all eyes.
constexpr std::string_view kStyle = R"(  <style>
    .survival { color: #1f2933; font: 13px system-ui, sans-serif; }
    .survival text { fill: currentColor; }
    .survival .title { font-size: 16px; font-weight: 600; }
    .survival .axis { stroke: currentColor; fill: none; }
    .survival .grid { stroke: currentColor; stroke-opacity: 0.15; }
    .survival .exact, .survival .well-formed { fill: none; }
    .survival .well-formed { stroke-dasharray: 6 4; }
    .survival .colour0 { stroke: #0072b2; }
    .survival .colour1 { stroke: #d55e00; }
    .survival .colour2 { stroke: #009e73; }
    .survival .colour3 { stroke: #cc79a7; }
    @media (prefers-color-scheme: dark) {
      .survival { color: #e4e7eb; }
      .survival .colour0 { stroke: #56b4e9; }
      .survival .colour1 { stroke: #e69f00; }
    }
  </style>
)";
constexpr size_t kColours = 4;

class Chart {
 public:
  Chart(std::string_view title, std::span<const NamedCurve> curves) : title_(escaped(title)), curves_(curves) {
    for (const NamedCurve& named : curves) length_ = std::max(length_, named.curve.length());
  }

  std::string draw() && {
    const double height = kLegend + kLegendRow * static_cast<double>(curves_.size());
    put(R"(<svg xmlns="http://www.w3.org/2000/svg" class="survival" viewBox="0 0 {} {}" role="img">)", kWidth, height);
    put("  <title>{}</title>", title_);
    out_ += kStyle;
    text(kLeft, 28, "start", title_, "title");
    vertical_axis();
    horizontal_axis();
    for (size_t i = 0; i < curves_.size(); ++i) lines(curves_[i].curve, stroke_of(i));
    for (size_t i = 0; i < curves_.size(); ++i) legend(curves_[i], stroke_of(i), kLegend + kLegendRow * static_cast<double>(i));
    return std::move(out_) + "</svg>\n";
  }

 private:
  double x(int64_t n) const { return kLeft + (kRight - kLeft) * static_cast<double>(n) / static_cast<double>(length_ + 1); }
  double y(double share) const { return kBottom - (kBottom - kTop) * share; }

  // Curves often lie on one another: the earlier drawn, the wider.
  struct Stroke {
    size_t colour, width;
  };
  Stroke stroke_of(size_t curve) const { return {curve % kColours, 2 + 3 * (curves_.size() - 1 - curve)}; }

  void vertical_axis() {
    text(kLeft, kTop - 12, "start", "episodes, %");
    for (int percent = 0; percent <= 100; percent += 20) {
      const double at = y(percent / 100.0);
      put(R"(  <path class="{}" d="M{:.1f} {:.1f}H{:.1f}"/>)", percent == 0 ? "axis" : "grid", kLeft, at, kRight);
      text(kLeft - 8, at + 4, "end", fmt::format("{}", percent));
    }
  }

  void horizontal_axis() {
    int64_t step = 1;
    for (const int64_t wider : {2, 5, 10, 20, 50, 100})
      if (length_ / step > 15) step = wider;
    for (int64_t n = 0; n <= length_; n += step) {
      put(R"(  <path class="axis" d="M{:.1f} {:.1f}v5"/>)", x(n), kBottom);
      text(x(n), kBottom + 20, "middle", fmt::format("{}", n));
    }
    put(R"(  <path class="axis" d="M{:.1f} {:.1f}v24"/>)", kRight, kBottom);
    text(kRight, kBottom + 40, "end", "answer");
    text((kLeft + kRight) / 2, kBottom + 40, "middle", "first n calls");
  }

  void lines(const SurvivalCurve& curve, Stroke stroke) {
    std::string exact = start(), well_formed = start();
    for (int64_t n = 1; n <= length_; ++n) {
      step(exact, n, curve.exact_at(n - 1), curve.exact_at(n));
      step(well_formed, n, curve.well_formed_at(n - 1), curve.well_formed_at(n));
    }
    step(exact, length_ + 1, curve.exact_at(length_), curve.complete);
    path("well-formed", stroke, well_formed + fmt::format("H{:.1f}", kRight));
    path("exact", stroke, exact + fmt::format("H{:.1f}", kRight));
    put(R"(  <circle class="exact colour{}" stroke-width="2" cx="{:.1f}" cy="{:.1f}" r="{}"/>)", stroke.colour, kRight,
        y(curve.complete), stroke.width + 2);
  }

  std::string start() const { return fmt::format("M{:.1f} {:.1f}", x(0), y(1)); }

  void step(std::string& path, int64_t n, double before, double after) const {
    if (after != before) path += fmt::format("H{:.1f}V{:.1f}", x(n), y(after));
  }

  void legend(const NamedCurve& named, Stroke stroke, double at) {
    const SurvivalCurve& curve = named.curve;
    const auto entry = [&](double left, std::string_view kind, const std::string& label) {
      path(kind, stroke, fmt::format("M{:.1f} {:.1f}h32", left, at - 4));
      text(left + 40, at, "start", escaped(label));
    };
    entry(kLeft, "exact", fmt::format("{}: all exact, {:.1f} % with the answer", named.name, 100 * curve.complete));
    entry(kLeft + kLegendColumn, "well-formed",
          fmt::format("{}: none malformed, {:.1f} % to the end", named.name, 100 * curve.well_formed.back()));
  }

  void path(std::string_view kind, Stroke stroke, std::string_view data) {
    put(R"(  <path class="{} colour{}" stroke-width="{}" d="{}"/>)", kind, stroke.colour, stroke.width, data);
  }

  void text(double left, double at, std::string_view anchor, std::string_view escaped_text, std::string_view kind = "label") {
    put(R"(  <text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>)", kind, left, at, anchor, escaped_text);
  }

  template <typename... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }

  std::string title_;
  std::span<const NamedCurve> curves_;
  int64_t length_ = 0;
  std::string out_;
};

}  // namespace

std::string survival_svg(std::string_view title, std::span<const NamedCurve> curves) { return Chart(title, curves).draw(); }

}  // namespace quern
