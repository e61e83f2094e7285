// What a quantised folder holds, tensor by tensor, that it computes what its weights say, and that it appears whole or not at all.
#include "convert/quantize.h"

#include <cstring>

#include "base/file.h"
#include "convert/synth.h"
#include "formats/mlx_quantization.h"
#include "formats/temporary_folder_test.h"
#include "model/model_test.h"
#include "tensor/dtype.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using model_test::logits;

Result<QuantizeReport> convert(const fs::path& in, const fs::path& out, std::string_view format, QuantizeOptions options = {},
                               int threads = 2) {
  options.recipe = Recipe::builtin(format).value();
  ThreadPool pool(threads);
  return quantize(in, out, options, pool);
}

// A checkpoint of the preset mini (hidden 256, experts of 128: every format's group fits), made once.
const fs::path& mini() {
  static const TemporaryFolder folder;
  static const fs::path path = [] {
    SynthOptions options{.config = synth_preset("mini").value(), .with_mtp = true};
    options.config["num_experts"] = 8;
    options.config["num_hidden_layers"] = 4;
    options.config["vocab_size"] = 512;
    ThreadPool pool(2);
    EXPECT_TRUE(synthesise(options, folder / "mini", pool));
    folder.write("mini/tokenizer.json", "{\"not\": \"read\"}");
    folder.write("mini/pytorch_model.bin", "weights of another kind");
    return folder / "mini";
  }();
  return path;
}

std::string bytes_of(const StoredTensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()};
}

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    files[entry.path().filename().string()] = read_file(entry.path()).value();
  return files;
}

// Every tensor of every safetensors file: dtype and shape.
std::map<std::string, std::string> described(const Checkpoint& checkpoint) {
  std::map<std::string, std::string> tensors;
  for (const StoredTensor* tensor : checkpoint.tensors()) tensors[tensor->name] = tensor->dtype + shape_text(tensor->shape);
  return tensors;
}

// Root of the mean square of the difference between two f32 matrices, relative to the first.
double relative_error(const StoredTensor& a, const StoredTensor& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.bytes.size(); i += 4) {
    float x, y;
    std::memcpy(&x, &a.bytes[i], 4), std::memcpy(&y, &b.bytes[i], 4);
    difference += std::pow(static_cast<double>(x) - static_cast<double>(y), 2), size += std::pow(static_cast<double>(x), 2);
  }
  return std::sqrt(difference / size);
}

struct Conversion {
  const char *fixture, *format;
  double
      error;  // of each matrix, at most: what docs/quantised-formats.md has for normal weights; these are uniform, which is easier
};
void PrintTo(const Conversion& c, std::ostream* out) { *out << c.fixture << " as " << c.format; }
class Quantize : public ::testing::TestWithParam<Conversion> {};

TEST_P(Quantize, WritesAFolderThatComputesWhatItsWeightsSay) {
  const auto& [fixture, format, error] = GetParam();
  if (!QUERN_LONG_TESTS && std::string(fixture) == "mini" && std::string(format) != "mxfp4") GTEST_SKIP() << "one is enough";
  const TemporaryFolder folder;
  const fs::path in = std::string(fixture) == "mini" ? mini() : model_test::fixture(fixture);
  const auto report = convert(in, folder / "out", format);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->layout, error == 0 ? OutputLayout::published : OutputLayout::mlx);
  ASSERT_TRUE(convert(folder / "out", folder / "f32", "f32"));
  EXPECT_LE(model_test::largest_difference(logits(folder / "out"), logits(folder / "f32")), 1e-4f);

  ASSERT_TRUE(convert(in, folder / "before", "f32"));
  const Checkpoint before = Checkpoint::open(folder / "before").value(), after = Checkpoint::open(folder / "f32").value();
  ASSERT_EQ(before.tensors().size(), after.tensors().size());
  for (const StoredTensor* tensor : before.tensors()) {
    ASSERT_NE(after.find(tensor->name), nullptr) << tensor->name;
    EXPECT_EQ(tensor->dtype, "F32");
    if (tensor->shape.size() == 2 || error == 0) {
      EXPECT_LE(relative_error(*tensor, *after.find(tensor->name)), error) << tensor->name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Formats, Quantize,
    ::testing::Values(Conversion{"tiny", "mxfp4", 0.12}, Conversion{"tiny", "mxfp4-q8", 0.12}, Conversion{"tiny", "qx86-hi", 0.02},
                      Conversion{"tiny", "q4", 0.085}, Conversion{"tiny", "q6", 0.02}, Conversion{"tiny", "q8", 0.0055},
                      Conversion{"tiny", "bf16", 0}, Conversion{"tiny", "f32", 0}, Conversion{"mini", "mxfp4", 0.12},
                      Conversion{"mini", "mxfp4-q8", 0.12}, Conversion{"mini", "qx86-hi", 0.02}, Conversion{"mini", "q4", 0.085},
                      Conversion{"mini", "q6", 0.02}, Conversion{"mini", "q8", 0.0055}, Conversion{"tiny-fp8", "q8", 0.0055},
                      Conversion{"tiny-grouped", "q8", 0.0055}, Conversion{"tiny-yarn", "f32", 0}));

// The published checkpoint `from` as spec C has it: names, dtypes, shapes. bits and group by the published name; {} for plain.
template <class Format>
std::map<std::string, std::string> mlx_description(const Checkpoint& from, Format format) {
  std::map<std::string, std::string> expected;
  for (const StoredTensor* tensor : from.tensors()) {
    std::string name = tensor->name;
    std::vector<int64_t> shape = tensor->shape;
    const auto [bits, group] = format(name);
    if (name.ends_with("conv1d.weight")) shape = {shape[0], shape[2], 1};
    if (const size_t at = name.find(".experts."); at != std::string::npos) {
      name = name.substr(0, at) + ".switch_mlp." + name.substr(name.find('.', at + 9) + 1);
      shape.insert(shape.begin(), 8);
    }
    if (bits == 0) {
      expected[name] = "BF16" + shape_text(shape);
      continue;
    }
    const int64_t cols = shape.back();
    shape.back() = cols * bits / 32;
    expected[name] = "U32" + shape_text(shape);
    shape.back() = cols / group;
    const std::string module = name.substr(0, name.size() - 7);
    expected[module + ".scales"] = (bits == 4 ? "U8" : "BF16") + shape_text(shape);
    if (bits != 4) expected[module + ".biases"] = "BF16" + shape_text(shape);
  }
  return expected;
}

TEST(QuantizedFolder, HasTheNamesShapesAndTypesOfMlx) {
  const TemporaryFolder folder;
  ASSERT_TRUE(convert(mini(), folder / "out", "mxfp4-q8"));
  const Checkpoint before = Checkpoint::open(mini()).value(), after = Checkpoint::open(folder / "out").value();
  const auto expected = mlx_description(before, [](const std::string& name) -> std::pair<int64_t, int64_t> {
    if (name.find(".experts.") != std::string::npos) return {4, 32};
    if (name.find("norm") != std::string::npos || name.find("conv1d") != std::string::npos || name.ends_with("A_log") ||
        name.ends_with("dt_bias") || name.ends_with("gate.weight") || name.find("in_proj_ba") != std::string::npos)
      return {0, 0};
    return {8, 64};
  });
  EXPECT_EQ(described(after), expected);
  EXPECT_EQ(SafetensorsFile::open(folder / "out/model.safetensors").value().metadata().find("format")->as_string(), "mlx");
  const auto mtp = SafetensorsFile::open(folder / "out/mtp.safetensors").value();
  for (const StoredTensor& tensor : mtp.tensors()) EXPECT_TRUE(tensor.name.starts_with("mtp.")) << tensor.name;
  const auto index = Json::parse(read_file(folder / "out/model.safetensors.index.json").value(), "index").value();
  int64_t bytes = 0, tensors = 0;
  for (const StoredTensor* tensor : after.tensors())
    if (!tensor->name.starts_with("mtp.")) bytes += static_cast<int64_t>(tensor->bytes.size()), ++tensors;
  EXPECT_EQ(index.find("metadata")->find("total_size")->to_int64().value(), bytes);
  EXPECT_EQ(static_cast<int64_t>(index.find("weight_map")->size()), tensors);
}

TEST(QuantizedFolder, HoldsEachTensorInMlxForm) {
  const TemporaryFolder folder;
  ASSERT_TRUE(convert(mini(), folder / "out", "mxfp4-q8", {.search = ScaleSearch::none}));
  const Checkpoint before = Checkpoint::open(mini()).value(), after = Checkpoint::open(folder / "out").value();
  const std::string layer = "model.layers.0.";
  const auto floats = [](const StoredTensor& tensor) {
    std::vector<float> values(tensor.bytes.size() / 2);
    to_f32(DType::bf16, tensor.bytes.data(), values.data(), static_cast<int64_t>(values.size()));
    return values;
  };
  for (const std::string& name : {layer + "input_layernorm.weight", std::string("model.layers.3.self_attn.q_norm.weight"),
                                  std::string("model.norm.weight"), std::string("mtp.norm.weight")}) {
    const auto stored = floats(*before.find(name)), gain = floats(*after.find(name));
    for (size_t i = 0; i < stored.size(); ++i) EXPECT_EQ(gain[i], bf16_to_f32(f32_to_bf16(1.0f + stored[i]))) << name;
  }
  for (const char* name : {"linear_attn.norm.weight", "linear_attn.conv1d.weight", "linear_attn.A_log", "linear_attn.dt_bias",
                           "mlp.gate.weight", "mlp.shared_expert_gate.weight", "linear_attn.in_proj_ba.weight"})
    EXPECT_EQ(bytes_of(*before.find(layer + name)), bytes_of(*after.find(layer + name))) << name;
  // An expert's matrix lies in its stack as encoding it alone gives it; a matrix of more than one window likewise.
  const auto encoded = [&](const std::string& name, QuantFormat format) {
    const StoredTensor& tensor = *before.find(name);
    return encode(format, tensor.shape[0], tensor.shape[1], floats(tensor), {.search = ScaleSearch::none}).value();
  };
  const auto text = [](std::span<const std::byte> bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  const QuantBytes expert = encoded(layer + "mlp.experts.5.down_proj.weight", QuantFormat::mlx_mxfp4);
  const std::string stack = layer + "mlp.switch_mlp.down_proj";
  EXPECT_EQ(text(expert.codes), text(after.find(stack + ".weight")->bytes.subspan(5 * expert.codes.size(), expert.codes.size())));
  EXPECT_EQ(text(expert.scales),
            text(after.find(stack + ".scales")->bytes.subspan(5 * expert.scales.size(), expert.scales.size())));
  const QuantBytes head = encoded("lm_head.weight", QuantFormat::mlx_affine_8_g64);
  EXPECT_EQ(text(head.codes), bytes_of(*after.find("lm_head.weight")));
  EXPECT_EQ(text(head.scales), bytes_of(*after.find("lm_head.scales")));
  EXPECT_EQ(text(head.biases), bytes_of(*after.find("lm_head.biases")));
}

TEST(QuantizedFolder, HasAConfigThatSaysWhatIsQuantisedAndHow) {
  const TemporaryFolder folder;
  ASSERT_TRUE(convert(model_test::fixture("tiny-fp8"), folder / "out", "qx86-hi"));
  const Json config = Json::parse(read_file(folder / "out/config.json").value(), "config.json").value();
  const Json& quantization = *config.find("quantization");
  EXPECT_EQ(quantization, *config.find("quantization_config")) << "not the FP8 one of the source";
  EXPECT_EQ(config.find("hidden_size")->to_int64().value(), 64);
  // 8 experts of 3 x 2048 weights, 4 layers and the MTP block's: the most weights.
  EXPECT_EQ(quantization.find("bits")->to_int64().value(), 6);
  EXPECT_EQ(quantization.find("group_size")->to_int64().value(), 32);
  EXPECT_EQ(quantization.find("mode")->as_string(), "affine");
  EXPECT_EQ(quantization.find("model.layers.0.mlp.switch_mlp.up_proj"), nullptr);
  EXPECT_EQ(*quantization.find("model.layers.0.mlp.gate"),
            Json::parse(R"({"group_size": 32, "bits": 8, "mode": "affine"})", "").value());
  EXPECT_EQ(*quantization.find("model.layers.0.linear_attn.in_proj_ba"), Json(false));
  EXPECT_EQ(quantization.find("model.layers.0.linear_attn.conv1d"), nullptr);
  const auto read = MlxQuantization::from_config(config, "config.json").value();
  EXPECT_EQ(read.module("lm_head")->format().value(), QuantFormat::mlx_affine_8_g32);
  EXPECT_EQ(read.module("mtp.layers.0.mlp.switch_mlp.down_proj")->format().value(), QuantFormat::mlx_affine_6_g32);
  EXPECT_FALSE(read.module("model.layers.0.linear_attn.in_proj_ba"));
}

TEST(QuantizedFolder, TakesTheOtherFilesAlongButNoWeights) {
  const TemporaryFolder folder;
  ASSERT_TRUE(convert(mini(), folder / "out", "q8", {.search = ScaleSearch::none}));
  std::vector<std::string> names;
  for (const auto& [name, bytes] : files_of(folder / "out")) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"config.json", "model.safetensors", "model.safetensors.index.json", "mtp.safetensors",
                                             "tokenizer.json"}));
  EXPECT_EQ(read_file(folder / "out/tokenizer.json").value(), read_file(mini() / "tokenizer.json").value());
  EXPECT_FALSE(fs::exists(folder / "out.partial"));
}

TEST(QuantizedFolder, OfABf16ModelInBf16HasTheSameBytes) {
  const TemporaryFolder folder;
  for (const fs::path& in : {mini(), model_test::fixture("tiny")}) {
    fs::remove_all(folder / "out");
    ASSERT_TRUE(convert(in, folder / "out", "bf16"));
    const Checkpoint before = Checkpoint::open(in).value(), after = Checkpoint::open(folder / "out").value();
    EXPECT_EQ(described(before), described(after));
    for (const StoredTensor* tensor : before.tensors())
      EXPECT_EQ(bytes_of(*tensor), bytes_of(*after.find(tensor->name))) << tensor->name;
    EXPECT_FALSE(fs::exists(folder / "out/mtp.safetensors"));
  }
}

TEST(QuantizedFolder, AgainInItsOwnFormatKeepsItsBytes) {
  const TemporaryFolder folder;
  for (const char* format : {"mxfp4-q8", "qx86-hi"}) {
    const fs::path once = folder / (std::string(format) + "-1"), twice = folder / (std::string(format) + "-2");
    ASSERT_TRUE(convert(mini(), once, format, {.search = ScaleSearch::none}));
    ASSERT_TRUE(convert(once, twice, format));
    EXPECT_EQ(files_of(once), files_of(twice)) << format;
  }
}

TEST(QuantizedFolder, SaysWhatDidNotFitAndWhatARecipeDidNotMatch) {
  const TemporaryFolder folder;
  QuantizeOptions options;
  options.recipe = Recipe::parse("*.mlp.experts.* affine-4-g128\n*.q_porj.* f32\nlm_head.* mxfp4\n", "r").value();
  ThreadPool pool(1);
  const auto report = quantize(model_test::fixture("tiny"), folder / "out", options, pool);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->notes.size(), 3u);
  EXPECT_NE(report->notes[0].find("and 39 more: kept at bf16: rows of 32"), std::string::npos) << report->notes[0];
  EXPECT_NE(report->notes[1].find("and 79 more: kept at bf16: rows of 64"), std::string::npos) << report->notes[1];
  EXPECT_NE(report->notes[2].find("line 2: \"*.q_porj.*\""), std::string::npos) << report->notes[2];
  const Checkpoint after = Checkpoint::open(folder / "out").value();
  EXPECT_EQ(after.find("model.layers.0.mlp.switch_mlp.up_proj.weight")->dtype, "BF16");
  EXPECT_EQ(after.find("model.embed_tokens.weight")->dtype, "BF16") << "no rule: kept";
  EXPECT_EQ(after.find("lm_head.weight")->dtype, "U32");
}

TEST(QuantizedFolder, RefusesSeveralFormatsInOneStack) {
  const TemporaryFolder folder;
  QuantizeOptions options;
  options.recipe = Recipe::parse("*.experts.3.* bf16\n* mxfp4\n", "r").value();
  ThreadPool pool(1);
  EXPECT_TRUE(fails(quantize(model_test::fixture("tiny"), folder / "out", options, pool), Errc::invalid_argument,
                    {"experts.3.gate_proj", "bf16", "mlx-mxfp4"}));
  EXPECT_FALSE(fs::exists(folder / "out.partial"));
}

struct Interruption {};

TEST(InterruptedQuantizing, GoesOnToTheSameBytes) {
  const TemporaryFolder folder;
  const QuantizeOptions shards{.search = ScaleSearch::none, .shard_bytes = 300'000};
  const auto whole = convert(mini(), folder / "whole", "q6", shards, 1);
  ASSERT_TRUE(whole) << whole.error().message;
  ASSERT_GT(whole->files, 4u);
  EXPECT_TRUE(fs::exists(folder / fmt::format("whole/model-00001-of-{:05}.safetensors", whole->files - 1)));

  QuantizeOptions interrupted = shards;
  interrupted.on_progress = [](double done, double total) {
    if (done > total / 2) throw Interruption();
  };
  EXPECT_THROW((void)convert(mini(), folder / "out", "q6", interrupted), Interruption);
  EXPECT_FALSE(fs::exists(folder / "out"));
  const fs::path first = folder / fmt::format("out.partial/model-00001-of-{:05}.safetensors", whole->files - 1);
  const auto written = fs::last_write_time(first);
  folder.write("out.partial/model-00003-of-00009.safetensors.tmp-abcdef", "what a killed process leaves");

  const auto resumed = convert(mini(), folder / "out", "q6", shards);
  ASSERT_TRUE(resumed) << resumed.error().message;
  EXPECT_GT(resumed->resumed_files, 0u);
  EXPECT_LT(resumed->resumed_files, resumed->files);
  EXPECT_EQ(fs::last_write_time(folder / "out" / first.filename()), written);
  EXPECT_EQ(files_of(folder / "out"), files_of(folder / "whole"));
}

TEST(InterruptedQuantizing, StartsAnewForAnotherRequest) {
  const TemporaryFolder folder;
  QuantizeOptions interrupted{.search = ScaleSearch::none, .shard_bytes = 300'000};
  interrupted.on_progress = [](double done, double total) {
    if (done > total / 2) throw Interruption();
  };
  EXPECT_THROW((void)convert(mini(), folder / "out", "q6", interrupted), Interruption);
  const auto other = convert(mini(), folder / "out", "q8", {.search = ScaleSearch::none, .shard_bytes = 300'000});
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(other->resumed_files, 0u);
  EXPECT_NO_THROW((void)logits(folder / "out"));
}

TEST(QuantizedFolder, IsNeverWrittenOverSomethingUnasked) {
  const TemporaryFolder folder;
  const fs::path tiny = model_test::fixture("tiny");
  fs::create_directories(folder / "notes");
  folder.write("notes/a.txt", "mine");
  folder.write("file", "mine");
  EXPECT_TRUE(fails(convert(tiny, folder / "notes", "q8"), Errc::denied, {"not empty", "--force"}));
  EXPECT_TRUE(fails(convert(tiny, folder / "notes", "q8", {.replace = Replace::model_folders}), Errc::denied, {"no model folder"}));
  EXPECT_TRUE(fails(convert(tiny, folder / "file", "q8"), Errc::denied, {"is a file"}));
  EXPECT_EQ(read_file(folder / "notes/a.txt").value(), "mine");
  EXPECT_FALSE(fs::exists(folder / "notes.partial"));

  fs::create_directories(folder / "empty");
  ASSERT_TRUE(convert(tiny, folder / "empty" / "", "q8")) << "an empty folder, and a slash at its end";
  EXPECT_TRUE(fails(convert(tiny, folder / "empty", "q4"), Errc::denied, {"not empty"}));
  ASSERT_TRUE(convert(tiny, folder / "empty", "bf16", {.replace = Replace::model_folders}));
  EXPECT_EQ(Checkpoint::open(folder / "empty").value().find("lm_head.scales"), nullptr);

  fs::create_directories(folder / "taken.partial");
  folder.write("taken.partial/a.txt", "mine");
  EXPECT_TRUE(fails(convert(tiny, folder / "taken", "q8"), Errc::denied, {"taken.partial"}));
  EXPECT_EQ(read_file(folder / "taken.partial/a.txt").value(), "mine");
}

TEST(QuantizedFolder, IsNotTheModelThatIsReadNorAroundIt) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "around");
  fs::copy(model_test::fixture("tiny"), folder / "around/model");
  folder.write("around/config.json", "{}");
  const QuantizeOptions force{.replace = Replace::model_folders};
  EXPECT_TRUE(
      fails(convert(folder / "around/model", folder / "around/model/.", "q8", force), Errc::invalid_argument, {"the folder of"}));
  EXPECT_TRUE(
      fails(convert(folder / "around/model", folder / "around", "q8", force), Errc::invalid_argument, {"around the model"}));
  EXPECT_TRUE(convert(folder / "around/model", folder / "around/model/q8", "q8"));
}

TEST(QuantizedFolder, NamesTheWeightThatIsNotFinite) {
  const TemporaryFolder folder;
  fs::copy(model_test::fixture("tiny"), folder / "model");
  const auto file = SafetensorsFile::open(folder / "model/model.safetensors").value();
  std::string bytes = read_file(folder / "model/model.safetensors").value();
  for (const StoredTensor& tensor : file.tensors())
    if (tensor.name == "model.layers.1.mlp.experts.6.up_proj.weight") {
      const size_t size = file.tensors().back().bytes.data() + file.tensors().back().bytes.size() - tensor.bytes.data();
      bytes[bytes.size() - size + 3 * 64 * 2] = '\x80', bytes[bytes.size() - size + 3 * 64 * 2 + 1] = '\x7f';
    }
  folder.write("model/model.safetensors", bytes);
  EXPECT_TRUE(fails(convert(folder / "model", folder / "out", "mxfp4"), Errc::invalid_argument,
                    {"model.layers.1.mlp.switch_mlp.up_proj.weight, expert 6"}));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

}  // namespace
}  // namespace quern
