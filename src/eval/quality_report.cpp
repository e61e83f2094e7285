#include "eval/quality_report.h"

#include <algorithm>

namespace quern {
namespace {

double per_cent(double share) { return 100 * share; }

Json side_json(const QualityReport::Side& side) {
  Json out = Json::object();
  out["path"] = side.path;
  out["weights"] = side.matrices.weights;
  out["bytes"] = side.matrices.bytes;
  out["bits_per_weight"] = side.matrices.bits_per_weight();
  out["kv"] = side.kv;
  return out;
}

Json weights_json(const TensorErrors& errors) {
  Json tensors = Json::array(), out = Json::object();
  for (const TensorError& error : errors.tensors) {
    Json one = Json::object();
    one["name"] = error.name;
    one["from"] = quant_format_info(error.source).name;
    one["to"] = quant_format_info(error.result).name;
    one["matrices"] = error.matrices;
    one["weights"] = error.weights;
    one["bytes"] = error.bytes;
    one["relative_rms"] = error.relative_rms;
    one["worst_matrix"] = error.worst_matrix;
    tensors.push_back(std::move(one));
  }
  out["relative_rms"] = errors.relative_rms;
  out["not_compared"] = errors.not_compared;
  out["tensors"] = std::move(tensors);
  return out;
}

Json scores_json(const TokenScores& scores) {
  Json out = Json::object();
  out["positions"] = scores.tokens();
  out["mean_kl"] = scores.mean_kl();
  out["median_kl"] = scores.kl_quantile(0.5);
  out["p99_kl"] = scores.kl_quantile(0.99);
  out["max_kl"] = scores.kl_quantile(1);
  out["top1_agreement"] = scores.top1_agreement();
  out["source_perplexity"] = scores.source_perplexity();
  out["result_perplexity"] = scores.result_perplexity();
  return out;
}

Json tool_scores_json(const ToolScores& scores) {
  Json out = Json::object();
  out["calls"] = scores.calls;
  out["expected"] = scores.expected;
  out["exact"] = scores.exact;
  out["malformed"] = scores.malformed;
  out["episodes"] = scores.episodes;
  out["complete"] = scores.complete;
  return out;
}

void add_scores(std::string& out, std::string_view name, const TokenScores& scores) {
  out += fmt::format("{:<22}{:>10}{:>12.6f}{:>12.6f}{:>12.6f}{:>10.2f} %{:>12.4f}{:>12.4f}\n", name, scores.tokens(),
                     scores.mean_kl(), scores.kl_quantile(0.5), scores.kl_quantile(0.99), per_cent(scores.top1_agreement()),
                     scores.source_perplexity(), scores.result_perplexity());
}

// The matrices that lost most.
void add_weights(std::string& out, const TensorErrors& errors) {
  constexpr size_t kShown = 5;
  std::vector<const TensorError*> worst;
  for (const TensorError& error : errors.tensors) worst.push_back(&error);
  std::stable_sort(worst.begin(), worst.end(),
                   [](const TensorError* a, const TensorError* b) { return a->relative_rms > b->relative_rms; });
  worst.resize(std::min(worst.size(), kShown));
  out += fmt::format("weights: relative rms error {:.5f}; most in\n", errors.relative_rms);
  for (const TensorError* error : worst)
    out += fmt::format("  {:<58}{:<20}{:.5f}\n", error->name, quant_format_info(error->result).name, error->relative_rms);
  if (errors.not_compared > 0)
    out += fmt::format("  not compared: {} matrices that only one of the models has, or in another shape\n", errors.not_compared);
}

void add_tools(std::string& out, std::string_view name, const ToolScores& scores) {
  const auto share = [](int64_t part, int64_t whole) {
    return whole > 0 ? per_cent(static_cast<double>(part) / static_cast<double>(whole)) : 0;
  };
  out += fmt::format("  {:<8}{} of {} calls exact ({:.1f} %), {} of {} episodes complete ({:.1f} %)\n", name, scores.exact,
                     scores.expected, share(scores.exact, scores.expected), scores.complete, scores.episodes,
                     share(scores.complete, scores.episodes));
}

}  // namespace

std::string QualityReport::Machine::text() const {
  return fmt::format("{} ops, {}: {}", ops, isa,
                     int8_activations ? "quantised weights are multiplied with int8 activations where a kernel exists"
                                      : "activations are not rounded");
}

Json quality_json(const QualityReport& report) {
  Json text = Json::object(), out = Json::object();
  text["source"] = report.text.source;
  text["documents"] = report.text.documents;
  text["tokens"] = report.text.tokens;
  text["all"] = scores_json(report.text.comparison.all);
  if (report.text.comparison.spoken.tokens() > 0) text["assistant"] = scores_json(report.text.comparison.spoken);
  out["source"] = side_json(report.source);
  out["result"] = side_json(report.result);
  out["ops"] = report.machine.ops;
  out["isa"] = report.machine.isa;
  out["int8_activations"] = report.machine.int8_activations;
  out["text"] = std::move(text);
  if (report.tools) {
    Json tools = Json::object();
    tools["episodes"] = report.tools->episodes;
    tools["source"] = tool_scores_json(report.tools->source);
    tools["result"] = tool_scores_json(report.tools->result);
    out["tools"] = std::move(tools);
  }
  out["weights"] = weights_json(report.weights);
  return out;
}

std::string quality_text(const QualityReport& report) {
  std::string out;
  for (const auto& [name, side] : {std::pair{"source", &report.source}, {"result", &report.result}})
    out += fmt::format("{:<8}{:>7.3f} bits a weight  {:>10.1f} MB  kv {:<5} {}\n", name, side->matrices.bits_per_weight(),
                       static_cast<double>(side->matrices.bytes) / 1e6, side->kv, side->path);
  out += fmt::format("\n{}\n{} tokens of {}\n", report.machine.text(), report.text.tokens, report.text.source);
  out += fmt::format("{:<22}{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}\n", "", "positions", "mean KL", "median", "99 %",
                     "top-1 same", "ppl source", "ppl result");
  add_scores(out, "all", report.text.comparison.all);
  if (report.text.comparison.spoken.tokens() > 0) add_scores(out, "the assistant's", report.text.comparison.spoken);
  out += "\n";
  if (report.tools) {
    out += fmt::format("tool calls: {}\n", report.tools->episodes);
    add_tools(out, "source", report.tools->source);
    add_tools(out, "result", report.tools->result);
    out += "\n";
  }
  add_weights(out, report.weights);
  return out;
}

}  // namespace quern
