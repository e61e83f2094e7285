// An MLX folder is the model it was made from: tiny written by this test as MLX lays it out, with a quantisation for each module in turn.
#include <gtest/gtest.h>

#include <map>

#include "formats/mlx_quantization.h"
#include "formats/temporary_folder_test.h"
#include "formats/tensor_names.h"
#include "model/model_test.h"

namespace quern {
namespace {

using model_test::fixture;

struct StackedTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};
using Tensors = std::map<std::string, StackedTensor>;

std::vector<std::byte> bytes_of(std::span<const float> values, bool bf16) {
  std::vector<std::byte> bytes(values.size() * (bf16 ? 2 : 4));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = f32_to_bf16(values[i]);
    std::memcpy(bytes.data() + i * (bf16 ? 2 : 4), bf16 ? static_cast<const void*>(&half) : &values[i], bf16 ? 2 : 4);
  }
  return bytes;
}

void append(Tensors& tensors, const std::string& name, const std::string& dtype, std::vector<int64_t> shape, bool stacked,
            const std::vector<std::byte>& bytes) {
  StackedTensor& tensor = tensors[name];
  if (tensor.shape.empty()) {
    if (stacked) shape.insert(shape.begin(), 0);
    tensor.dtype = dtype, tensor.shape = std::move(shape);
  }
  if (stacked) ++tensor.shape[0];
  tensor.bytes.insert(tensor.bytes.end(), bytes.begin(), bytes.end());
}

// tiny's tensors under MLX's names and in its shapes; matrices in `format`, where the columns allow it. `decoded` is the same model in the
// published layout with each matrix as the format holds it, in f32.
void convert_tiny(QuantFormat format, Tensors& mlx, Tensors& decoded) {
  const SafetensorsFile file = SafetensorsFile::open(fixture("tiny") / "model.safetensors").value();
  const QuantFormatInfo& info = quant_format_info(format);
  for (const StoredTensor& t : file.tensors()) {
    std::vector<float> values(t.bytes.size() / 2);
    to_f32(DType::bf16, t.bytes.data(), values.data(), static_cast<int64_t>(values.size()));
    const bool matrix = t.shape.size() == 2, gate = t.name.ends_with("_gate.weight");
    if (matrix && !gate && t.shape[1] % info.block_elements == 0 && info.block_elements > 1) {
      const auto [name, expert] = mlx_name(t.name);
      const std::string module = name.substr(0, name.size() - 7);
      const QuantBytes coded = encode(format, t.shape[0], t.shape[1], values).value();
      const QuantMatrix view = QuantMatrix::make(format, t.shape[0], t.shape[1], coded.parts()).value();
      const bool stacked = expert.has_value();
      append(mlx, name, "U32", {t.shape[0], view.layout().row_bytes / 4}, stacked, coded.codes);
      const char* scale_dtype = info.has_biases ? "BF16" : "U8";
      append(mlx, module + ".scales", scale_dtype, {t.shape[0], view.layout().scale_cols}, stacked, coded.scales);
      if (info.has_biases)
        append(mlx, module + ".biases", scale_dtype, {t.shape[0], view.layout().scale_cols}, stacked, coded.biases);
      for (int64_t r = 0; r < t.shape[0]; ++r) view.decode_row(r, values.data() + r * t.shape[1]);
      append(decoded, t.name, "F32", t.shape, false, bytes_of(values, false));
      continue;
    }
    append(decoded, t.name, "BF16", t.shape, false, {t.bytes.begin(), t.bytes.end()});
    std::vector<int64_t> shape = t.shape;
    if (shape.size() == 3) std::swap(shape[1], shape[2]);
    const bool gain = t.name.ends_with("norm.weight") && !t.name.ends_with("linear_attn.norm.weight");
    if (gain || t.name.find("norm_") != std::string::npos)
      for (float& value : values) value += 1;
    const auto [name, expert] = mlx_name(t.name);
    append(mlx, name, "F32", shape, expert.has_value(), bytes_of(values, false));
  }
}

void write(const std::filesystem::path& folder, const Tensors& tensors, const Json& quantization) {
  std::vector<SafetensorsWriter::Entry> entries;
  for (const auto& [name, tensor] : tensors) entries.push_back({name, tensor.dtype, tensor.shape});
  auto writer = SafetensorsWriter::create(folder / "model.safetensors", entries).value();
  for (const auto& [name, tensor] : tensors) EXPECT_TRUE(writer.write(tensor.bytes));
  EXPECT_TRUE(writer.commit());
  Json config = Json::parse(read_file(fixture("tiny") / "config.json").value(), "config").value();
  if (!quantization.is_null()) config["quantization"] = quantization;
  EXPECT_TRUE(write_file(folder / "config.json", config.dump()));
}

std::vector<float> logits(const std::filesystem::path& folder) {
  const auto model = Model::load(folder);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  ThreadPool pool(2);
  CpuOps ops(pool, Isa::scalar);
  Workspace workspace(**model);
  SequenceState state((*model)->config, KvFormat::f32, (*model)->fingerprint, (*model)->mtp != nullptr);
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 40; ++i) ids.push_back(i * 37 % 512);
  Batch batch = Batch::single(state, ids, Batch::Logits::last);
  forward(ops, **model, batch, workspace);
  std::vector<float> out(workspace.logits.row(0), workspace.logits.row(0) + workspace.logits.cols);
  const Tensor mtp = mtp_forward(ops, **model, state, ids, workspace);
  out.insert(out.end(), mtp.row(mtp.rows - 1), mtp.row(mtp.rows - 1) + mtp.cols);
  return out;
}

Json quantization_of(const MlxModule& module) {
  constexpr std::string_view kModes[] = {"affine", "mxfp4", "mxfp8", "nvfp4"};
  Json json = Json::object();
  json["bits"] = module.bits;
  json["group_size"] = module.group_size;
  json["mode"] = kModes[static_cast<size_t>(module.mode)];
  return json;
}

TEST(MlxFolder, IsTheModelThatItsFormatsHold) {
  for (const MlxModule module :
       {MlxModule{4, 64, MlxMode::affine}, MlxModule{3, 32, MlxMode::affine}, MlxModule{6, 32, MlxMode::affine},
        MlxModule{8, 64, MlxMode::affine}, MlxModule{4, 32, MlxMode::mxfp4}, MlxModule{8, 32, MlxMode::mxfp8},
        MlxModule{4, 16, MlxMode::nvfp4}}) {
    const QuantFormat format = module.format().value();
    SCOPED_TRACE(quant_format_info(format).name);
    const TemporaryFolder as_mlx, as_published;
    Tensors mlx, decoded;
    convert_tiny(format, mlx, decoded);
    ASSERT_TRUE(mlx.contains("model.layers.0.mlp.switch_mlp.up_proj.scales"));
    write(as_mlx.path(), mlx, quantization_of(module));
    write(as_published.path(), decoded, {});
    EXPECT_LE(model_test::largest_difference(logits(as_mlx.path()), logits(as_published.path())), 1e-5f);
  }
}

TEST(MlxFolder, UnquantisedIsTheSameModel) {
  const TemporaryFolder as_mlx;
  Tensors mlx, decoded;
  convert_tiny(QuantFormat::f32, mlx, decoded);
  write(as_mlx.path(), mlx, {});
  EXPECT_LE(model_test::largest_difference(logits(as_mlx.path()), logits(fixture("tiny"))), 1e-5f);
}

// A dict without `mode` means affine even where the default is mxfp4; `false` means plain.
TEST(MlxFolder, HasAQuantisationForEachModule) {
  const TemporaryFolder folder;
  Tensors mlx, decoded, affine;
  convert_tiny(QuantFormat::mlx_mxfp4, mlx, decoded);
  convert_tiny(QuantFormat::mlx_affine_8_g64, affine, decoded);
  const std::string router = "model.layers.1.mlp.gate";
  for (const char* part : {".weight", ".scales", ".biases"}) mlx[router + part] = affine.at(router + part);
  Json quantization = quantization_of({4, 32, MlxMode::mxfp4}), own = Json::object();
  own["bits"] = 8;
  own["group_size"] = 64;
  quantization[router] = std::move(own);
  write(folder.path(), mlx, quantization);
  const auto model = Model::load(folder.path());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->layers[1].mlp.router.format(), QuantFormat::mlx_affine_8_g64);
  EXPECT_EQ((*model)->layers[0].mlp.router.format(), QuantFormat::mlx_mxfp4);
  EXPECT_EQ((*model)->layers[0].mlp.experts[3].up_proj.format(), QuantFormat::mlx_mxfp4);
  EXPECT_EQ((*model)->layers[0].mlp.shared_expert_gate.format(), QuantFormat::f32);
  quantization[router] = false;
  write(folder.path(), mlx, quantization);
  EXPECT_TRUE(fails(Model::load(folder.path()), Errc::mismatch, {router, "not quantised"}));
}

TEST(MlxFolder, RefusesWhatItsConfigDoesNotDescribe) {
  const TemporaryFolder folder;
  Tensors mlx, decoded;
  convert_tiny(QuantFormat::mlx_affine_4_g32, mlx, decoded);
  write(folder.path(), mlx, quantization_of({8, 32, MlxMode::affine}));
  EXPECT_TRUE(fails(Model::load(folder.path()), Errc::mismatch, {"wrong", "shape"}));
  write(folder.path(), mlx, quantization_of({4, 64, MlxMode::affine}));
  EXPECT_TRUE(fails(Model::load(folder.path()), Errc::mismatch, {"scales shape"}));
  write(folder.path(), mlx, quantization_of({7, 64, MlxMode::affine}));
  EXPECT_TRUE(fails(Model::load(folder.path()), Errc::mismatch, {"bits"}));
  Json odd = quantization_of({4, 32, MlxMode::affine});
  odd["mode"] = "fp3";
  write(folder.path(), mlx, odd);
  EXPECT_TRUE(fails(Model::load(folder.path()), Errc::unsupported, {"fp3"}));
  Tensors broken = mlx;
  broken.erase("model.layers.0.mlp.switch_mlp.up_proj.biases");
  write(folder.path(), broken, quantization_of({4, 32, MlxMode::affine}));
  EXPECT_TRUE(fails(Model::load(folder.path()), Errc::mismatch, {"missing", "biases"}));
  broken = mlx;
  StackedTensor& few = broken.at("model.layers.0.mlp.switch_mlp.up_proj.weight");
  few.bytes.resize(few.bytes.size() / static_cast<size_t>(few.shape[0]) * 2), few.shape[0] = 2;
  write(folder.path(), broken, quantization_of({4, 32, MlxMode::affine}));
  EXPECT_TRUE(fails(Model::load(folder.path()), Errc::mismatch, {"no expert"}));
}

}  // namespace
}  // namespace quern
