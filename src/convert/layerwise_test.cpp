// A quantised model beside its source, layer by layer: from the same hidden states each layer adds the same, but for what its weights miss.
#include <algorithm>

#include "convert/quantize.h"
#include "formats/temporary_folder_test.h"
#include "model/model_test.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTokens = 48;

// What `layer` adds to `hidden` [kTokens, H].
std::vector<float> added(model_test::TestModel& model, const std::vector<int32_t>& tokens, size_t layer,
                         std::vector<float>& hidden) {
  SequenceState state = model.fresh();
  Batch batch = Batch::single(state, tokens, Batch::Logits::none);
  begin_batch(*model.model, batch, model.workspace);
  const int64_t width = model.model->config.hidden_size;
  std::vector<float> out = hidden;
  model.workspace.hidden = {out.data(), kTokens, width, width};
  forward_layer(model.ops, *model.model, layer, batch, model.workspace);
  for (size_t i = 0; i < out.size(); ++i) out[i] -= hidden[i];
  return out;
}

// Of each token: the length of the difference over that of what the source adds. The middle one: a router that is undecided between two
// experts may choose the other for a few.
double middle_error(const std::vector<float>& source, const std::vector<float>& result) {
  const size_t width = source.size() / kTokens;
  std::vector<double> errors;
  for (size_t t = 0; t < kTokens; ++t) {
    double missed = 0, size = 0;
    for (size_t i = t * width; i < (t + 1) * width; ++i) {
      missed += std::pow(static_cast<double>(source[i]) - static_cast<double>(result[i]), 2);
      size += std::pow(static_cast<double>(source[i]), 2);
    }
    errors.push_back(std::sqrt(missed / size));
  }
  std::nth_element(errors.begin(), errors.begin() + kTokens / 2, errors.end());
  return errors[kTokens / 2];
}

struct Made {
  const char* file;  // a folder, or a GGUF file
  const char* recipe;
  double error;  // of its weights, relative
};

TEST(Layerwise, FoldersAndGgufFilesAddWhatTheirSourceAdds) {
  const TemporaryFolder folder;
  model_test::TestModel source("tiny", Isa::scalar);
  Random random(31);
  const std::vector<int32_t> tokens = source.random_tokens(random, kTokens);
  for (const Made& made : {Made{"f32", "* f32", 0}, Made{"q8", "* affine-8-g64", 0.0055}, Made{"mxfp4", "* mxfp4", 0.12},
                           Made{"f32.gguf", "* f32", 0}, Made{"q8_0.gguf", "* q8_0", 0.0055}, Made{"q4_0.gguf", "* q4_0", 0.1}}) {
    SCOPED_TRACE(made.file);
    const auto container = std::string_view(made.file).ends_with(".gguf") ? ModelContainer::gguf : ModelContainer::folder;
    ThreadPool pool(2);
    const auto done = quantize(model_test::fixture("tiny"), folder / made.file,
                               {.recipe = Recipe::parse(made.recipe, "recipe", container).value(), .container = container}, pool);
    ASSERT_TRUE(done) << done.error().message;
    model_test::TestModel result((folder / made.file).string(), Isa::scalar);
    std::vector<float> hidden(static_cast<size_t>(kTokens * source.model->config.hidden_size));
    source.ops.embed(tokens, source.model->embed_tokens,
                     {hidden.data(), kTokens, source.model->config.hidden_size, source.model->config.hidden_size});
    for (size_t layer = 0; layer < source.model->layers.size(); ++layer) {
      const std::vector<float> from_source = added(source, tokens, layer, hidden),
                               from_result = added(result, tokens, layer, hidden);
      // Errors of three or four matrices in a row add up; norms on the way may enlarge them.
      EXPECT_LE(middle_error(from_source, from_result), 1e-4 + 4 * made.error) << "layer " << layer;
      if (made.error > 0) {
        EXPECT_GT(middle_error(from_source, from_result), 0.1 * made.error) << "layer " << layer;
      }
      for (size_t i = 0; i < hidden.size(); ++i) hidden[i] += from_source[i];
    }
  }
}

}  // namespace
}  // namespace quern
