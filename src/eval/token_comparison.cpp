#include "eval/token_comparison.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "runtime/engine_impl.h"

namespace quern {
namespace {

constexpr int64_t kPart = 256;  // tokens: their logits over 152 thousand words are 156 MB

double mean(const std::vector<TokenScore>& scores, double TokenScore::* member) {
  double sum = 0;
  for (const TokenScore& score : scores) sum += score.*member;
  return scores.empty() ? 0 : sum / static_cast<double>(scores.size());
}

// ln of the sum of the exponentials.
double log_partition(std::span<const float> logits) {
  const auto largest = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum);
}

bool is_finite(const TokenScore& score) {
  return std::isfinite(score.kl) && std::isfinite(score.source_nll) && std::isfinite(score.result_nll);
}

// The first logit that is no number, where a score is none: finite logits have finite scores.
tl::unexpected<Error> not_finite(const Engine& source, const Engine& result, std::span<const float> of_source,
                                 std::span<const float> of_result, int64_t position) {
  const auto bad = [](float logit) { return !std::isfinite(logit); };
  const auto in_source = std::find_if(of_source.begin(), of_source.end(), bad);
  const bool is_source = in_source != of_source.end();
  const std::span<const float> logits = is_source ? of_source : of_result;
  const auto at = is_source ? in_source : std::find_if(of_result.begin(), of_result.end(), bad);
  QUERN_CHECK(at != logits.end(), position);
  return fail(Errc::out_of_range, "{} {}: after position {} the logit of token {} is {}", is_source ? "source" : "result",
              (is_source ? source : result).impl().options.model.string(), position, at - logits.begin(), *at);
}

auto top(std::span<const float> logits) { return std::max_element(logits.begin(), logits.end()) - logits.begin(); }

// The timeline of one of the two models, with the logits of the part fed last.
class Reader {
 public:
  explicit Reader(const Engine& engine)
      : runner_{.model = *engine.impl().model,
                .ops = *engine.impl().ops,
                .workspace = *engine.impl().workspace,
                .kv = engine.impl().options.kv,
                .context = engine.context()},
        timeline_(runner_) {}

  Result<void> read(std::span<const int32_t> part) {
    vocab_ = static_cast<size_t>(runner_.model.config.vocab_size);
    logits_.clear();
    return timeline_.feed(part, Batch::Logits::all, [&](int64_t, std::span<const int32_t>) {
      const Tensor rows = runner_.workspace.logits;
      for (int64_t t = 0; t < rows.rows; ++t) logits_.insert(logits_.end(), rows.row(t), rows.row(t) + rows.cols);
      return true;
    });
  }
  std::span<const float> logits(size_t row) const { return std::span(logits_).subspan(row * vocab_, vocab_); }

 private:
  Runner runner_;
  Timeline timeline_;
  std::vector<float> logits_;
  size_t vocab_ = 0;
};

// One document from its beginning; what comes after its last token is not known.
Result<void> compare_document(const Engine& source, const Engine& result, const SampleDocument& document, TokenComparison& out,
                              const std::function<void(int64_t)>& read) {
  Reader of_source(source), of_result(result);
  const std::span<const int32_t> ids(document.ids);
  for (size_t first = 0; first + 1 < ids.size(); first += kPart) {
    const auto part = ids.subspan(first, std::min<size_t>(kPart, ids.size() - 1 - first));
    QUERN_TRY(of_source.read(part));
    QUERN_TRY(of_result.read(part));
    std::vector<TokenScore> scores(part.size());
    source.impl().pool->parallel_for(static_cast<int64_t>(part.size()), 1, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
        scores[i] = compare_logits(of_source.logits(i), of_result.logits(i), ids[first + i + 1]);
    });
    for (size_t i = 0; i < scores.size(); ++i)
      if (!is_finite(scores[i]))
        return not_finite(source, result, of_source.logits(i), of_result.logits(i), static_cast<int64_t>(first + i));
    for (size_t i = 0; i < scores.size(); ++i)
      if (!document.spoken.empty() && document.spoken[first + i + 1]) out.spoken.scores.push_back(scores[i]);
    out.all.scores.insert(out.all.scores.end(), scores.begin(), scores.end());
    read(static_cast<int64_t>(part.size()));
  }
  return {};
}

}  // namespace

TokenScore compare_logits(std::span<const float> source, std::span<const float> result, int32_t next) {
  QUERN_CHECK(!source.empty() && source.size() == result.size() && next >= 0 && static_cast<size_t>(next) < source.size(),
              source.size(), result.size(), next);
  const double source_total = log_partition(source), result_total = log_partition(result);
  double kl = 0;
  for (size_t v = 0; v < source.size(); ++v) {
    const double log_p = static_cast<double>(source[v]) - source_total, log_q = static_cast<double>(result[v]) - result_total;
    kl += std::exp(log_p) * (log_p - log_q);
  }
  const auto at = static_cast<size_t>(next);
  return {.kl = kl < 0 ? 0 : kl,  // below only by rounding; what is no number stays none
          .source_nll = source_total - static_cast<double>(source[at]),
          .result_nll = result_total - static_cast<double>(result[at]),
          .same_top = top(source) == top(result)};
}

double TokenScores::mean_kl() const { return mean(scores, &TokenScore::kl); }

double TokenScores::kl_quantile(double share) const {
  if (scores.empty()) return 0;
  std::vector<double> kl;
  for (const TokenScore& score : scores) kl.push_back(score.kl);
  const auto at = static_cast<std::ptrdiff_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(kl.size() - 1));
  std::nth_element(kl.begin(), kl.begin() + at, kl.end());
  return kl[static_cast<size_t>(at)];
}

double TokenScores::top1_agreement() const {
  const auto same = std::count_if(scores.begin(), scores.end(), [](const TokenScore& score) { return score.same_top; });
  return scores.empty() ? 0 : static_cast<double>(same) / static_cast<double>(scores.size());
}

double TokenScores::source_perplexity() const { return std::exp(mean(scores, &TokenScore::source_nll)); }
double TokenScores::result_perplexity() const { return std::exp(mean(scores, &TokenScore::result_nll)); }

Result<TokenComparison> compare_tokens(const Engine& source, const Engine& result, const Sample& sample,
                                       const std::function<void(double done, double total)>& on_progress) {
  const int64_t vocab = source.impl().model->config.vocab_size, other = result.impl().model->config.vocab_size;
  if (vocab != other)
    return fail(Errc::mismatch, "{}: a vocabulary of {}, expected {} as in {}", result.impl().options.model.string(), other, vocab,
                source.impl().options.model.string());
  for (size_t d = 0; d < sample.documents.size(); ++d)
    for (size_t i = 0; i < sample.documents[d].ids.size(); ++i)
      if (const int32_t id = sample.documents[d].ids[i]; id < 0 || id >= vocab)
        return fail(Errc::out_of_range, "document {}: token {}: id {} is outside the vocabulary of {}", d, i, id, vocab);
  TokenComparison comparison;
  int64_t done = 0, positions = 0;
  for (const SampleDocument& document : sample.documents)
    positions += std::max<int64_t>(0, static_cast<int64_t>(document.ids.size()) - 1);
  const auto read = [&](int64_t tokens) {
    done += tokens;
    if (on_progress) on_progress(static_cast<double>(done), static_cast<double>(positions));
  };
  for (size_t i = 0; i < sample.documents.size(); ++i) {
    const auto compared = compare_document(source, result, sample.documents[i], comparison, read);
    if (!compared) return with_context(compared.error(), fmt::format("document {}", i));
  }
  return comparison;
}

}  // namespace quern
