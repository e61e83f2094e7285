#include "eval/quality_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "eval/markup.h"

namespace quern {
namespace {

constexpr double kWidth = 860, kLabelSize = 13;

class Drawing {
 public:
  Drawing(std::string_view title, double height) {
    put(R"(<svg viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">)", kWidth, height, escaped(title));
  }
  std::string take() && { return std::move(out_) + "</svg>\n"; }

  void text(double x, double y, std::string_view anchor, std::string_view plain) {
    put(R"(  <text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>)", x, y, anchor, escaped(plain));
  }
  void line(std::string_view kind, double x, double y, double to_x, double to_y) {
    put(R"(  <path class="{}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>)", kind, x, y, to_x, to_y);
  }
  void bar(std::string_view kind, double x, double y, double width, double height, std::string_view tip) {
    put(R"(  <rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>)", kind, x, y, width,
        height, escaped(tip));
  }
  void point(std::string_view kind, double x, double y, std::string_view tip) {
    put(R"(  <circle class="{}" cx="{:.1f}" cy="{:.1f}" r="5"><title>{}</title></circle>)", kind, x, y, escaped(tip));
  }

 private:
  template <typename... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }
  std::string out_;
};

// Steps of a tenth, fifth or half of a power of ten, four to ten of them.
double nice_step(double most) {
  const double power = std::pow(10, std::floor(std::log10(most)));
  for (const double step : {0.1, 0.2, 0.5})
    if (most / (step * power) <= 10) return step * power;
  return power;
}

// Bin 0 is below 10^kFirst; each further one is half a power of ten wide, and the last has all that is above. Most positions are in bin 0,
// where a prediction was certain and stayed so: it is told in words, so that the others can be seen.
constexpr int kFirst = -7;
constexpr size_t kBins = 16;
using Histogram = std::array<double, kBins>;

Histogram histogram(const TokenScores& scores) {
  Histogram shares{};
  for (const TokenScore& score : scores.scores) {
    const double at = std::isnan(score.kl) ? static_cast<double>(kBins)
                      : score.kl > 0       ? 2 * (std::log10(score.kl) - kFirst) + 1
                                           : 0;
    shares[static_cast<size_t>(std::clamp(std::floor(at), 0.0, static_cast<double>(kBins - 1)))] += 1;
  }
  for (double& share : shares) share /= static_cast<double>(std::max<int64_t>(1, scores.tokens()));
  return shares;
}

std::string bin_name(size_t bin) {
  const auto edge = [](size_t i) { return std::pow(10.0, kFirst + static_cast<double>(i) / 2); };
  if (bin == 0) return fmt::format("below {:.2g}", edge(0));
  if (bin == kBins - 1) return fmt::format("above {:.2g}", edge(bin - 1));
  return fmt::format("{:.2g} to {:.2g}", edge(bin - 1), edge(bin));
}

// "mlp.experts.*.up_proj" of "model.layers.3.mlp.experts.*.up_proj.weight".
std::string kind_of(const std::string& name) {
  constexpr std::string_view kLayers = "layers.", kWeight = ".weight";
  std::string kind = name.ends_with(kWeight) ? name.substr(0, name.size() - kWeight.size()) : name;
  if (kind.starts_with("mtp.")) return "mtp";
  const size_t at = kind.find(kLayers);
  if (at == std::string::npos) return kind.substr(kind.rfind('.') + 1);
  return kind.substr(std::min(kind.find('.', at + kLayers.size()), kind.size() - 1) + 1);
}

struct Kind {
  std::string name;
  std::vector<const TensorError*> tensors;
};

std::vector<Kind> kinds_of(const TensorErrors& errors) {
  std::vector<Kind> kinds;
  for (const TensorError& error : errors.tensors) {
    const std::string name = kind_of(error.name);
    auto at = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& kind) { return kind.name == name; });
    if (at == kinds.end()) at = kinds.insert(at, {name, {}});
    at->tensors.push_back(&error);
  }
  return kinds;
}

}  // namespace

std::string kl_histogram(const TokenComparison& comparison) {
  constexpr double kLeft = 56, kTop = 24, kBottom = 244, kStep = (kWidth - kLeft) / (kBins - 1);
  const Histogram all = histogram(comparison.all), spoken = histogram(comparison.spoken);
  const bool both = comparison.spoken.tokens() > 0;
  const double most =
      std::max({*std::max_element(all.begin() + 1, all.end()), *std::max_element(spoken.begin() + 1, spoken.end()), 0.001});
  const double step = nice_step(most), top = std::ceil(most / step - 1e-9) * step;
  const auto y = [&](double share) { return kBottom - (kBottom - kTop) * share / top; };

  Drawing drawing("Distribution of the KL divergence over positions", kBottom + 48);
  drawing.text(0, 12, "start", "positions, %");
  drawing.text(kWidth, 12, "end",
               fmt::format("{}: {:.1f} % of all{}", bin_name(0), 100 * all[0],
                           both ? fmt::format(", {:.1f} % of the assistant's", 100 * spoken[0]) : ""));
  for (double share = 0; share <= top * 1.001; share += step) {
    drawing.line(share == 0 ? "axis" : "grid", kLeft, y(share), kWidth, y(share));
    drawing.text(kLeft - 8, y(share) + 4, "end", fmt::format("{:.3g}", 100 * share));
  }
  for (size_t i = 1; i < kBins; ++i) {
    const double left = kLeft + kStep * static_cast<double>(i - 1), width = (kStep - 8) / (both ? 2 : 1);
    const auto bar = [&](std::string_view kind, double x, double share, std::string_view who) {
      if (share > 0)
        drawing.bar(kind, x, y(share), width, kBottom - y(share), fmt::format("{}: {:.2f} % {}", who, 100 * share, bin_name(i)));
    };
    bar("first", left + 4, all[i], "all");
    bar("second", left + 4 + width, spoken[i], "the assistant's");
    if (i % 2 == 1) {  // the edge below bin i is a whole power of ten
      drawing.line("axis", left, kBottom, left, kBottom + 5);
      drawing.text(left, kBottom + 20, "middle", fmt::format("{:g}", std::pow(10.0, kFirst + static_cast<double>(i / 2))));
    }
  }
  drawing.text((kLeft + kWidth) / 2, kBottom + 40, "middle", "KL divergence of a position, nats");
  return std::move(drawing).take();
}

std::string tensor_error_chart(const TensorErrors& errors) {
  constexpr double kLeft = 220, kRight = kWidth - 16, kTop = 30, kRow = 24;
  const std::vector<Kind> kinds = kinds_of(errors);
  double most = 1e-4;  // of the errors that are finite; the others stand at the right edge
  for (const TensorError& error : errors.tensors)
    if (std::isfinite(error.relative_rms)) most = std::max(most, error.relative_rms);
  const double step = nice_step(most), end = std::ceil(most / step - 1e-9) * step;
  const double bottom = kTop + kRow * static_cast<double>(kinds.size());
  const auto x = [&](double error) { return kLeft + (kRight - kLeft) * std::min(error, end) / end; };

  Drawing drawing("Relative error of each matrix, by kind", bottom + 46);
  for (double at = 0; at <= end * 1.001; at += step) {
    drawing.line(at == 0 ? "axis" : "grid", x(at), kTop - 6, x(at), bottom);
    drawing.text(x(at), bottom + 18, "middle", fmt::format("{:.3g}", 100 * at));
  }
  drawing.text((kLeft + kRight) / 2, bottom + 38, "middle", "relative rms error, %");
  for (size_t i = 0; i < kinds.size(); ++i) {
    const double middle = kTop + kRow * (static_cast<double>(i) + 0.5);
    drawing.text(kLeft - 12, middle + kLabelSize / 3, "end", kinds[i].name);
    drawing.line("grid", kLeft, middle, kRight, middle);
    for (const TensorError* error : kinds[i].tensors)
      drawing.point("first", x(error->relative_rms), middle,
                    fmt::format("{}: {}, {:.3f} %", error->name, quant_format_info(error->result).name, 100 * error->relative_rms));
  }
  return std::move(drawing).take();
}

}  // namespace quern
