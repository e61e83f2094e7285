// Packed folders: the same model in another row order, to the bit; from there back, and on to other containers.
#include <gtest/gtest.h>

#include "base/file.h"
#include "convert/quantize.h"
#include "convert/synth.h"
#include "formats/temporary_folder_test.h"
#include "model/model_facts.h"
#include "model/model_test.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

// A checkpoint of the preset mini, with a vocabulary that is no multiple of sixteen: its embeddings and head cannot lie in strips.
const fs::path& mini() {
  static const TemporaryFolder folder;
  static const fs::path path = [] {
    SynthOptions options{.config = synth_preset("mini").value(), .with_mtp = true};
    options.config["num_experts"] = 4;
    options.config["num_experts_per_tok"] = 2;
    options.config["num_hidden_layers"] = 4;
    options.config["vocab_size"] = 300;
    ThreadPool pool(2);
    EXPECT_TRUE(synthesise(options, folder / "mini", pool));
    return folder / "mini";
  }();
  return path;
}

Result<QuantizeReport> convert(const fs::path& in, const fs::path& out, const std::string& format,
                               RowOrder order = RowOrder::rows) {
  QuantizeOptions options{.order = order, .search = ScaleSearch::none};
  if (out.extension() == ".gguf") options.container = ModelContainer::gguf;
  options.recipe = Recipe::builtin(format, options.container).value();
  ThreadPool pool(2);
  return quantize(in, out, options, pool);
}

// Logits of the fast kernels.
std::vector<float> fast_logits(const fs::path& path) {
  model_test::TestModel model(path.string(), best_isa());
  SequenceState state = model.fresh();
  Random random(5);
  return model.feed(state, model.random_tokens(random, 9));
}

class Packed : public ::testing::TestWithParam<const char*> {};

TEST_P(Packed, IsTheSameModelToTheBitAndComesBack) {
  const std::string format = GetParam();
  const TemporaryFolder folder;
  ASSERT_TRUE(convert(mini(), folder / "rows", format));
  const auto report = convert(mini(), folder / "strips", format, RowOrder::strips);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->packed, 20);
  EXPECT_TRUE(model_test::same_logits(model_test::logits(folder / "strips"), model_test::logits(folder / "rows")));
  EXPECT_TRUE(model_test::same_logits(fast_logits(folder / "strips"), fast_logits(folder / "rows")));

  ASSERT_TRUE(convert(folder / "rows", folder / "packed-later", format, RowOrder::strips));
  ASSERT_TRUE(convert(folder / "strips", folder / "unpacked", format));
  for (const char* file : {"model.safetensors", "mtp.safetensors", "config.json"}) {
    EXPECT_EQ(read_file(folder / "packed-later" / file).value(), read_file(folder / "strips" / file).value()) << file;
    EXPECT_EQ(read_file(folder / "unpacked" / file).value(), read_file(folder / "rows" / file).value()) << file;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Packed, ::testing::Values("mxfp4-q8", "mxfp4", "q4", "q6", "qx86-hi"), [](const auto& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(PackedFolder, GoesOnToGgufAsItsRowsDo) {
  const TemporaryFolder folder;
  ASSERT_TRUE(convert(mini(), folder / "rows", "mxfp4-q8"));
  ASSERT_TRUE(convert(mini(), folder / "strips", "mxfp4-q8", RowOrder::strips));
  ASSERT_TRUE(convert(folder / "rows", folder / "rows.gguf", "q8_0"));
  ASSERT_TRUE(convert(folder / "strips", folder / "strips.gguf", "q8_0"));
  const Checkpoint a = Checkpoint::open(folder / "rows.gguf").value(), b = Checkpoint::open(folder / "strips.gguf").value();
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (const StoredTensor* tensor : a.tensors()) {
    const StoredTensor* other = b.find(tensor->name);
    ASSERT_TRUE(other) << tensor->name;
    EXPECT_TRUE(std::equal(tensor->bytes.begin(), tensor->bytes.end(), other->bytes.begin(), other->bytes.end())) << tensor->name;
  }
}

TEST(PackedFolder, HasAStripARowWhereRowsComeInSixteens) {
  const TemporaryFolder folder;
  ASSERT_TRUE(convert(mini(), folder / "out", "mxfp4-q8", RowOrder::strips));
  const Checkpoint checkpoint = Checkpoint::open(folder / "out").value();
  const auto described = [&](const std::string& name) {
    const StoredTensor* tensor = checkpoint.find(name);
    return tensor ? tensor->dtype + shape_text(tensor->shape) : "absent";
  };
  // Experts [4, 128, 256] in MXFP4, a row of 128 bytes and 8 scales; q_proj [512, 256] in 8 bits, 4 groups of 64.
  EXPECT_EQ(described("model.layers.0.mlp.switch_mlp.up_proj.weight"), "U8[4, 8, 2048]");
  EXPECT_EQ(described("model.layers.0.mlp.switch_mlp.up_proj.scales"), "U8[4, 8, 128]");
  EXPECT_EQ(described("model.layers.3.self_attn.q_proj.weight"), "U8[32, 4096]");
  EXPECT_EQ(described("model.layers.3.self_attn.q_proj.biases"), "BF16[32, 64]");
  EXPECT_EQ(described("lm_head.weight"), "U32[300, 64]") << "300 rows do not come in sixteens";
  EXPECT_EQ(described("model.layers.0.mlp.gate.weight"), "BF16[4, 256]") << "the router is kept";
  EXPECT_GT(model_facts(**Model::load(folder / "out")).packed.tensors, 0);
}

TEST(PackedFolder, IsRefusedWhereNothingCanBePacked) {
  const TemporaryFolder folder;
  const auto plain = convert(mini(), folder / "out", "bf16", RowOrder::strips);
  ASSERT_FALSE(plain);
  EXPECT_NE(plain.error().message.find("nothing in it can be packed"), std::string::npos) << plain.error().message;
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST(PackedFolder, WithAWrongShapeIsRefused) {
  const TemporaryFolder folder;
  ASSERT_TRUE(convert(mini(), folder / "out", "mxfp4-q8", RowOrder::strips));
  const std::string name = (folder / "out/model.safetensors").string(), text = read_file(name).value();
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    const size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    folder.write("out/model.safetensors", changed);
    const auto model = Model::load(folder / "out");
    EXPECT_FALSE(model) << to;
    return model ? "" : model.error().message;
  };
  EXPECT_NE(with("[32,4096]", "[16,8192]").find("shape [16, 8192], expected [32, 4096]"), std::string::npos);
  EXPECT_NE(with("\"U8\",\"shape\":[32,4096]", "\"I8\",\"shape\":[32,4096]").find("dtype I8"), std::string::npos);
}

}  // namespace
}  // namespace quern
