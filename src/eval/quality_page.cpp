// quality_page(): the report as one HTML document. Tables carry the numbers; the charts show what a table does not, how they spread.
#include <array>

#include "eval/markup.h"
#include "eval/quality_charts.h"
#include "eval/quality_report.h"
#include "eval/survival_chart.h"

namespace quern {
namespace {

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Quality of a quantised model</title>
<style>
  :root { color-scheme: light dark; --ink: #1f2933; --paper: #ffffff; --faint: #d9dee4; --first: #0072b2; --second: #d55e00; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e4e7eb; --paper: #14181d; --faint: #3a434d; --first: #56b4e9; --second: #e69f00; }
  }
  body { margin: 2rem auto; max-width: 54rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
         font: 16px/1.5 system-ui, sans-serif; }
  h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
  p { max-width: 44rem; }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
  th, td { padding: 0.3rem 0.8rem 0.3rem 0; text-align: right; border-bottom: 1px solid var(--faint); }
  th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
  svg { width: 100%; height: auto; }
  svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
  .axis { stroke: var(--ink); fill: none; } .grid { stroke: var(--faint); fill: none; }
  .first { fill: var(--first); fill-opacity: 0.8; } .second { fill: var(--second); fill-opacity: 0.8; }
  .key { display: inline-block; width: 0.8em; height: 0.8em; margin: 0 0.4em 0 1em; }
  .key1 { background: var(--first); } .key2 { background: var(--second); }
  summary { cursor: pointer; }
</style>
</head>
<body>
)";

using Cells = std::vector<std::string>;

std::string table(const Cells& head, const std::vector<Cells>& rows) {
  std::string out = "<div class=\"wide\"><table>\n<tr>";
  for (const std::string& cell : head) out += fmt::format("<th scope=\"col\">{}</th>", escaped(cell));
  out += "</tr>\n";
  for (const Cells& row : rows) {
    out += "<tr>";
    for (const std::string& cell : row) out += fmt::format("<td>{}</td>", escaped(cell));
    out += "</tr>\n";
  }
  return out + "</table></div>\n";
}

std::string per_cent(double share) { return fmt::format("{:.2f} %", 100 * share); }
std::string part_of(int64_t part, int64_t whole) {
  return whole > 0 ? fmt::format("{} of {} ({:.1f} %)", part, whole, 100 * static_cast<double>(part) / static_cast<double>(whole))
                   : std::string("none");
}

std::string sides(const QualityReport& report) {
  const auto row = [](std::string_view name, const QualityReport::Side& side) -> Cells {
    return {fmt::format("{}: {}", name, side.path), fmt::format("{}", side.matrices.weights),
            fmt::format("{:.1f} MB", static_cast<double>(side.matrices.bytes) / 1e6),
            fmt::format("{:.3f}", side.matrices.bits_per_weight()), side.kv};
  };
  return table({"", "weights in matrices", "size", "bits a weight", "KV cache"},
               {row("source", report.source), row("result", report.result)});
}

std::string predictions(const QualityReport::Text& text, const QualityReport::Machine& machine) {
  const auto row = [](std::string_view name, const TokenScores& scores) -> Cells {
    return {std::string(name),
            fmt::format("{}", scores.tokens()),
            fmt::format("{:.6f}", scores.mean_kl()),
            fmt::format("{:.6f}", scores.kl_quantile(0.5)),
            fmt::format("{:.6f}", scores.kl_quantile(0.99)),
            per_cent(scores.top1_agreement()),
            fmt::format("{:.4f}", scores.source_perplexity()),
            fmt::format("{:.4f}", scores.result_perplexity())};
  };
  const bool both = text.comparison.spoken.tokens() > 0;
  std::vector<Cells> rows = {row("all positions", text.comparison.all)};
  if (both) rows.push_back(row("the assistant's", text.comparison.spoken));
  std::string out = fmt::format(
      "<h2>Predictions</h2>\n<p>Both models read {} tokens of {} ({} documents). The KL divergence, in nats, is what the result's "
      "distribution over the next token loses against the source's; top-1: both find the same token likeliest.{}</p>\n<p>{}.</p>\n",
      text.tokens, escaped(text.source), text.documents,
      both ? " The assistant's positions are those whose next token the model itself would write." : "", escaped(machine.text()));
  out += table({"", "positions", "mean KL", "median", "99 %", "top-1 same", "perplexity, source", "result"}, rows);
  if (both) out += "<p><span class=\"key key1\"></span>all positions <span class=\"key key2\"></span>the assistant's</p>\n";
  return out + kl_histogram(text.comparison);
}

std::string tool_calls(const QualityReport::Tools& tools) {
  const auto row = [](std::string_view name, const ToolScores& scores) -> Cells {
    return {std::string(name), part_of(scores.exact, scores.expected), part_of(scores.malformed, scores.calls),
            part_of(scores.complete, scores.episodes)};
  };
  std::string out = fmt::format("<h2>Tool calls</h2>\n<p>{}, greedy, constrained.</p>\n", escaped(tools.episodes));
  out += table({"", "calls exact", "malformed", "episodes complete"}, {row("source", tools.source), row("result", tools.result)});
  const auto curves =
      std::to_array<NamedCurve>({{"source", survival_curve(tools.source)}, {"result", survival_curve(tools.result)}});
  if (curves[0].curve.length() > 1) out += survival_svg("How far chains come", curves);
  return out;
}

std::string weights(const TensorErrors& errors) {
  std::string out = fmt::format(
      "<h2>Weights</h2>\n<p>Each point is a matrix (the experts of a layer are one): the root mean square of its error over that of its "
      "weights. Of all together it is {:.3f} %.{}</p>\n",
      100 * errors.relative_rms,
      errors.not_compared > 0
          ? fmt::format(" Not compared: {} matrices that only one of the models has, or in another shape.", errors.not_compared)
          : "");
  out += tensor_error_chart(errors);
  std::vector<Cells> rows;
  for (const TensorError& error : errors.tensors)
    rows.push_back({error.name, std::string(quant_format_info(error.source).name),
                    std::string(quant_format_info(error.result).name), fmt::format("{}", error.weights),
                    fmt::format("{:.4f} %", 100 * error.relative_rms), fmt::format("{:.4f} %", 100 * error.worst_matrix)});
  return out + "<details><summary>All matrices</summary>\n" +
         table({"", "from", "to", "weights", "relative error", "worst expert"}, rows) + "</details>\n";
}

}  // namespace

std::string quality_page(const QualityReport& report) {
  std::string out(kHead);
  out += "<h1>Quality of a quantised model</h1>\n" + sides(report) + predictions(report.text, report.machine);
  if (report.tools) out += tool_calls(*report.tools);
  return out + weights(report.weights) + "</body>\n</html>\n";
}

}  // namespace quern
