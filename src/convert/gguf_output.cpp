#include "convert/gguf_output.h"

#include <algorithm>
#include <array>

#include "formats/gguf_config.h"
#include "text/gguf_tokenizer.h"
#include "text/model_text.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

// llama.cpp's number for a file that is mostly in a format (its LLAMA_FTYPE); it shows it to people and goes by the tensors.
uint32_t file_type(std::optional<QuantFormat> format) {
  using enum QuantFormat;
  constexpr auto kTypes = std::to_array<std::pair<QuantFormat, uint32_t>>({{f32, 0},
                                                                           {f16, 1},
                                                                           {q4_0, 2},
                                                                           {q4_1, 3},
                                                                           {q8_0, 7},
                                                                           {q5_0, 8},
                                                                           {q5_1, 9},
                                                                           {q2_k, 10},
                                                                           {q3_k, 12},
                                                                           {q4_k, 15},
                                                                           {q5_k, 17},
                                                                           {q6_k, 18},
                                                                           {iq4_nl, 25},
                                                                           {iq4_xs, 30},
                                                                           {bf16, 32},
                                                                           {mxfp4, 38}});
  const auto at = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& type) { return type.first == format; });
  return at == kTypes.end() ? 0 : at->second;
}

// A JSON object of a folder; empty where there is no such file.
Result<Json> read_object(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return Json::object();
  QUERN_ASSIGN(const std::string text, read_file(path, size_t{64} << 20));
  return Json::parse(text, path.string());
}

// The id of a token that a config gives as its text or as {"content": text}.
std::optional<int64_t> id_of(const TokenizerParts& parts, const Json* token) {
  if (token && token->is_object()) token = token->find("content");
  if (!token || !token->is_string()) return {};
  for (const auto& [text, id, special] : parts.added)
    if (text == token->as_string()) return id;
  for (const auto& [text, id] : parts.vocabulary)
    if (text == token->as_string()) return id;
  return {};
}

// An id that a config gives as a number, or the first of a list.
std::optional<int64_t> id_in(const Json& config, std::string_view key) {
  const Json* value = config.find(key);
  if (value && value->is_array() && value->size() > 0) value = &value->as_array()[0];
  const auto id = value ? value->to_int64() : Result<int64_t>(fail(Errc::not_found, "{}", key));
  return id ? std::optional(*id) : std::nullopt;
}

// The tokenizer's own config says what ends a turn; the ids of the other two files may be those of the base model.
Result<GgufTokenizerIds> special_ids(const fs::path& folder, const TokenizerParts& parts, int64_t vocab_size) {
  QUERN_ASSIGN(const Json own, read_object(folder / "tokenizer_config.json"));
  QUERN_ASSIGN(const Json generation, read_object(folder / "generation_config.json"));
  QUERN_ASSIGN(const Json model, read_object(folder / "config.json"));
  const auto find = [&](const std::string& token) {
    auto id = id_of(parts, own.find(token));
    for (const Json* config : {&generation, &model})
      if (!id) id = id_in(*config, token + "_id");
    return id;
  };
  return GgufTokenizerIds{
      .vocab_size = vocab_size, .eos = find("eos_token"), .padding = find("pad_token"), .bos = find("bos_token")};
}

void add_sampling(const GenerationConfig& generation, GgufKeyValues& out) {
  if (generation.do_sample == false) return;
  if (generation.temperature) out.f32("general.sampling.temp", static_cast<float>(*generation.temperature));
  if (generation.top_p) out.f32("general.sampling.top_p", static_cast<float>(*generation.top_p));
  if (generation.top_k) out.i32("general.sampling.top_k", static_cast<int32_t>(*generation.top_k));
  if (generation.min_p) out.f32("general.sampling.min_p", static_cast<float>(*generation.min_p));
}

Result<void> add_folder_text(const fs::path& folder, const ModelConfig& config, GgufKeyValues& out) {
  QUERN_ASSIGN(const ModelText text, load_model_text(folder));
  add_sampling(text.generation, out);
  if (!text.tokenizer) {
    add_gguf_no_tokenizer(out);
    if (!config.eos_token_ids.empty()) out.u32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(config.eos_token_ids.front()));
    return {};
  }
  const fs::path path = folder / "tokenizer.json";
  QUERN_ASSIGN(const Json json, read_object(path));
  QUERN_ASSIGN(const TokenizerParts parts, tokenizer_json_parts(json, path.string()));
  QUERN_ASSIGN(const GgufTokenizerIds ids, special_ids(folder, parts, config.vocab_size));
  QUERN_TRY(add_gguf_tokenizer(parts, ids, path.string(), out));
  if (!text.chat_template.empty()) out.string("tokenizer.chat_template", text.chat_template);
  return {};
}

// What the source says that is not about its layout, which add_gguf_config and the writer say anew.
void copy_metadata(const GgufMetadata& from, GgufKeyValues& out) {
  for (const auto& [key, value] : from.entries()) {
    const bool layout = key.starts_with("qwen3next.") || key.starts_with("split.") || key == "general.alignment";
    if (!layout && !out.has(key)) out.value(key, value);
  }
  if (!out.has("tokenizer.ggml.model")) add_gguf_no_tokenizer(out);
}

}  // namespace

Result<GgufKeyValues> gguf_metadata(const Model& model, const fs::path& in, const OutputTensors& tensors, MtpBlock mtp) {
  ModelConfig config = model.config;
  config.num_mtp_layers = model.mtp && mtp == MtpBlock::keep ? 1 : 0;
  GgufKeyValues out;
  QUERN_TRY(add_gguf_config(config, out));
  out.u32("general.quantization_version", 2);
  out.u32("general.file_type", file_type(prevailing_format(tensors.tensors, [](const OutputTensor&) { return true; })));
  if (model.checkpoint.gguf()) return copy_metadata(*model.checkpoint.gguf(), out), out;
  out.string("general.type", "model");
  std::error_code ignored;
  out.string("general.name", (fs::weakly_canonical(in, ignored) / "").parent_path().filename().string());
  QUERN_TRY(add_folder_text(in, config, out));
  return out;
}

Result<void> write_gguf(const fs::path& path, const GgufKeyValues& metadata, std::span<const OutputTensor> tensors,
                        TensorEncoder& encoder, TensorEncoder::Written written) {
  std::vector<GgufWriter::Entry> entries;
  for (const OutputTensor& tensor : tensors) entries.push_back({tensor.name, tensor.format, tensor.shape});
  QUERN_ASSIGN(GgufWriter writer, GgufWriter::create(path, metadata, entries));
  for (const OutputTensor& tensor : tensors)
    QUERN_TRY(encoder.encode(tensor, [&](std::span<const std::byte> bytes) { return writer.write(bytes); }, written));
  return writer.commit();
}

}  // namespace quern
