// GGUF files in the layouts that exist hold the same model: a file by llama.cpp's tools, laid out anew by this test.
#include <gtest/gtest.h>

#include <map>

#include "formats/gguf.h"
#include "formats/gguf_config.h"
#include "formats/gguf_writer.h"
#include "formats/temporary_folder_test.h"
#include "formats/tensor_names.h"
#include "model/model_test.h"

namespace quern {
namespace {

struct Laid {
  GgufWriter::Entry entry;
  std::vector<std::byte> bytes;
};
using Tensors = std::map<std::string, Laid>;

const std::filesystem::path kMini = model_test::fixture("gguf") / "mini-Q4_K_M.gguf";
// mini's DeltaNet: key heads, value heads of each, sizes of both.
constexpr int64_t kKeyHeads = 2, kGroup = 2;

Tensors mini() {
  const GgufFile file = GgufFile::open(kMini).value();
  Tensors all;
  for (const StoredTensor& t : file.tensors())
    all[t.name] = {{t.name, gguf_dtype_format(t.dtype).value(), t.shape}, {t.bytes.begin(), t.bytes.end()}};
  return all;
}

GgufKeyValues mini_metadata() {
  const GgufFile file = GgufFile::open(kMini).value();
  GgufKeyValues metadata;
  for (const GgufMetadata::Entry& entry : file.metadata().entries()) metadata.value(entry.key, entry.value);
  return metadata;
}

void write(const std::filesystem::path& path, const Tensors& tensors, const GgufKeyValues& metadata = mini_metadata()) {
  std::vector<GgufWriter::Entry> entries;
  for (const auto& [name, tensor] : tensors) entries.push_back(tensor.entry);
  auto writer = GgufWriter::create(path, metadata, entries).value();
  for (const auto& [name, tensor] : tensors) ASSERT_TRUE(writer.write(tensor.bytes));
  ASSERT_TRUE(writer.commit());
}

std::vector<float> logits(const std::filesystem::path& path) {
  const auto model = Model::load(path);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  ThreadPool pool(2);
  CpuOps ops(pool, best_isa());
  Workspace workspace(**model);
  const bool mtp = (*model)->mtp != nullptr;
  SequenceState state((*model)->config, KvFormat::f32, (*model)->fingerprint, mtp);
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 30; ++i) ids.push_back(i * 37 % 512);
  Batch batch = Batch::single(state, ids, Batch::Logits::last);
  forward(ops, **model, batch, workspace);
  std::vector<float> out(workspace.logits.row(0), workspace.logits.row(0) + workspace.logits.cols);
  if (!mtp) return out;
  const Tensor draft = mtp_forward(ops, **model, state, ids, workspace);
  out.insert(out.end(), draft.row(draft.rows - 1), draft.row(draft.rows - 1) + draft.cols);
  return out;
}

// attn_qkv and attn_gate as ssm_in: for each key head its q and k rows, then v and z of its value heads.
void interleave(Tensors& tensors) {
  for (int layer = 0; layer < 4; ++layer) {
    const std::string blk = fmt::format("blk.{}.", layer);
    if (!tensors.contains(blk + "attn_gate.weight")) continue;
    const Laid qkv = tensors.extract(blk + "attn_qkv.weight").mapped(), z = tensors.extract(blk + "attn_gate.weight").mapped();
    ASSERT_EQ(qkv.entry.format, z.entry.format) << "rows of one matrix have one format";
    const int64_t v_rows = z.entry.shape[0], k_rows = (qkv.entry.shape[0] - v_rows) / 2, k_dim = k_rows / kKeyHeads,
                  v_dim = v_rows / (kKeyHeads * kGroup);
    const auto row_bytes = static_cast<int64_t>(z.bytes.size()) / v_rows;
    Laid both{{blk + "ssm_in.weight", z.entry.format, {2 * (k_rows + v_rows), z.entry.shape[1]}}, {}};
    const auto rows = [&](const Laid& from, int64_t first, int64_t count) {
      const std::byte* at = from.bytes.data() + first * row_bytes;
      both.bytes.insert(both.bytes.end(), at, at + count * row_bytes);
    };
    for (int64_t h = 0; h < kKeyHeads; ++h) {
      rows(qkv, h * k_dim, k_dim);
      rows(qkv, k_rows + h * k_dim, k_dim);
      rows(qkv, 2 * k_rows + h * kGroup * v_dim, kGroup * v_dim);
      rows(z, h * kGroup * v_dim, kGroup * v_dim);
    }
    tensors[both.entry.name] = std::move(both);
  }
}

TEST(GgufModel, IsTheSameInBothLayoutsOfTheDeltaNet) {
  const auto model = Model::load(kMini).value();
  ASSERT_EQ(model->config.linear_num_key_heads, kKeyHeads);
  ASSERT_EQ(model->config.linear_num_value_heads, kKeyHeads * kGroup);
  ASSERT_EQ(model->config.delta_projections, DeltaProjections::split) << "the file at hand has the newer layout";
  Tensors tensors = mini();
  interleave(tensors);
  const TemporaryFolder folder;
  write(folder / "legacy.gguf", tensors);
  EXPECT_EQ(Model::load(folder / "legacy.gguf").value()->config.delta_projections, DeltaProjections::interleaved);
  EXPECT_TRUE(model_test::same_logits(logits(folder / "legacy.gguf"), logits(kMini)));
}

TEST(GgufModel, TakesGateAndUpStackedTogether) {
  Tensors tensors = mini();
  for (int layer = 0; layer < 4; ++layer) {
    const std::string blk = fmt::format("blk.{}.", layer);
    const Laid gate = tensors.extract(blk + "ffn_gate_exps.weight").mapped(),
               up = tensors.extract(blk + "ffn_up_exps.weight").mapped();
    ASSERT_EQ(gate.entry.format, up.entry.format);
    Laid both{{blk + "ffn_gate_up_exps.weight", gate.entry.format, gate.entry.shape}, {}};
    const int64_t experts = gate.entry.shape[0];
    const auto size = static_cast<std::ptrdiff_t>(gate.bytes.size()) / experts;
    for (std::ptrdiff_t e = 0; e < experts; ++e)
      for (const Laid* half : {&gate, &up})
        both.bytes.insert(both.bytes.end(), half->bytes.begin() + e * size, half->bytes.begin() + (e + 1) * size);
    both.entry.shape[1] *= 2;
    tensors[both.entry.name] = std::move(both);
  }
  const TemporaryFolder folder;
  write(folder / "fused.gguf", tensors);
  EXPECT_TRUE(model_test::same_logits(logits(folder / "fused.gguf"), logits(kMini)));
  EXPECT_TRUE(write_file(folder / "config.json", "{}"));
  EXPECT_TRUE(Model::load(folder.path())) << "a folder with one GGUF file and no safetensors is that model";
  write(folder / "best-of-both.gguf", tensors);
  EXPECT_TRUE(fails(Model::load(folder.path()), Errc::mismatch, {"2 models"}));
}

TEST(GgufModel, TakesAttentionsProjectionsInOneTensor) {
  Tensors apart = mini(), together = apart;
  const std::string blk = "blk.3.";
  Laid all{{blk + "attn_qkv.weight", QuantFormat::f32, {0, 256}}, {}};
  for (const char* part : {"attn_q.weight", "attn_k.weight", "attn_v.weight"}) {
    Laid& own = apart.at(blk + part);
    const int64_t rows = own.entry.shape[0], cols = own.entry.shape[1];
    const QuantMatrix matrix = QuantMatrix::make(own.entry.format, rows, cols, {.codes = own.bytes}).value();
    std::vector<float> decoded(static_cast<size_t>(rows * cols));
    for (int64_t r = 0; r < rows; ++r) matrix.decode_row(r, decoded.data() + r * cols);
    const auto bytes = std::as_bytes(std::span(decoded));
    own = {{own.entry.name, QuantFormat::f32, own.entry.shape}, {bytes.begin(), bytes.end()}};
    all.bytes.insert(all.bytes.end(), bytes.begin(), bytes.end());
    all.entry.shape[0] += rows;
    together.erase(blk + part);
  }
  together[all.entry.name] = std::move(all);
  const TemporaryFolder folder;
  write(folder / "apart.gguf", apart);
  write(folder / "together.gguf", together);
  EXPECT_TRUE(model_test::same_logits(logits(folder / "together.gguf"), logits(folder / "apart.gguf")));
}

// tiny, as llama.cpp's converter lays out a model with its multi-token prediction block. The names are written out here, so that two that
// were mistaken for one another in the reader's table would show.
TEST(GgufModel, HasTheMtpBlockAfterItsLayers) {
  const std::map<std::string, std::string> mtp = {{"mtp.fc.weight", "blk.4.nextn.eh_proj.weight"},
                                                  {"mtp.pre_fc_norm_embedding.weight", "blk.4.nextn.enorm.weight"},
                                                  {"mtp.pre_fc_norm_hidden.weight", "blk.4.nextn.hnorm.weight"},
                                                  {"mtp.norm.weight", "blk.4.nextn.shared_head_norm.weight"},
                                                  {"mtp.layers.0.input_layernorm.weight", "blk.4.attn_norm.weight"},
                                                  {"mtp.layers.0.self_attn.q_norm.weight", "blk.4.attn_q_norm.weight"},
                                                  {"mtp.layers.0.mlp.gate.weight", "blk.4.ffn_gate_inp.weight"}};
  const SafetensorsFile source = SafetensorsFile::open(model_test::fixture("tiny") / "model.safetensors").value();
  Tensors tensors;
  for (const StoredTensor& t : source.tensors()) {
    std::vector<float> values(t.bytes.size() / 2);
    to_f32(DType::bf16, t.bytes.data(), values.data(), static_cast<int64_t>(values.size()));
    const bool gain = (t.name.ends_with("norm.weight") || t.name.find("norm_") != std::string::npos) &&
                      !t.name.ends_with("linear_attn.norm.weight");
    for (float& value : values) value = gain ? value + 1 : t.name.ends_with("A_log") ? -std::exp(value) : value;
    const auto known = mtp.find(t.name);
    const StoredName name = known != mtp.end() ? StoredName{known->second, {}} : gguf_name(t.name, 4).value();
    std::vector<int64_t> shape = t.shape;
    if (shape.size() == 3) shape.erase(shape.begin() + 1);
    Laid& laid = tensors[name.name];
    if (laid.bytes.empty() && name.expert) shape.insert(shape.begin(), 8);
    if (laid.bytes.empty()) laid.entry = {name.name, QuantFormat::f32, shape};
    const auto bytes = std::as_bytes(std::span(values));
    laid.bytes.insert(laid.bytes.end(), bytes.begin(), bytes.end());
  }
  GgufKeyValues metadata;
  const ModelConfig config = Model::load(model_test::fixture("tiny")).value()->config;
  ASSERT_TRUE(add_gguf_config(config, metadata));
  metadata.string("tokenizer.ggml.model", "no_vocab");
  const TemporaryFolder folder;
  write(folder / "tiny.gguf", tensors, metadata);
  const std::vector<float> got = logits(folder / "tiny.gguf"), want = logits(model_test::fixture("tiny"));
  ASSERT_EQ(got.size(), 2u * 512) << "the block's logits too";
  EXPECT_LE(model_test::largest_difference(got, want), 1e-4f);
}

TEST(GgufModel, SaysWhatIsMissingUnexpectedAndWrongByItsOwnNames) {
  Tensors tensors = mini();
  tensors.erase("blk.1.ssm_out.weight");
  tensors["blk.0.surprise"] = {{"blk.0.surprise", QuantFormat::f32, {1}}, std::vector<std::byte>(4)};
  Laid& norm = tensors.at("output_norm.weight");
  norm.entry.shape[0] /= 2, norm.bytes.resize(norm.bytes.size() / 2);
  Laid& decay = tensors.at("blk.0.ssm_a");
  const float positive = 1;
  std::memcpy(decay.bytes.data(), &positive, sizeof positive);
  const TemporaryFolder folder;
  write(folder / "odd.gguf", tensors);
  EXPECT_TRUE(
      fails(Model::load(folder / "odd.gguf"), Errc::mismatch,
            {"1 missing tensor (blk.1.ssm_out.weight)", "blk.0.surprise", "output_norm.weight shape", "blk.0.ssm_a holds 1"}));
}

}  // namespace
}  // namespace quern
