#include "eval/survival.h"

#include <algorithm>

#include "base/check.h"

namespace quern {
namespace {

constexpr int64_t kBarCells = 10;
constexpr std::string_view kFirst = "first n calls";
constexpr std::string_view kColumns = "all exact           none malformed";  // a bar and a percentage; a percentage

int64_t longest(std::span<const NamedCurve> curves) {
  int64_t length = 0;
  for (const NamedCurve& named : curves) length = std::max(length, named.curve.length());
  return length;
}

// Dense where most chains break, then every fifth call, and the last.
std::vector<int64_t> rows_up_to(int64_t length) {
  std::vector<int64_t> rows = {1, 2, 3, 5, 8};
  for (int64_t n = 10; n < length; n += 5) rows.push_back(n);
  std::erase_if(rows, [&](int64_t n) { return n >= length; });
  if (length > 0) rows.push_back(length);
  return rows;
}

std::string percent(double share) { return fmt::format("{:5.1f} %", 100 * share); }

// To an eighth of a character, padded with spaces.
std::string bar(double share) {
  constexpr std::string_view kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths = static_cast<int64_t>(share * kBarCells * 8 + 0.5);
  std::string out;
  for (int64_t i = 0; i < eighths / 8; ++i) out += "█";
  out += kEighths[eighths % 8];
  return out + std::string(static_cast<size_t>(kBarCells - (eighths + 7) / 8), ' ');
}

std::string line(std::string text) {
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

}  // namespace

SurvivalCurve survival_curve(const ToolScores& scores) {
  QUERN_CHECK(!scores.outcomes.empty());
  int64_t length = 0;
  for (const EpisodeOutcome& outcome : scores.outcomes) length = std::max(length, outcome.expected);
  const auto share = [&](const auto& survives) {
    return static_cast<double>(std::count_if(scores.outcomes.begin(), scores.outcomes.end(), survives)) /
           static_cast<double>(scores.outcomes.size());
  };
  SurvivalCurve curve;
  for (int64_t n = 0; n <= length; ++n) {
    curve.exact.push_back(share([&](const EpisodeOutcome& o) { return o.right >= std::min(n, o.expected); }));
    curve.well_formed.push_back(share([&](const EpisodeOutcome& o) { return o.before_malformed.value_or(n) >= n; }));
  }
  curve.complete = share([](const EpisodeOutcome& o) { return o.complete; });
  return curve;
}

std::string survival_text(std::span<const NamedCurve> curves) {
  std::string names(kFirst.size(), ' '), columns(kFirst), answer = fmt::format("{:>{}}", "and answer", kFirst.size()), out;
  for (const NamedCurve& named : curves) {
    names += fmt::format("   {:<{}}", named.name, kColumns.size());
    columns += fmt::format("   {}", kColumns);
    answer += fmt::format("   {} {}{:16}", bar(named.curve.complete), percent(named.curve.complete), "");
  }
  if (curves.size() > 1) out += line(names);
  out += line(columns);
  for (const int64_t n : rows_up_to(longest(curves))) {
    out += fmt::format("{:>{}}", n, kFirst.size());
    for (const auto& [name, curve] : curves)
      out += fmt::format("   {} {}{:>16}", bar(curve.exact_at(n)), percent(curve.exact_at(n)), percent(curve.well_formed_at(n)));
    out += "\n";
  }
  return out + line(answer);
}

Json survival_json(const SurvivalCurve& curve) {
  const auto array = [](const std::vector<double>& shares) { return Json(Json::Array(shares.begin(), shares.end())); };
  Json out = Json::object();
  out["exact"] = array(curve.exact);
  out["well_formed"] = array(curve.well_formed);
  out["complete"] = curve.complete;
  return out;
}

}  // namespace quern
