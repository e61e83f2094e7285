// Statistics of inputs: that they are those of the forward pass, that files of them are checked, and that encoders spend bits by them.
#include "convert/input_statistics.h"

#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "convert/calibrate.h"
#include "convert/quantize.h"
#include "formats/safetensors.h"
#include "formats/temporary_folder_test.h"
#include "model/model_test.h"
#include "model/ops/linear_inputs.h"
#include "runtime/engine_impl.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

std::vector<std::vector<int32_t>> documents(const model_test::TestModel& model) {
  Random random(11);
  return {model.random_tokens(random, 300), model.random_tokens(random, 41)};
}

std::unique_ptr<Engine> tiny_engine() {
  return Engine::load({.model = model_test::fixture("tiny"), .threads = 2, .kv = KvFormat::f32}).value();
}

InputStatistics tiny_statistics() { return calibrate(*tiny_engine(), documents(model_test::TestModel("tiny")), {}).value(); }

// What is saved is what importance() answers with.
InputStatistics reloaded(const InputStatistics& statistics) {
  const TemporaryFolder folder;
  EXPECT_TRUE(statistics.save(folder / "stats"));
  auto loaded = InputStatistics::load(folder / "stats");
  EXPECT_TRUE(loaded) << loaded.error().message;
  return std::move(*loaded);
}

TEST(LinearInputs, ChangeTheResultByRoundingOnly) {
  model_test::TestModel model("tiny");
  Random random(3);
  const std::vector<int32_t> tokens = model.random_tokens(random, 67);
  SequenceState plain_state = model.fresh(), watched_state = model.fresh();
  const std::vector<float> plain = model.feed(plain_state, tokens);
  int64_t seen = 0;
  LinearInputs watched(model.ops, [&](const Weight&, Tensor) { ++seen; });
  Batch batch = Batch::single(watched_state, tokens, Batch::Logits::last);
  forward(watched, *model.model, batch, model.workspace);
  const Tensor logits = model.workspace.logits;
  const std::vector<float> got(logits.row(0), logits.row(0) + logits.cols);
  EXPECT_LE(model_test::largest_difference(got, {plain.begin(), plain.begin() + logits.cols}), 1e-4f);
  EXPECT_GT(seen, 0);
}

TEST(InputStatistics, AreTheMeanSquaresOfTheForwardPass) {
  model_test::TestModel model("tiny");
  const std::vector<std::vector<int32_t>> texts = documents(model);
  const InputStatistics statistics = reloaded(calibrate(*tiny_engine(), {texts.data(), 1}, {}).value());
  EXPECT_EQ(statistics.tokens(), 300);
  EXPECT_EQ(statistics.fingerprint(), model.model->fingerprint);
  EXPECT_TRUE(statistics.check_model(*model.model));

  // Of the head they are those of the trunk's hidden states, not of the MTP block's too.
  SequenceState state = model.fresh();
  Batch batch = Batch::single(state, texts[0], Batch::Logits::all);
  std::map<const Weight*, std::vector<double>> sums = {{&model.model->layers[0].mlp.router, {}}, {&model.model->lm_head, {}}};
  for (auto& [weight, sum] : sums) sum.resize(static_cast<size_t>(model.model->config.hidden_size));
  LinearInputs watched(model.ops, [&](const Weight& weight, Tensor x) {
    const auto sum = sums.find(&weight);
    if (sum == sums.end()) return;
    for (int64_t t = 0; t < x.rows; ++t)
      for (int64_t c = 0; c < x.cols; ++c) sum->second[static_cast<size_t>(c)] += std::pow(static_cast<double>(x.row(t)[c]), 2);
  });
  forward(watched, *model.model, batch, model.workspace);
  for (const auto& [weight, name] : {std::pair(&model.model->layers[0].mlp.router, "model.layers.0.mlp.gate.weight"),
                                     std::pair(&model.model->lm_head, "lm_head.weight")}) {
    const auto found = statistics.importance(name);
    const std::vector<double>& sum = sums.at(weight);
    ASSERT_EQ(found.size(), sum.size());
    for (size_t c = 0; c < sum.size(); ++c) EXPECT_NEAR(found[c], sum[c] / 300, 1e-3 * (sum[c] / 300)) << name << " " << c;
  }
}

TEST(InputStatistics, OfExpertsAreTheirOwnUnlessTheySawTooLittle) {
  const InputStatistics statistics = reloaded(tiny_statistics());
  const model_test::TestModel model("tiny");
  const int64_t experts = model.model->config.num_experts;
  int64_t few = 0, own = 0;
  const auto first = statistics.importance("model.layers.0.mlp.experts.0.up_proj.weight");
  for (int64_t e = 0; e < experts; ++e) {
    const auto up = statistics.importance(fmt::format("model.layers.0.mlp.experts.{}.up_proj.weight", e));
    const auto gate = statistics.importance(fmt::format("model.layers.0.mlp.experts.{}.gate_proj.weight", e));
    EXPECT_TRUE(std::equal(up.begin(), up.end(), gate.begin(), gate.end()));  // they have the same input
    own += e > 0 && !std::equal(up.begin(), up.end(), first.begin());
  }
  EXPECT_GT(own, 0);

  // Six tokens leave every expert with few: all of a layer get the same.
  const std::vector<std::vector<int32_t>> texts = {{1, 2, 3, 4, 5, 6}};
  const InputStatistics little = reloaded(calibrate(*tiny_engine(), texts, {}).value());
  few = little.experts_with_few_tokens();
  EXPECT_GE(few, experts * static_cast<int64_t>(model.model->layers.size()));
  const auto mean = little.importance("model.layers.0.mlp.experts.0.down_proj.weight");
  EXPECT_GT(std::accumulate(mean.begin(), mean.end(), 0.0f), 0.0f);
  for (int64_t e = 1; e < experts; ++e) {
    const auto other = little.importance(fmt::format("model.layers.0.mlp.experts.{}.down_proj.weight", e));
    EXPECT_TRUE(std::equal(mean.begin(), mean.end(), other.begin(), other.end())) << e;
  }
}

TEST(InputStatistics, AreTheSameBeforeTheyAreSavedAndAfter) {
  const std::vector<std::vector<int32_t>> texts = {{1, 2, 3, 4, 5, 6}};
  const InputStatistics fresh = calibrate(*tiny_engine(), texts, {}).value(), loaded = reloaded(fresh);
  for (const NamedMatrix& matrix : named_matrices(*model_test::TestModel("tiny").model)) {
    const auto a = fresh.importance(matrix.name), b = loaded.importance(matrix.name);
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << matrix.name;
  }
}

// Each mean over the layer's experts, weighted by their tokens; large and small ones in turn, which a running mean in f32 mixes up.
TEST(InputStatistics, OfALayerAreTheMeanOverItsTokens) {
  const model_test::TestModel model("tiny");
  InputStatistics statistics(*model.model);
  double sum = 0, tokens = 0;
  for (int64_t e = 0; e < model.model->config.num_experts; ++e) {
    std::vector<float> x(static_cast<size_t>(64 * (e + 1)), e % 2 ? 300.0f : 0.01f);
    statistics.add(fmt::format("model.layers.0.mlp.experts.{}.up_proj.weight", e), Tensor{x.data(), e + 1, 64, 64});
    sum += static_cast<double>(e + 1) * std::pow(static_cast<double>(x[0]), 2), tokens += static_cast<double>(e + 1);
  }
  statistics.update_layer_means();
  for (const float mean : statistics.importance("model.layers.0.mlp.experts.0.up_proj.weight"))
    EXPECT_FLOAT_EQ(mean, static_cast<float>(sum / tokens));
}

TEST(InputStatistics, KnowNothingAboutTheEmbedding) {
  EXPECT_TRUE(reloaded(tiny_statistics()).importance("model.embed_tokens.weight").empty());
}

TEST(InputStatistics, OfAnotherModelAreRefused) {
  const InputStatistics statistics = reloaded(tiny_statistics());
  const TemporaryFolder folder;
  ThreadPool pool(1);
  QuantizeOptions options{.recipe = Recipe::builtin("q8").value(), .importance = &statistics};
  EXPECT_TRUE(fails(quantize(fs::path(QUERN_REPO) / "models/pebble", folder / "out", options, pool), Errc::mismatch,
                    {"statistics of another model"}));
  EXPECT_FALSE(fs::exists(folder / "out") || fs::exists(folder / "out.partial"));
}

TEST(InputStatistics, ThatLoadWouldRefuseAreNotSaved) {
  const model_test::TestModel model("tiny");
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(), 1e30f}) {  // of the last the square is too large
    InputStatistics statistics(*model.model);
    std::vector<float> x(64, 1.0f);
    x[5] = bad;
    statistics.add("model.layers.2.mlp.gate.weight", Tensor{x.data(), 1, 64, 64});
    const TemporaryFolder folder;
    EXPECT_TRUE(fails(statistics.save(folder / "stats"), Errc::out_of_range, {"model.layers.2.mlp.gate.weight"}));
    EXPECT_TRUE(fs::is_empty(folder.path()));
  }
}

TEST(InputStatistics, ReplaceNothingButStatistics) {
  const TemporaryFolder folder;
  EXPECT_TRUE(InputStatistics::check_target(folder / "none"));
  EXPECT_TRUE(InputStatistics::check_target(folder.write("empty", "")));
  ASSERT_TRUE(tiny_statistics().save(folder / "stats"));
  EXPECT_TRUE(InputStatistics::check_target(folder / "stats"));
  EXPECT_TRUE(fails(InputStatistics::check_target(folder.write("notes", "mine")), Errc::denied, {"notes", "not replaced"}));
  EXPECT_TRUE(fails(InputStatistics::check_target(folder.path()), Errc::denied, {"no file"}));
  fs::create_symlink(model_test::fixture("tiny") / "model.safetensors", folder / "link");
  EXPECT_TRUE(fails(InputStatistics::check_target(folder / "link"), Errc::denied, {"link", "not replaced"}));
}

// A file with one tensor and this metadata.
fs::path write_statistics(const TemporaryFolder& folder, const std::string& dtype, std::vector<int64_t> shape,
                          std::span<const std::byte> bytes, Json metadata) {
  const std::vector<SafetensorsWriter::Entry> entries = {{"lm_head.weight", dtype, std::move(shape)}};
  auto writer = SafetensorsWriter::create(folder / "stats", entries, metadata);
  EXPECT_TRUE(writer && writer->write(bytes) && writer->commit());
  return folder / "stats";
}

Json good_metadata() {
  Json metadata = Json::object();
  metadata["kind"] = "quern input statistics";
  metadata["tokens"] = "5";
  metadata["fingerprint"] = "ab";
  return metadata;
}

TEST(InputStatistics, OfDamagedFilesAreRefused) {
  const TemporaryFolder folder;
  const std::vector<float> good = {1, 2}, negative = {1, -1}, infinite = {1, std::numeric_limits<float>::infinity()},
                           nan = {std::nanf(""), 1};
  const auto load = [&](const std::string& dtype, std::vector<int64_t> shape, const std::vector<float>& values, Json metadata) {
    return InputStatistics::load(
        write_statistics(folder, dtype, std::move(shape), std::as_bytes(std::span(values)), std::move(metadata)));
  };
  EXPECT_TRUE(load("F32", {2}, good, good_metadata()));
  EXPECT_TRUE(fails(load("F32", {1, 2}, good, good_metadata()), Errc::malformed, {"lm_head.weight", "one dimension"}));
  EXPECT_TRUE(fails(load("I32", {2}, good, good_metadata()), Errc::malformed, {"lm_head.weight", "I32"}));
  for (const auto& bad : {negative, infinite, nan})
    EXPECT_TRUE(fails(load("F32", {2}, bad, good_metadata()), Errc::malformed, {"lm_head.weight", "value"}));
  EXPECT_TRUE(fails(load("F32", {2}, good, Json()), Errc::malformed, {"quern calibrate"}));
  for (const char* key : {"tokens", "fingerprint"}) {
    Json metadata = good_metadata();
    metadata[key] = "-many";
    EXPECT_TRUE(fails(load("F32", {2}, good, metadata), Errc::malformed, {key}));
  }
  EXPECT_TRUE(
      fails(InputStatistics::load(model_test::fixture("tiny") / "model.safetensors"), Errc::malformed, {"quern calibrate"}));
  EXPECT_TRUE(fails(InputStatistics::load(folder / "none"), Errc::not_found));
}

// Sum over columns of importance times the squared error.
double weighed_error(const Weight& before, const Weight& after, std::span<const float> importance) {
  std::vector<float> a(static_cast<size_t>(before.cols())), b(a.size());
  double sum = 0;
  for (int64_t r = 0; r < before.rows(); ++r) {
    before.decode_row(r, a.data()), after.decode_row(r, b.data());
    for (size_t c = 0; c < a.size(); ++c)
      sum += static_cast<double>(importance[c]) * std::pow(static_cast<double>(a[c]) - static_cast<double>(b[c]), 2);
  }
  return sum;
}

TEST(QuantizeByImportance, LosesLessOfWhatMatters) {
  const InputStatistics statistics = reloaded(tiny_statistics());
  const TemporaryFolder folder;
  ThreadPool pool(2);
  QuantizeOptions options{.recipe = Recipe::parse("* affine-4-g32", "recipe").value()};
  ASSERT_TRUE(quantize(model_test::fixture("tiny"), folder / "plain", options, pool));
  options.importance = &statistics;
  ASSERT_TRUE(quantize(model_test::fixture("tiny"), folder / "weighed", options, pool));
  const auto source = Model::load(model_test::fixture("tiny")).value(), plain = Model::load(folder / "plain").value(),
             weighed = Model::load(folder / "weighed").value();
  const auto of_source = named_matrices(*source), of_plain = named_matrices(*plain), of_weighed = named_matrices(*weighed);
  ASSERT_EQ(of_source.size(), of_weighed.size());
  int64_t compared = 0, better = 0;
  for (size_t i = 0; i < of_source.size(); ++i) {
    const std::string& name = of_source[i].name;
    const auto importance = statistics.importance(name);
    if (importance.empty() || of_weighed[i].weight->format() != QuantFormat::mlx_affine_4_g32) continue;
    const double without = weighed_error(*of_source[i].weight, *of_plain[i].weight, importance),
                 with = weighed_error(*of_source[i].weight, *of_weighed[i].weight, importance);
    EXPECT_LE(with, without * 1.001) << name;  // the search is exact but for scales rounded to bf16
    better += with < 0.9999 * without;
    ++compared;
  }
  EXPECT_GT(compared, 20);
  EXPECT_GT(better, compared * 9 / 10);
}

// tiny as a GGUF file: the same weights, the DeltaNet's input projections in four matrices instead of two.
fs::path tiny_gguf(const TemporaryFolder& folder) {
  ThreadPool pool(2);
  const Recipe f32 = Recipe::builtin("f32", ModelContainer::gguf).value();
  EXPECT_TRUE(
      quantize(model_test::fixture("tiny"), folder / "tiny.gguf", {.recipe = f32, .container = ModelContainer::gguf}, pool));
  return folder / "tiny.gguf";
}

TEST(InputStatistics, AreTheSameOfAFolderAndAGgufFile) {
  const TemporaryFolder folder;
  const auto gguf = Engine::load({.model = tiny_gguf(folder), .threads = 2, .kv = KvFormat::f32}).value();
  const auto texts = documents(model_test::TestModel("tiny"));
  const InputStatistics of_gguf = reloaded(calibrate(*gguf, texts, {}).value()), of_folder = reloaded(tiny_statistics());
  EXPECT_EQ(of_gguf.matrices(), of_folder.matrices());
  EXPECT_TRUE(of_folder.check_model(*gguf->impl().model));
  EXPECT_TRUE(of_gguf.check_model(*Model::load(model_test::fixture("tiny")).value()));
  for (const char* matrix : {"in_proj_qkvz", "in_proj_ba", "out_proj"}) {
    const std::string name = fmt::format("model.layers.0.linear_attn.{}.weight", matrix);  // nothing routed before it
    const auto a = of_folder.importance(name), b = of_gguf.importance(name);
    ASSERT_EQ(a.size(), 64u) << name;
    ASSERT_EQ(b.size(), 64u) << name;
    for (size_t c = 0; c < a.size(); ++c) EXPECT_NEAR(b[c], a[c], 1e-3f * a[c]) << name << " " << c;
  }
}

std::string bytes_in(const fs::path& model, const std::string& name) {
  const Checkpoint checkpoint = Checkpoint::open(model).value();
  const StoredTensor* tensor = checkpoint.find(name);
  EXPECT_NE(tensor, nullptr) << name;
  return tensor ? std::string(reinterpret_cast<const char*>(tensor->bytes.data()), tensor->bytes.size()) : std::string();
}

TEST(QuantizeByImportance, IsTheSameFromAFolderAndFromAGgufFile) {
  const InputStatistics statistics = reloaded(tiny_statistics());
  const TemporaryFolder folder;
  const fs::path gguf = tiny_gguf(folder), tiny = model_test::fixture("tiny");
  ThreadPool pool(2);
  const auto convert = [&](const fs::path& in, const std::string& out, const char* format, const InputStatistics* importance) {
    const auto container = out.ends_with(".gguf") ? ModelContainer::gguf : ModelContainer::folder;
    const Recipe recipe = Recipe::parse(fmt::format("* {}", format), "recipe", container).value();
    const auto done = quantize(in, folder / out, {.recipe = recipe, .container = container, .importance = importance}, pool);
    EXPECT_TRUE(done) << done.error().message;
    return folder / out;
  };
  const std::string layer = "model.layers.1.linear_attn.";
  const fs::path mlx = convert(tiny, "mlx", "affine-4-g32", &statistics),
                 mlx_too = convert(gguf, "mlx2", "affine-4-g32", &statistics),
                 alike = convert(gguf, "alike", "affine-4-g32", nullptr);
  for (const char* name : {"in_proj_qkvz.weight", "in_proj_qkvz.scales", "in_proj_ba.weight", "out_proj.weight"})
    EXPECT_TRUE(bytes_in(mlx, layer + name) == bytes_in(mlx_too, layer + name)) << name;
  for (const char* name : {"in_proj_qkvz.weight", "in_proj_ba.weight"})
    EXPECT_FALSE(bytes_in(alike, layer + name) == bytes_in(mlx_too, layer + name)) << name;

  const fs::path file = convert(tiny, "a.gguf", "q4_1", &statistics), file_too = convert(gguf, "b.gguf", "q4_1", &statistics),
                 file_alike = convert(gguf, "c.gguf", "q4_1", nullptr);
  for (const char* name : {"attn_qkv", "attn_gate", "ssm_ba", "ssm_out"})
    EXPECT_TRUE(bytes_in(file, fmt::format("blk.1.{}.weight", name)) == bytes_in(file_too, fmt::format("blk.1.{}.weight", name)))
        << name;
  for (const char* name : {"attn_qkv", "attn_gate", "ssm_ba"})
    EXPECT_FALSE(bytes_in(file_alike, fmt::format("blk.1.{}.weight", name)) ==
                 bytes_in(file_too, fmt::format("blk.1.{}.weight", name)))
        << name;
}

}  // namespace
}  // namespace quern
