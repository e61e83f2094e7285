// GGUF files that quantize writes: laid out as llama.cpp's tools lay them out, computing what their weights say, and the same model
// there and back again.
#include "convert/gguf_output.h"

#include <cstring>

#include "base/file.h"
#include "convert/quantize.h"
#include "convert/synth.h"
#include "formats/gguf.h"
#include "formats/temporary_folder_test.h"
#include "model/model_test.h"
#include "text/model_text.h"

namespace quern {
namespace {

namespace fs = std::filesystem;
using model_test::fixture;
using model_test::logits;

Result<QuantizeReport> convert(const fs::path& in, const fs::path& out, const Recipe& recipe, QuantizeOptions options = {}) {
  options.recipe = recipe;
  options.container = out.extension() == ".gguf" ? ModelContainer::gguf : ModelContainer::folder;
  options.search = ScaleSearch::none;
  ThreadPool pool(2);
  return quantize(in, out, options, pool);
}

Result<QuantizeReport> convert(const fs::path& in, const fs::path& out, std::string_view format, QuantizeOptions options = {}) {
  const auto container = out.extension() == ".gguf" ? ModelContainer::gguf : ModelContainer::folder;
  return convert(in, out, Recipe::builtin(format, container).value(), options);
}

::testing::AssertionResult succeeded(const Result<QuantizeReport>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error().message;
}

enum class Head { own, tied };

// A model every row of which is a multiple of 256 weights, which every format's block fits; made once.
const fs::path& model_of_256(Head head = Head::own) {
  const auto make = [](const fs::path& path, Head kind) {
    SynthOptions options{.config = synth_preset("mini").value(), .with_mtp = true};
    for (const char* key : {"moe_intermediate_size", "shared_expert_intermediate_size"}) options.config[key] = 256;
    options.config["num_experts"] = 4;
    options.config["num_experts_per_tok"] = 2;
    options.config["num_hidden_layers"] = 4;
    options.config["vocab_size"] = 512;
    options.config["tie_word_embeddings"] = kind == Head::tied;
    ThreadPool pool(2);
    EXPECT_TRUE(synthesise(options, path, pool));
    return path;
  };
  static const TemporaryFolder folder;
  static const fs::path own = make(folder / "own", Head::own), tied = make(folder / "tied", Head::tied);
  return head == Head::own ? own : tied;
}

std::string bytes_of(const StoredTensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()};
}

// Names, dtypes, shapes and bytes, of every tensor.
void expect_same_tensors(const fs::path& a, const fs::path& b) {
  const Checkpoint want = Checkpoint::open(a).value(), got = Checkpoint::open(b).value();
  EXPECT_EQ(want.tensors().size(), got.tensors().size());
  for (const StoredTensor* tensor : want.tensors()) {
    const StoredTensor* other = got.find(tensor->name);
    ASSERT_NE(other, nullptr) << tensor->name;
    EXPECT_EQ(tensor->dtype, other->dtype) << tensor->name;
    EXPECT_EQ(tensor->shape, other->shape) << tensor->name;
    EXPECT_TRUE(bytes_of(*tensor) == bytes_of(*other)) << tensor->name;
  }
}

// The header of a file by llama.cpp's tools (tests/data/gguf), lengthened to the file's size.
GgufFile llama_file(const TemporaryFolder& folder) {
  const auto path = folder.write("llama.gguf", read_file(fixture("gguf") / "mini-Q8_0.header").value());
  fs::resize_file(path, 8178912);
  return GgufFile::open(path).value();
}

bool same_value(const GgufValue& a, const GgufValue& b) {
  return a.type == b.type && a.count == b.count && std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end());
}

TEST(GgufOutput, HasTheNamesShapesAndMetadataOfLlamaCppsFiles) {
  const TemporaryFolder folder;
  const std::string config = read_file(fixture("gguf") / "mini.config.json").value();
  ThreadPool pool(2);
  ASSERT_TRUE(synthesise({.config = Json::parse(config, "config").value()}, folder / "procedural-mini", pool));
  ASSERT_TRUE(succeeded(convert(folder / "procedural-mini", folder / "own.gguf", "q8_0")));
  const GgufFile theirs = llama_file(folder), own = GgufFile::open(folder / "own.gguf").value();
  EXPECT_EQ(own.tensors().size(), theirs.tensors().size());
  for (const StoredTensor& tensor : theirs.tensors()) {
    const StoredTensor* written = own.find(tensor.name);
    ASSERT_NE(written, nullptr) << tensor.name;
    EXPECT_EQ(written->shape, tensor.shape) << tensor.name;
    EXPECT_EQ(written->dtype, tensor.name.ends_with("ssm_ba.weight") ? "F32" : tensor.dtype) << tensor.name;
  }
  for (const auto& [key, value] : theirs.metadata().entries()) {
    const GgufValue* written = own.metadata().find(key);
    ASSERT_NE(written, nullptr) << key;
    EXPECT_TRUE(same_value(*written, value)) << key;
  }
}

// The published tensors by their names, transformed as the format's description says (not as the code has it).
TEST(GgufOutput, HoldsEachTensorInGgufForm) {
  const TemporaryFolder folder;
  ASSERT_TRUE(succeeded(convert(fixture("tiny"), folder / "tiny.gguf", "f32")));
  const Checkpoint from = Checkpoint::open(fixture("tiny")).value(), to = Checkpoint::open(folder / "tiny.gguf").value();
  const auto published = [&](const std::string& name) {
    const StoredTensor& tensor = *from.find(name);
    std::vector<float> values(tensor.bytes.size() / 2);
    to_f32(DType::bf16, tensor.bytes.data(), values.data(), static_cast<int64_t>(values.size()));
    return values;
  };
  const auto written = [&](const std::string& name) {
    std::vector<float> values(to.find(name)->bytes.size() / 4);
    std::memcpy(values.data(), to.find(name)->bytes.data(), values.size() * 4);
    return values;
  };
  const auto plus_1 = [](std::vector<float> values) {
    for (float& value : values) value += 1;
    return values;
  };
  const std::string layer = "model.layers.1.", delta = layer + "linear_attn.";
  EXPECT_EQ(written("blk.1.attn_norm.weight"), plus_1(published(layer + "input_layernorm.weight")));
  EXPECT_EQ(written("blk.3.attn_k_norm.weight"), plus_1(published("model.layers.3.self_attn.k_norm.weight")));
  EXPECT_EQ(written("blk.4.nextn.enorm.weight"), plus_1(published("mtp.pre_fc_norm_embedding.weight")));
  EXPECT_EQ(written("blk.1.ssm_norm.weight"), published(delta + "norm.weight"));
  EXPECT_EQ(written("blk.1.ssm_dt.bias"), published(delta + "dt_bias"));
  EXPECT_EQ(written("blk.1.ssm_conv1d.weight"), published(delta + "conv1d.weight"));
  EXPECT_EQ(written("blk.1.ssm_ba.weight"), published(delta + "in_proj_ba.weight"));
  EXPECT_EQ(written("blk.3.attn_q.weight"), published("model.layers.3.self_attn.q_proj.weight"));
  const std::vector<float> a = written("blk.1.ssm_a"), a_log = published(delta + "A_log");
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i], -std::exp(a_log[i]));
  // Key heads 2, value heads 4, sizes of both 16, hidden 64: for each key head 16 rows of q, 16 of k, 32 of v, 32 of z.
  const std::vector<float> qkvz = published(delta + "in_proj_qkvz.weight"), qkv = written("blk.1.attn_qkv.weight"),
                           z = written("blk.1.attn_gate.weight");
  ASSERT_EQ(qkv.size(), 128u * 64);
  ASSERT_EQ(z.size(), 64u * 64);
  const auto row = [](const std::vector<float>& matrix, int64_t r) {
    return std::vector<float>(matrix.begin() + r * 64, matrix.begin() + (r + 1) * 64);
  };
  for (int64_t h = 0; h < 2; ++h)
    for (int64_t r = 0; r < 32; ++r) {
      if (r < 16) {
        EXPECT_EQ(row(qkv, h * 16 + r), row(qkvz, h * 96 + r));
        EXPECT_EQ(row(qkv, 32 + h * 16 + r), row(qkvz, h * 96 + 16 + r));
      }
      EXPECT_EQ(row(qkv, 64 + h * 32 + r), row(qkvz, h * 96 + 32 + r));
      EXPECT_EQ(row(z, h * 32 + r), row(qkvz, h * 96 + 64 + r));
    }
  const std::vector<float> up = written("blk.2.ffn_up_exps.weight"),
                           expert = published("model.layers.2.mlp.experts.5.up_proj.weight");
  EXPECT_TRUE(std::equal(expert.begin(), expert.end(), up.begin() + 5 * static_cast<std::ptrdiff_t>(expert.size())));
}

class GgufFormat : public ::testing::TestWithParam<std::string> {};

TEST_P(GgufFormat, ComputesWhatItsWeightsSay) {
  const TemporaryFolder folder;
  const auto report = convert(model_of_256(), folder / "model.gguf", GetParam());
  ASSERT_TRUE(succeeded(report));
  EXPECT_EQ(report->layout, OutputLayout::gguf);
  ASSERT_TRUE(succeeded(convert(folder / "model.gguf", folder / "f32", "f32")));
  EXPECT_LE(model_test::largest_difference(logits(folder / "model.gguf"), logits(folder / "f32")), 1e-4f);
  // Again in its own format its codes are copied, and all else is the same.
  ASSERT_TRUE(succeeded(convert(folder / "model.gguf", folder / "again.gguf", GetParam())));
  EXPECT_TRUE(read_file(folder / "model.gguf").value() == read_file(folder / "again.gguf").value());
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
// Each of them in release; under sanitizers, where they take long, every fourth.
std::vector<std::string> some_of(std::vector<std::string> names) {
  std::vector<std::string> some;
  for (size_t i = 0; i < names.size(); i += QUERN_LONG_TESTS ? 1 : 4) some.push_back(names[i]);
  return some;
}

INSTANTIATE_TEST_SUITE_P(All, GgufFormat, ::testing::ValuesIn(some_of(recipe_names(ModelContainer::gguf))), test_name);

std::vector<std::string> mlx_formats() {
  std::vector<std::string> names;
  for (const QuantFormatInfo& info : quant_formats())
    if (info.name.starts_with("mlx-")) names.emplace_back(info.name);
  return names;
}
class MlxFormat : public ::testing::TestWithParam<std::string> {};

TEST_P(MlxFormat, ComputesWhatItsWeightsSay) {
  const TemporaryFolder folder;
  const Recipe recipe = Recipe::parse("*gate.weight keep\n*.in_proj_b* keep\n* " + GetParam(), "r").value();
  ASSERT_TRUE(succeeded(convert(model_of_256(), folder / "mlx", recipe)));
  ASSERT_TRUE(succeeded(convert(folder / "mlx", folder / "f32", "f32")));
  const std::vector<float> own = logits(folder / "mlx");
  EXPECT_LE(model_test::largest_difference(own, logits(folder / "f32")), 1e-4f);
  ASSERT_TRUE(succeeded(convert(folder / "mlx", folder / "f32.gguf", "f32")));
  EXPECT_LE(model_test::largest_difference(own, logits(folder / "f32.gguf")), 1e-4f);
}
INSTANTIATE_TEST_SUITE_P(All, MlxFormat, ::testing::ValuesIn(some_of(mlx_formats())), test_name);

TEST(GgufOutput, ThereAndBackAgainIsTheSameModel) {
  for (const fs::path& in :
       {fixture("tiny"), fixture("tiny-fp8"), fixture("tiny-yarn"), model_of_256(), model_of_256(Head::tied)}) {
    SCOPED_TRACE(in);
    const TemporaryFolder folder;
    ASSERT_TRUE(succeeded(convert(in, folder / "f32", "f32")));
    ASSERT_TRUE(succeeded(convert(in, folder / "f32.gguf", "f32")));
    ASSERT_TRUE(succeeded(convert(folder / "f32.gguf", folder / "back", "f32")));
    expect_same_tensors(folder / "f32", folder / "back");
    const auto before = Model::load(folder / "f32").value(), after = Model::load(folder / "back").value();
    EXPECT_EQ(before->config.to_json(), after->config.to_json());
    EXPECT_TRUE(model_test::same_logits(logits(folder / "f32"), logits(folder / "back")));
  }
}

// Older files have in_proj_qkvz as it is published, in one tensor.
TEST(GgufOutput, GivesTheLayoutOfOlderFilesUp) {
  const TemporaryFolder folder;
  ASSERT_TRUE(succeeded(convert(fixture("tiny"), folder / "f32", "f32")));
  ASSERT_TRUE(succeeded(convert(fixture("tiny"), folder / "f32.gguf", "f32")));
  const Checkpoint published = Checkpoint::open(folder / "f32").value();
  const GgufFile newer = GgufFile::open(folder / "f32.gguf").value();
  GgufKeyValues metadata;
  for (const GgufMetadata::Entry& entry : newer.metadata().entries()) metadata.value(entry.key, entry.value);
  std::vector<GgufWriter::Entry> entries;
  std::vector<std::span<const std::byte>> bytes;
  for (const StoredTensor& tensor : newer.tensors()) {
    if (tensor.name.ends_with("attn_gate.weight")) continue;
    const bool qkv = tensor.name.ends_with("attn_qkv.weight");
    const std::string layer(1, tensor.name[4]);
    const StoredTensor& from = qkv ? *published.find("model.layers." + layer + ".linear_attn.in_proj_qkvz.weight") : tensor;
    entries.push_back({qkv ? "blk." + layer + ".ssm_in.weight" : tensor.name, QuantFormat::f32, from.shape});
    bytes.push_back(from.bytes);
  }
  auto writer = GgufWriter::create(folder / "older.gguf", metadata, entries).value();
  for (const auto& part : bytes) ASSERT_TRUE(writer.write(part));
  ASSERT_TRUE(writer.commit());
  ASSERT_TRUE(succeeded(convert(folder / "older.gguf", folder / "again.gguf", "f32")));
  expect_same_tensors(folder / "f32.gguf", folder / "again.gguf");
  ASSERT_TRUE(succeeded(convert(folder / "older.gguf", folder / "again", "f32")));
  expect_same_tensors(folder / "f32", folder / "again");
}

TEST(GgufOutput, OfABf16ModelInBf16HasTheSameBytesAgainInAFolder) {
  const TemporaryFolder folder;
  ASSERT_TRUE(succeeded(convert(fixture("tiny"), folder / "bf16.gguf", "bf16")));
  ASSERT_TRUE(succeeded(convert(folder / "bf16.gguf", folder / "bf16", "bf16")));
  expect_same_tensors(fixture("tiny"), folder / "bf16");
}

TEST(GgufOutput, TakesAFileOfLlamaCppsTools) {
  const TemporaryFolder folder;
  const fs::path theirs = fixture("gguf") / "mini-Q4_K_M.gguf";
  ASSERT_TRUE(succeeded(convert(theirs, folder / "f32", "f32")));
  EXPECT_LE(model_test::largest_difference(logits(theirs), logits(folder / "f32")), 1e-4f);
  const Recipe keep = Recipe::parse("* keep", "r", ModelContainer::gguf).value();
  ASSERT_TRUE(succeeded(convert(theirs, folder / "kept.gguf", keep)));
  expect_same_tensors(theirs, folder / "kept.gguf");
  EXPECT_EQ(GgufFile::open(folder / "kept.gguf").value().metadata().string("general.name").value(), "procedural-mini");
  ASSERT_TRUE(succeeded(convert(theirs, folder / "mlx", "q8")));
  EXPECT_TRUE(Model::load(folder / "mlx"));
}

TEST(GgufOutput, TiedEmbeddingsHaveNoHeadOfTheirOwn) {
  const TemporaryFolder folder;
  const fs::path& in = model_of_256(Head::tied);
  const std::vector<float> want = logits(in);
  ASSERT_TRUE(succeeded(convert(in, folder / "bf16.gguf", "bf16")));
  EXPECT_EQ(Checkpoint::open(folder / "bf16.gguf").value().find("output.weight"), nullptr);
  EXPECT_LE(model_test::largest_difference(want, logits(folder / "bf16.gguf")), 1e-4f);
  for (const auto& [format, name] : {std::pair("q8", "q8.gguf"), std::pair("q8", "q8"), std::pair("mxfp4-q8", "mxfp4")}) {
    ASSERT_TRUE(succeeded(convert(in, folder / name, format)));
    EXPECT_TRUE(Model::load(folder / name).value()->config.tie_word_embeddings) << name;
    ASSERT_TRUE(succeeded(convert(folder / name, folder / (std::string(name) + "-f32"), "f32")));
    const fs::path plain = folder / (std::string(name) + "-f32");
    EXPECT_EQ(Checkpoint::open(plain).value().find("lm_head.weight"), nullptr) << name;
    EXPECT_LE(model_test::largest_difference(logits(folder / name), logits(plain)), 1e-4f) << name;
  }
}

TEST(GgufOutput, RefusesWhatTheArchitectureHasNoWordsFor) {
  const TemporaryFolder folder;
  EXPECT_TRUE(fails(convert(fixture("tiny-grouped"), folder / "out.gguf", "q8_0"), Errc::unsupported, {"norm_topk_prob false"}));
  EXPECT_FALSE(fs::exists(folder / "out.gguf"));
}

TEST(GgufOutput, LeavesTheMtpBlockOutWhereAsked) {
  const TemporaryFolder folder;
  ASSERT_TRUE(succeeded(convert(fixture("tiny"), folder / "with.gguf", "f32")));
  const auto report = convert(fixture("tiny"), folder / "without.gguf", "f32", {.mtp = MtpBlock::leave_out});
  ASSERT_TRUE(succeeded(report));
  ASSERT_EQ(report->notes.size(), 1u);
  EXPECT_NE(report->notes[0].find("left out"), std::string::npos);
  const GgufFile with = GgufFile::open(folder / "with.gguf").value(), without = GgufFile::open(folder / "without.gguf").value();
  EXPECT_EQ(with.metadata().u32("qwen3next.block_count").value(), 5u);
  EXPECT_EQ(with.metadata().u32("qwen3next.nextn_predict_layers").value(), 1u);
  EXPECT_EQ(without.metadata().u32("qwen3next.block_count").value(), 4u);
  EXPECT_FALSE(without.metadata().has("qwen3next.nextn_predict_layers"));
  EXPECT_NE(with.find("blk.4.nextn.eh_proj.weight"), nullptr);
  for (const StoredTensor& tensor : without.tensors()) EXPECT_FALSE(tensor.name.starts_with("blk.4.")) << tensor.name;
  EXPECT_EQ(Model::load(folder / "without.gguf").value()->mtp, nullptr);
}

TEST(GgufOutput, KeepsAtBf16WhatNoBlockFits) {
  const TemporaryFolder folder;
  const auto report = convert(fixture("tiny"), folder / "tiny.gguf", "q4_k_m", {.mtp = MtpBlock::leave_out});
  ASSERT_TRUE(succeeded(report));
  EXPECT_NE(report->notes[0].find("kept at bf16: rows of 64 weights are no multiple of 256, the group of q4_k"), std::string::npos)
      << report->notes[0];
  const Checkpoint written = Checkpoint::open(folder / "tiny.gguf").value();
  EXPECT_EQ(written.find("blk.0.ffn_up_exps.weight")->dtype, "BF16");
  EXPECT_NO_THROW((void)logits(folder / "tiny.gguf"));
}

// A model with pebble's tokenizer, chat template and defaults.
fs::path with_text(const TemporaryFolder& folder) {
  SynthOptions options{.config = synth_preset("tiny").value()};
  options.config["vocab_size"] = 4200;
  options.config["eos_token_id"] = 4072;
  ThreadPool pool(2);
  EXPECT_TRUE(synthesise(options, folder / "text", pool));
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy(fs::path(QUERN_REPO) / "models/pebble" / file, folder / "text");
  folder.write(
      "text/generation_config.json",
      R"({"bos_token_id": 4070, "pad_token_id": 4070, "eos_token_id": [4072, 4070], "temperature": 0.7, "top_p": 0.8, "top_k": 20})");
  return folder / "text";
}

TEST(GgufOutput, BringsTokenizerTemplateAndDefaultsThereAndBack) {
  const TemporaryFolder folder;
  const fs::path in = with_text(folder);
  ASSERT_TRUE(succeeded(convert(in, folder / "there.gguf", "q8_0")));
  const GgufFile file = GgufFile::open(folder / "there.gguf").value();
  const GgufMetadata& metadata = file.metadata();
  EXPECT_EQ(metadata.string("tokenizer.ggml.model").value(), "gpt2");
  EXPECT_EQ(metadata.string("tokenizer.ggml.pre").value(), "qwen2");
  EXPECT_EQ(metadata.find("tokenizer.ggml.tokens")->count, 4200u) << "one for each row of the embedding";
  EXPECT_EQ(metadata.u32("tokenizer.ggml.eos_token_id").value(), 4072u);
  EXPECT_EQ(metadata.u32("tokenizer.ggml.padding_token_id").value(), 4070u);
  EXPECT_EQ(metadata.u32("tokenizer.ggml.bos_token_id").value(), 4070u);
  EXPECT_FALSE(metadata.boolean("tokenizer.ggml.add_bos_token").value());
  EXPECT_EQ(metadata.i32("general.sampling.top_k").value(), 20);
  EXPECT_EQ(metadata.string("general.name").value(), "text");

  ASSERT_TRUE(succeeded(convert(folder / "there.gguf", folder / "back", "bf16")));
  ASSERT_TRUE(succeeded(convert(folder / "back", folder / "again.gguf", "q8_0")));
  const ModelText want = load_model_text(in).value();
  for (const char* name : {"there.gguf", "back", "again.gguf"}) {
    SCOPED_TRACE(name);
    const ModelText got = load_model_text(folder / name).value();
    EXPECT_EQ(got.chat_template, want.chat_template);
    EXPECT_EQ(got.generation.eos_token_ids, want.generation.eos_token_ids);
    EXPECT_EQ(got.generation.temperature, want.generation.temperature);
    EXPECT_EQ(got.generation.top_p, want.generation.top_p);
    EXPECT_EQ(got.generation.top_k, want.generation.top_k);
    ASSERT_TRUE(got.tokenizer);
    const std::string text = "<|im_start|>user\nÜber naïve 漢字, don't  move\r\n<tool_call>{\"a\": 12}</tool_call><|im_end|>";
    EXPECT_EQ(got.tokenizer->encode(text, true).value(), want.tokenizer->encode(text, true).value());
    EXPECT_EQ(got.tokenizer->encode(text, false).value(), want.tokenizer->encode(text, false).value());
  }
  // What transformers goes by.
  const Json before = Json::parse(read_file(in / "tokenizer.json").value(), "").value(),
             after = Json::parse(read_file(folder / "back/tokenizer.json").value(), "").value();
  for (const char* key : {"version", "added_tokens", "normalizer", "pre_tokenizer", "decoder", "post_processor"})
    EXPECT_EQ(*before.find(key), *after.find(key)) << key;
  EXPECT_EQ(*before.find("model")->find("vocab"), *after.find("model")->find("vocab"));
  const Json own = Json::parse(read_file(folder / "back/tokenizer_config.json").value(), "").value();
  EXPECT_EQ(own.find("eos_token")->as_string(), "<|im_end|>");
  EXPECT_EQ(own.find("pad_token")->as_string(), "<|endoftext|>");
}

TEST(GgufOutput, IsNeverWrittenOverSomethingUnasked) {
  const TemporaryFolder folder;
  const fs::path out = folder / "model.gguf";
  const QuantizeOptions force{.replace = Replace::model_folders};
  ASSERT_TRUE(succeeded(convert(fixture("tiny"), out, "q8_0")));
  EXPECT_TRUE(fails(convert(fixture("tiny"), out, "f32"), Errc::denied, {"exists", "--force"}));
  ASSERT_TRUE(succeeded(convert(fixture("tiny"), out, "f32", force)));
  EXPECT_EQ(Checkpoint::open(out).value().find("output.weight")->dtype, "F32");
  EXPECT_TRUE(fails(convert(out, out, "q8_0", force), Errc::invalid_argument, {"is the model that is read"}));
  folder.write("notes.gguf", "mine");
  EXPECT_TRUE(fails(convert(fixture("tiny"), folder / "notes.gguf", "q8_0", force), Errc::denied, {"no GGUF file"}));
  fs::create_directories(folder / "folder.gguf");
  EXPECT_TRUE(fails(convert(fixture("tiny"), folder / "folder.gguf", "q8_0", force), Errc::denied, {"is a folder"}));
  QuantizeOptions untouched{.recipe = Recipe::builtin("q8_0", ModelContainer::gguf).value(), .container = ModelContainer::gguf};
  untouched.on_progress = [](double, double) { FAIL() << "a weight is written"; };
  ThreadPool pool(1);
  EXPECT_TRUE(fails(quantize(fixture("tiny"), folder / "slash/", untouched, pool), Errc::invalid_argument, {"names a folder"}));
  EXPECT_FALSE(fs::exists(folder / "slash"));
  QuantizeOptions interrupted;
  struct Interruption {};
  interrupted.on_progress = [](double, double) { throw Interruption(); };
  EXPECT_THROW((void)convert(fixture("tiny"), folder / "half.gguf", "q8_0", interrupted), Interruption);
  for (const auto& entry : fs::directory_iterator(folder.path()))
    EXPECT_FALSE(entry.path().filename().string().starts_with("half")) << entry.path();
}

}  // namespace
}  // namespace quern
