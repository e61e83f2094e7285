// A text that goes through a model layer by layer: its matrices are multiplied by what the forward pass multiplies them by, and a model that
// is quantised with it misses by less.
#include "convert/layer_inputs.h"

#include <map>

#include "base/file.h"
#include "convert/delta_rows.h"
#include "convert/quantize.h"
#include "convert/synth.h"
#include "formats/temporary_folder_test.h"
#include "formats/tensor_names.h"
#include "model/model_test.h"
#include "model/ops/linear_inputs.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

using Texts = std::vector<std::vector<int32_t>>;

// Of few words: an untrained model's inputs have nothing else in common.
Texts random_texts() {
  Random random(11);
  Texts texts(2);
  for (const size_t length : {300u, 41u})
    for (size_t i = 0; i < length; ++i) texts[length < 300].push_back(static_cast<int32_t>(random.below(7)));
  return texts;
}

// By published name: the rows that each matrix is multiplied by in the forward pass.
std::map<std::string, std::vector<float>> inputs_of_forward(model_test::TestModel& model, const Texts& texts) {
  std::map<const Weight*, std::string> names;
  for (const NamedMatrix& matrix : named_matrices(*model.model)) names[matrix.weight] = matrix.name;
  std::map<std::string, std::vector<float>> inputs;
  LinearInputs watched(model.ops, [&](const Weight& weight, Tensor x) {
    if (!names.contains(&weight)) return;  // a tied head
    std::vector<float>& rows = inputs[published_name(model.model->config, names.at(&weight))];
    for (int64_t r = 0; r < x.rows; ++r) rows.insert(rows.end(), x.row(r), x.row(r) + x.cols);
  });
  for (const std::vector<int32_t>& text : texts) {
    SequenceState state = model.fresh();
    Batch batch = Batch::single(state, text, Batch::Logits::all);
    forward(watched, *model.model, batch, model.workspace);
  }
  return inputs;
}

float difference(const std::vector<float>& a, const std::vector<float>& b) {
  float most = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i])), size = std::max(size, std::abs(b[i]));
  return most / size;
}

// A model of the other family, whose tensors have another prefix.
fs::path other_family(const TemporaryFolder& folder) {
  SynthOptions options{.config = synth_preset("tiny").value()};
  options.config["model_type"] = "qwen3_5_moe_text";
  ThreadPool pool(2);
  EXPECT_TRUE(synthesise(options, folder / "other", pool));
  return folder / "other";
}

TEST(LayerInputs, AreThoseOfTheForwardPass) {
  const TemporaryFolder folder;
  for (const std::string& name : {std::string("tiny"), std::string("tiny-grouped"), other_family(folder).string()}) {
    model_test::TestModel model(name);
    Texts texts = random_texts();
    texts.insert(texts.begin() + 1, std::vector<int32_t>());
    auto expected = inputs_of_forward(model, texts);
    const auto inputs = LayerInputs::make(*model.model, model.ops, model.pool, texts).value();
    EXPECT_EQ(inputs->tokens(), 341);
    int64_t compared = 0;
    for (const NamedMatrix& matrix : named_matrices(*model.model)) {
      if (matrix.name.starts_with("mtp.") || matrix.name.ends_with("embed_tokens.weight")) continue;
      const std::string published = published_name(model.model->config, matrix.name);
      std::vector<float>& rows = expected[published];
      const int64_t cols = matrix.weight->cols(), count = static_cast<int64_t>(rows.size()) / cols;
      inputs->reach(published);
      const auto of_expert = inputs->expert_feedback(published);
      const ErrorFeedback* feedback = of_expert ? &*of_expert : inputs->feedback(published);
      const bool few = parse_expert_name(published) && count < static_cast<int64_t>(LayerInputs::kFewTokens);
      ASSERT_EQ(feedback != nullptr, !few) << published << " " << count;
      if (few) continue;
      const auto direct = error_feedback({rows.data(), count, cols, cols});
      EXPECT_LE(difference(feedback->importance, direct->importance), 1e-3f) << published;
      EXPECT_LE(difference(feedback->factors, direct->factors), 1e-3f) << published;
      ++compared;
    }
    EXPECT_GT(compared, 20);
    const std::string prefix = model.model->config.tensor_prefix, router = prefix + "layers.0.mlp.gate.weight";
    EXPECT_FALSE(inputs->feedback(prefix + "embed_tokens.weight"));
    EXPECT_FALSE(inputs->feedback(router));  // passed long ago
    inputs->reach(router);
    EXPECT_TRUE(inputs->feedback(router));
  }
}

TEST(LayerInputs, NeedTokensOfTheVocabulary) {
  model_test::TestModel model("tiny");
  const Texts none = {{}}, outside = {{1, 2, 1'000'000}}, negative = {{-1}};
  EXPECT_TRUE(fails(LayerInputs::make(*model.model, model.ops, model.pool, none), Errc::invalid_argument));
  EXPECT_TRUE(fails(LayerInputs::make(*model.model, model.ops, model.pool, outside), Errc::out_of_range, {"1000000"}));
  EXPECT_TRUE(fails(LayerInputs::make(*model.model, model.ops, model.pool, negative), Errc::out_of_range));
}

// Mean square of what the products of all matrices miss on the inputs of the forward pass, relative to the products.
double product_error(const fs::path& result, const std::map<std::string, std::vector<float>>& inputs) {
  const auto before = Model::load(model_test::fixture("tiny")).value(), after = Model::load(result).value();
  std::map<std::string, const Weight*> of_after;  // a GGUF file has the DeltaNet's projections otherwise
  for (const NamedMatrix& matrix : named_matrices(*after)) of_after[matrix.name] = matrix.weight;
  double sum = 0;
  for (const NamedMatrix& matrix : named_matrices(*before)) {
    const auto rows = inputs.find(matrix.name);
    if (rows == inputs.end() || rows->second.empty() || !of_after.contains(matrix.name)) continue;
    const Weight &a = *matrix.weight, &b = *of_after[matrix.name];
    std::vector<float> x(static_cast<size_t>(a.cols())), y(x.size());
    double missed = 0, size = 0;
    for (int64_t r = 0; r < a.rows(); ++r) {
      a.decode_row(r, x.data()), b.decode_row(r, y.data());
      for (size_t t = 0; t < rows->second.size(); t += x.size()) {
        double exact = 0, got = 0;
        for (size_t c = 0; c < x.size(); ++c) {
          exact += static_cast<double>(x[c]) * static_cast<double>(rows->second[t + c]);
          got += static_cast<double>(y[c]) * static_cast<double>(rows->second[t + c]);
        }
        missed += (exact - got) * (exact - got), size += exact * exact;
      }
    }
    sum += missed / size;
  }
  return sum;
}

class QuantizeWithFeedback : public ::testing::Test {
 protected:
  QuantizeWithFeedback() : model_("tiny"), texts_(random_texts()) {}
  fs::path convert(const std::string& name, QuantizeOptions options, bool feedback, int threads = 2) {
    ThreadPool pool(threads);
    if (feedback) options.feedback_text = texts_;
    const auto done = quantize(model_test::fixture("tiny"), folder_ / name, options, pool);
    EXPECT_TRUE(done) << done.error().message;
    return folder_ / name;
  }
  TemporaryFolder folder_;
  model_test::TestModel model_;
  Texts texts_;
};

TEST_F(QuantizeWithFeedback, ProductsMissByLess) {
  const auto inputs = inputs_of_forward(model_, texts_);
  for (const char* format : {"mxfp4", "affine-4-g32"}) {
    if (!QUERN_LONG_TESTS && std::string(format) != "mxfp4") continue;
    const QuantizeOptions options{.recipe = Recipe::parse(fmt::format("* {}", format), "recipe").value()};
    const double alone = product_error(convert(fmt::format("{}-alone", format), options, false), inputs),
                 with = product_error(convert(fmt::format("{}-with", format), options, true), inputs);
    EXPECT_LT(with, 0.7 * alone) << format;
  }
}

TEST_F(QuantizeWithFeedback, IsTheSameOnAnyNumberOfThreads) {
  const QuantizeOptions options{.recipe = Recipe::builtin("mxfp4-q8").value()};
  const fs::path one = convert("one", options, true, 1), three = convert("three", options, true, 3);
  EXPECT_TRUE(read_file(one / "model.safetensors").value() == read_file(three / "model.safetensors").value());
  EXPECT_FALSE(read_file(one / "model.safetensors").value() ==
               read_file(convert("alone", options, false) / "model.safetensors").value());
}

TEST_F(QuantizeWithFeedback, PackedFoldersHaveTheSameWeights) {
  const Recipe recipe = Recipe::builtin("q4").value();
  const fs::path rows = convert("rows", {.recipe = recipe}, true),
                 strips = convert("strips", {.recipe = recipe, .order = RowOrder::strips}, true);
  EXPECT_TRUE(model_test::same_logits(model_test::logits(rows), model_test::logits(strips)));
}

TEST_F(QuantizeWithFeedback, GgufFilesTakeIt) {
  const auto inputs = inputs_of_forward(model_, texts_);
  const QuantizeOptions options{.recipe = Recipe::parse("* q4_0", "recipe", ModelContainer::gguf).value(),
                                .container = ModelContainer::gguf};
  EXPECT_LT(product_error(convert("with.gguf", options, true), inputs),
            0.8 * product_error(convert("alone.gguf", options, false), inputs));
}

TEST_F(QuantizeWithFeedback, SaysWhatItWasGoodFor) {
  ThreadPool pool(2);
  const auto report = [&](const fs::path& in, const char* format) {
    const Texts little = {{1, 2, 3, 4, 5, 6}};
    return quantize(in, folder_ / format, {.recipe = Recipe::builtin(format).value(), .feedback_text = little}, pool).value();
  };
  const auto few = report(model_test::fixture("tiny"), "q4");
  EXPECT_NE(few.notes.back().find("by 6 tokens; not in"), std::string::npos) << few.notes.back();
  const auto none = report(model_test::fixture("tiny"), "bf16");
  EXPECT_NE(none.notes.back().find("made up for in 0 matrices"), std::string::npos) << none.notes.back();
}

// What nothing is known about has the bytes that it has without: the MTP block, and experts that few tokens came to.
TEST_F(QuantizeWithFeedback, LeavesTheRestAsItWouldBe) {
  texts_ = {{1, 2, 3, 4, 5, 6}};
  const QuantizeOptions options{.recipe = Recipe::builtin("q4").value()};
  const Checkpoint with = Checkpoint::open(convert("with", options, true)).value(),
                   alone = Checkpoint::open(convert("alone", options, false)).value();
  const auto same = [&](const std::string& name) {
    const StoredTensor *a = with.find(name), *b = alone.find(name);
    EXPECT_TRUE(a && b) << name;
    return a && b && std::equal(a->bytes.begin(), a->bytes.end(), b->bytes.begin(), b->bytes.end());
  };
  EXPECT_TRUE(same("mtp.fc.weight"));
  EXPECT_TRUE(same("model.embed_tokens.weight"));
  EXPECT_TRUE(same("model.layers.0.mlp.switch_mlp.up_proj.weight"));
  EXPECT_FALSE(same("model.layers.0.linear_attn.out_proj.weight"));
}

TEST_F(QuantizeWithFeedback, DoesNotGoWithImportance) {
  const InputStatistics statistics(*model_.model);
  ThreadPool pool(1);
  EXPECT_TRUE(fails(quantize(model_test::fixture("tiny"), folder_ / "out",
                             {.recipe = Recipe::builtin("q4").value(), .importance = &statistics, .feedback_text = texts_}, pool),
                    Errc::invalid_argument, {"not both"}));
}

// A shard that an earlier attempt finished is passed over, and so are its layers; the rest has the bytes of an attempt that went through.
TEST_F(QuantizeWithFeedback, GoesOnAfterAnInterruption) {
  QuantizeOptions options{.recipe = Recipe::builtin("q4").value(), .shard_bytes = 60'000};
  const fs::path whole = convert("whole", options, true);
  struct Stop {};
  options.feedback_text = texts_;
  options.on_progress = [](double done, double total) {
    if (done > 0.6 * total) throw Stop();
  };
  ThreadPool pool(2);
  EXPECT_THROW((void)quantize(model_test::fixture("tiny"), folder_ / "resumed", options, pool), Stop);
  options.on_progress = {};
  const auto report = quantize(model_test::fixture("tiny"), folder_ / "resumed", options, pool);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->resumed_files, 0u);
  for (const auto& entry : fs::directory_iterator(whole)) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(read_file(entry.path()).value() == read_file(folder_ / "resumed" / name).value()) << name;
  }
}

}  // namespace
}  // namespace quern
