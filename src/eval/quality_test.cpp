// What a quality report says is what the models compute: KL divergence, agreement, perplexity, errors of weights; and how it is shown.
#include "eval/quality_report.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "base/file.h"
#include "convert/quantize.h"
#include "eval/episodes.h"
#include "eval/quality_charts.h"
#include "eval/sample.h"
#include "formats/safetensors.h"
#include "formats/temporary_folder_test.h"
#include "model/model_test.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(CompareLogits, GivesTheDivergenceInNats) {
  const float three = std::log(3.0f);
  const std::vector<float> source = {10, 10 + three}, result = {-4, -4};  // 1/4, 3/4 against 1/2, 1/2
  const TokenScore score = compare_logits(source, result, 1);
  EXPECT_NEAR(score.kl, 0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-6);
  EXPECT_NEAR(score.source_nll, -std::log(0.75), 1e-6);
  EXPECT_NEAR(score.result_nll, -std::log(0.5), 1e-6);
  EXPECT_FALSE(score.same_top);
  const std::vector<float> certain = {1000, -1000};  // no overflow, and no 0 times infinity
  EXPECT_EQ(compare_logits(certain, certain, 0).kl, 0);
  EXPECT_TRUE(compare_logits(certain, certain, 0).same_top);
}

TEST(CompareLogits, HidesNoLogitThatIsNoNumber) {
  const std::vector<float> good = {1, 2};
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()})
    for (const std::vector<float>& broken : {std::vector<float>{bad, 1}, std::vector<float>{1, bad}}) {
      EXPECT_FALSE(std::isfinite(compare_logits(broken, good, 1).source_nll));
      EXPECT_FALSE(std::isfinite(compare_logits(good, broken, 1).result_nll));
      EXPECT_FALSE(std::isfinite(compare_logits(good, broken, 0).kl));
    }
}

// tiny with a NaN as the first weight of a row.
fs::path with_nan(const TemporaryFolder& folder, const std::string& matrix, int64_t row) {
  fs::copy(model_test::fixture("tiny"), folder / "nan");
  std::string bytes = read_file(folder / "nan/model.safetensors").value();
  const SafetensorsFile file = SafetensorsFile::open(folder / "nan/model.safetensors").value();
  const std::byte* const end = file.tensors().back().bytes.data() + file.tensors().back().bytes.size();
  for (const StoredTensor& tensor : file.tensors())
    if (tensor.name == matrix) {
      const auto at =
          bytes.size() - static_cast<size_t>(end - tensor.bytes.data()) + static_cast<size_t>(row * tensor.shape[1] * 2);
      bytes[at] = '\xc0', bytes[at + 1] = '\x7f';
    }
  folder.write("nan/model.safetensors", bytes);
  return folder / "nan";
}

std::unique_ptr<Engine> engine(const fs::path& model) {
  auto loaded = Engine::load({.model = model, .threads = 2, .kv = KvFormat::f32});
  EXPECT_TRUE(loaded) << loaded.error().message;
  return std::move(*loaded);
}

Sample random_sample() {
  const model_test::TestModel model("tiny");
  Random random(7);
  Sample sample;
  for (const int64_t tokens : {300, 2, 40}) sample.documents.push_back({model.random_tokens(random, tokens), {}});
  sample.documents[2].spoken = std::vector<bool>(40);
  for (size_t i = 30; i < 40; ++i) sample.documents[2].spoken[i] = true;
  return sample;
}

TEST(CompareTokens, FindsAModelEqualToItself) {
  const auto model = engine(model_test::fixture("tiny"));
  double last = 0, all = 0;
  const auto comparison =
      compare_tokens(*model, *model, random_sample(), [&](double done, double total) { last = done, all = total; });
  ASSERT_TRUE(comparison) << comparison.error().message;
  EXPECT_EQ(comparison->all.tokens(), 299 + 1 + 39);
  EXPECT_EQ(comparison->spoken.tokens(), 10);
  EXPECT_EQ(comparison->all.kl_quantile(1), 0);
  EXPECT_EQ(comparison->all.top1_agreement(), 1);
  EXPECT_EQ(comparison->all.source_perplexity(), comparison->all.result_perplexity());
  EXPECT_EQ(last, 339);
  EXPECT_EQ(all, 339);
}

TEST(CompareTokens, HasThePerplexityOfTheForwardPass) {
  const auto quern = engine(model_test::fixture("tiny"));
  Sample sample = random_sample();
  sample.documents.resize(1);
  const std::vector<int32_t>& ids = sample.documents[0].ids;
  model_test::TestModel model("tiny");
  SequenceState state(model.model->config, KvFormat::f32, model.model->fingerprint, /*with_mtp=*/false);
  double nll = 0;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    const std::vector<float> logits = model.feed(state, {&ids[i], 1});
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    nll += std::log(sum) - static_cast<double>(logits[static_cast<size_t>(ids[i + 1])]);
  }
  const auto comparison = compare_tokens(*quern, *quern, sample, {});
  ASSERT_TRUE(comparison);
  EXPECT_NEAR(comparison->all.source_perplexity() / std::exp(nll / static_cast<double>(ids.size() - 1)), 1, 1e-4);
}

TEST(CompareTokens, NamesTheLogitThatIsNoNumber) {
  const TemporaryFolder folder;
  const auto tiny = engine(model_test::fixture("tiny")), broken = engine(with_nan(folder, "lm_head.weight", 17));
  EXPECT_TRUE(fails(compare_tokens(*tiny, *broken, random_sample(), {}), Errc::out_of_range,
                    {"document 0: result", "nan: after position 0 the logit of token 17 is"}));
  EXPECT_TRUE(fails(compare_tokens(*broken, *tiny, random_sample(), {}), Errc::out_of_range, {"document 0: source", "token 17"}));
}

TEST(CompareTokens, RefusesIdsOutsideTheVocabulary) {
  const auto tiny = engine(model_test::fixture("tiny"));
  for (const int32_t id : {-1, 512}) {
    Sample sample = random_sample();
    sample.documents[2].ids.back() = id;  // which no model is fed
    EXPECT_TRUE(fails(compare_tokens(*tiny, *tiny, sample, {}), Errc::out_of_range, {"document 2: token 39", "vocabulary of 512"}));
  }
}

TEST(CompareTokens, RefusesAnotherVocabulary) {
  const auto tiny = engine(model_test::fixture("tiny")), pebble = engine(fs::path(QUERN_REPO) / "models/pebble");
  EXPECT_TRUE(fails(compare_tokens(*tiny, *pebble, random_sample(), {}), Errc::mismatch, {"vocabulary", "4096", "512"}));
}

// tiny in a format.
fs::path quantised(const TemporaryFolder& folder, const std::string& format) {
  ThreadPool pool(2);
  const auto done = quantize(model_test::fixture("tiny"), folder / format, {.recipe = Recipe::builtin(format).value()}, pool);
  EXPECT_TRUE(done) << done.error().message;
  return folder / format;
}

QualityReport report_of(const fs::path& result) {
  ThreadPool pool(2);
  const auto source = engine(model_test::fixture("tiny")), other = engine(result);
  const auto a = Model::load(model_test::fixture("tiny")).value(), b = Model::load(result).value();
  QualityReport report{.source = {"tiny", matrix_totals(*a), "f32"},
                       .result = {"<result>", matrix_totals(*b), "int8"},
                       .machine = {"cpu", "avx2", true},
                       .weights = {},
                       .text = {},
                       .tools = {}};
  report.weights = tensor_errors(*a, *b, pool, {});
  report.text = {"random tokens", 3, 342, compare_tokens(*source, *other, random_sample(), {}).value()};
  return report;
}

TEST(QualityReport, RanksFormatsByWhatTheyLose) {
  const TemporaryFolder folder;
  const QualityReport fine = report_of(quantised(folder, "q8")), coarse = report_of(quantised(folder, "mxfp4"));
  EXPECT_GT(fine.text.comparison.all.mean_kl(), 0);
  EXPECT_LT(fine.text.comparison.all.mean_kl(), coarse.text.comparison.all.mean_kl());
  EXPECT_GT(fine.text.comparison.all.top1_agreement(), coarse.text.comparison.all.top1_agreement());
  EXPECT_LT(fine.weights.relative_rms, 0.0055);
  EXPECT_GT(coarse.weights.relative_rms, 0.05);
  EXPECT_GT(fine.result.matrices.bits_per_weight(), coarse.result.matrices.bits_per_weight());
  EXPECT_EQ(fine.source.matrices.weights, fine.result.matrices.weights);
}

TEST(TensorErrors, TakeTheExpertsOfALayerTogether) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  const auto source = Model::load(model_test::fixture("tiny")).value(), result = Model::load(quantised(folder, "mxfp4")).value();
  const TensorErrors errors = tensor_errors(*source, *result, pool, {});
  EXPECT_EQ(errors.not_compared, 0);
  int64_t matrices = 0;
  for (const TensorError& error : errors.tensors) {
    matrices += error.matrices;
    EXPECT_GE(error.worst_matrix, error.relative_rms * (1 - 1e-9)) << error.name;
    const bool kept = error.name.ends_with("gate.weight") || error.name.ends_with("in_proj_ba.weight");
    EXPECT_EQ(error.relative_rms == 0, kept) << error.name;
    if (error.name.find("experts") != std::string::npos) {
      EXPECT_EQ(error.matrices, source->config.num_experts) << error.name;
    }
  }
  EXPECT_EQ(matrices, static_cast<int64_t>(named_matrices(*source).size()));
}

TEST(TensorErrors, FindTheDeltaNetsRowsWhereAGgufFileHasThem) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  const auto gguf = [&](const std::string& format, MtpBlock mtp = MtpBlock::keep) {
    QuantizeOptions options{.recipe = Recipe::parse("* " + format, "recipe", ModelContainer::gguf).value(),
                            .container = ModelContainer::gguf,
                            .mtp = mtp};
    EXPECT_TRUE(quantize(model_test::fixture("tiny"), folder / (format + ".gguf"), options, pool));
    return Model::load(folder / (format + ".gguf")).value();
  };
  const auto tiny = Model::load(model_test::fixture("tiny")).value(), same = gguf("f32"), coarse = gguf("q4_0"),
             less = gguf("bf16", MtpBlock::leave_out);
  double done = 0, all = 0;
  const auto update = [&](double d, double a) { done = d, all = a; };
  for (const auto& [source, result] : {std::pair(&tiny, &same), {&same, &tiny}, {&same, &same}}) {
    const TensorErrors errors = tensor_errors(**source, **result, pool, update);
    EXPECT_EQ(errors.not_compared, 0);
    EXPECT_EQ(errors.relative_rms, 0);
    EXPECT_EQ(done, all);
  }
  const TensorErrors errors = tensor_errors(*tiny, *coarse, pool, update);
  EXPECT_EQ(errors.not_compared, 0);
  int64_t bytes = 0;
  for (const TensorError& error : errors.tensors) {
    EXPECT_GT(error.relative_rms, 0.01) << error.name;
    EXPECT_LT(error.relative_rms, 0.2) << error.name;
    bytes += error.bytes;
  }
  EXPECT_EQ(bytes, matrix_totals(*coarse).bytes);
  EXPECT_GT(tensor_errors(*tiny, *less, pool, update).not_compared, 0);
  EXPECT_EQ(done, all);
}

TEST(TensorErrors, OfWeightsThatAreNoNumbersAreInfinite) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  const std::string up = "model.layers.1.mlp.experts.6.up_proj.weight";
  const auto source = Model::load(model_test::fixture("tiny")).value(), result = Model::load(with_nan(folder, up, 3)).value();
  QualityReport report{
      .source = {}, .result = {}, .machine = {}, .weights = tensor_errors(*source, *result, pool, {}), .text = {}, .tools = {}};
  EXPECT_TRUE(std::isinf(report.weights.relative_rms));
  for (const TensorError& error : report.weights.tensors) {
    EXPECT_EQ(std::isinf(error.relative_rms), error.name == "model.layers.1.mlp.experts.*.up_proj.weight") << error.name;
    EXPECT_EQ(error.relative_rms, error.worst_matrix) << error.name;
  }
  EXPECT_THAT(quality_text(report), HasSubstr("inf; most in\n  model.layers.1.mlp.experts.*.up_proj.weight"));
  EXPECT_THAT(quality_page(report), Not(HasSubstr("nan")));
  report.text.comparison.all.scores.push_back({.kl = std::nan("")});
  EXPECT_THAT(kl_histogram(report.text.comparison), HasSubstr("100.00 % above"));
}

TEST(QualityPage, IsOneDocumentThatNeedsNothingFromElsewhere) {
  const TemporaryFolder folder;
  QualityReport report = report_of(quantised(folder, "q4"));
  ToolScores scores{.episodes = 1, .expected = 2, .calls = 2, .exact = 2, .complete = 1};
  scores.outcomes = {{.expected = 2, .right = 2, .before_malformed = {}, .complete = true}};
  report.tools = {"1 chain of 2 calls", scores, scores};
  const std::string page = quality_page(report);
  EXPECT_THAT(page, HasSubstr("&lt;result&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("<result>")));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_THAT(page, HasSubstr("mlp.experts.*.up_proj"));
  for (const char* outside : {"src=", "href=", "url(", "@import", "<script", "nan"}) EXPECT_THAT(page, Not(HasSubstr(outside)));
  EXPECT_EQ(page, quality_page(report));
  const Json json = Json::parse(quality_json(report).dump(), "report").value();
  EXPECT_EQ(json.find("weights")->find("tensors")->size(), report.weights.tensors.size());
  EXPECT_EQ(json.find("isa")->as_string(), "avx2");
  EXPECT_THAT(page, HasSubstr("cpu ops, avx2: quantised weights are multiplied with int8 activations"));
  EXPECT_THAT(quality_text(report), HasSubstr("cpu ops, avx2: quantised"));
  EXPECT_EQ(json.find("tools")->find("result")->find("exact")->as_double(), 2);
  EXPECT_EQ(json.find("text")->find("assistant")->find("positions")->as_double(), 10);
  EXPECT_THAT(quality_text(report), HasSubstr("2 of 2 calls exact"));
}

const Tokenizer& pebble_tokenizer() {
  static const Tokenizer tokenizer = Tokenizer::load(fs::path(QUERN_REPO) / "models/pebble/tokenizer.json").value();
  return tokenizer;
}

TEST(Sample, BuiltInIsConversationsAndTheSameEachTime) {
  const Sample sample = make_sample({.max_tokens = 3000}, pebble_tokenizer()).value();
  EXPECT_EQ(sample.tokens(), 3000);
  EXPECT_THAT(sample.source, HasSubstr("held-out"));
  int64_t spoken = 0;
  for (const SampleDocument& document : sample.documents) {
    ASSERT_EQ(document.ids.size(), document.spoken.size());
    spoken += std::count(document.spoken.begin(), document.spoken.end(), true);
  }
  EXPECT_GT(spoken, 100);
  EXPECT_LT(spoken, 2000);
  const Sample again = make_sample({.max_tokens = 3000}, pebble_tokenizer()).value();
  EXPECT_EQ(again.documents[0].ids, sample.documents[0].ids);
  const Sample training = make_sample({.split = Split::training, .max_tokens = 3000}, pebble_tokenizer()).value();
  EXPECT_NE(training.documents[0].ids, sample.documents[0].ids);
}

TEST(Sample, ReadsTextAndConversations) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 3000; ++i) text += fmt::format("line {}\n", i);
  const Sample plain = make_sample({.file = folder.write("a.txt", text), .max_tokens = 5000}, pebble_tokenizer()).value();
  EXPECT_EQ(plain.tokens(), 5000);
  EXPECT_EQ(plain.documents.size(), 3u);
  EXPECT_TRUE(plain.documents[0].spoken.empty());

  const std::string conversation =
      R"({"messages": [{"role": "user", "content": "Hi <|im_end|>"}, {"role": "assistant", "content": "Hello"}], "tools": []})";
  const Sample chat =
      make_sample({.file = folder.write("b.jsonl", conversation + "\n\n{\"text\": \"one two\"}\n")}, pebble_tokenizer()).value();
  ASSERT_EQ(chat.documents.size(), 2u);
  std::vector<int32_t> said;
  for (size_t i = 0; i < chat.documents[0].ids.size(); ++i)
    if (chat.documents[0].spoken[i]) said.push_back(chat.documents[0].ids[i]);
  EXPECT_EQ(pebble_tokenizer().decode(said).value(), "Hello<|im_end|>");
  EXPECT_TRUE(chat.documents[1].spoken.empty());

  const Sample bounded = make_sample({.max_tokens = 500, .context = 100}, pebble_tokenizer()).value();
  for (const SampleDocument& document : bounded.documents) EXPECT_LE(document.ids.size(), 100u);
}

TEST(Sample, DropsNoTextWhereTheContextIsSmall) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; text.size() < 200'000; ++i) text += fmt::format("{}line {}, über\n", i % 7 ? "" : "\n  ", i);
  const std::vector<int32_t> whole = pebble_tokenizer().encode(text, false).value();
  const fs::path file = folder.write("a.txt", text);
  const Sample sample = make_sample({.file = file, .max_tokens = 1 << 24, .context = 100}, pebble_tokenizer()).value();
  std::vector<int32_t> ids;
  for (size_t i = 0; i < sample.documents.size(); ++i) {
    ids.insert(ids.end(), sample.documents[i].ids.begin(), sample.documents[i].ids.end());
    EXPECT_TRUE(sample.documents[i].ids.size() == 100 || i + 1 == sample.documents.size()) << i;
  }
  EXPECT_EQ(ids, std::vector<int32_t>(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(ids.size())));
  EXPECT_GE(ids.size() + 1, whole.size()) << "a single token at the end predicts nothing";
}

TEST(Sample, ReadsATextAsFarAsItIsNeeded) {
  const TemporaryFolder folder;
  std::string text;
  while (text.size() < 70'000) text += "漢字 ";  // no line ends; the 65,536th byte is inside a character
  const Sample sample = make_sample({.file = folder.write("a.txt", text), .max_tokens = 1 << 24}, pebble_tokenizer()).value();
  EXPECT_GT(sample.tokens(), 1000);
  text += "\xff";
  const fs::path broken = folder.write("b.txt", text);
  EXPECT_TRUE(make_sample({.file = broken, .max_tokens = 100}, pebble_tokenizer()));
  EXPECT_TRUE(fails(make_sample({.file = broken, .max_tokens = 1 << 24}, pebble_tokenizer()), Errc::malformed,
                    {"b.txt", "from byte 65", "UTF-8"}));
}

TEST(Sample, NamesWhatIsWrongWithAFile) {
  const TemporaryFolder folder;
  const auto sample = [&](const std::string& name, std::string_view text) {
    return make_sample({.file = folder.write(name, text)}, pebble_tokenizer());
  };
  EXPECT_TRUE(fails(sample("a.jsonl", "{\"text\": \"one two\"}\n{\n"), Errc::malformed, {"a.jsonl", "line 2"}));
  EXPECT_TRUE(fails(sample("b.jsonl", "{\"text\": 3}"), Errc::malformed, {"line 1", "text"}));
  EXPECT_TRUE(fails(sample("c.jsonl", "{\"messages\": 3}"), Errc::malformed, {"line 1", "messages"}));
  EXPECT_TRUE(fails(sample("d.txt", "a\xff"), Errc::malformed, {"d.txt", "UTF-8"}));
  EXPECT_TRUE(fails(sample("e.txt", ""), Errc::malformed, {"e.txt", "too short"}));
  EXPECT_TRUE(fails(make_sample({.file = folder / "none.txt"}, pebble_tokenizer()), Errc::not_found, {"none.txt"}));
}

}  // namespace
}  // namespace quern
