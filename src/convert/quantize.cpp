#include "convert/quantize.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/checksum.h"
#include "convert/folder_text.h"
#include "convert/gguf_output.h"
#include "convert/layer_inputs.h"
#include "convert/output_folder.h"
#include "convert/tensor_encoder.h"
#include "model/ops/cpu_ops.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

// Publishing replaces `out`: it must not be what is read.
Result<void> check_places(const fs::path& in, const fs::path& out) {
  std::error_code ignored;
  const fs::path from = fs::weakly_canonical(in, ignored) / "", to = fs::weakly_canonical(out, ignored) / "";
  const auto [rest_of_to, rest_of_from] = std::mismatch(to.begin(), std::prev(to.end()), from.begin(), from.end());
  if (rest_of_to != std::prev(to.end())) return {};
  return fail(Errc::invalid_argument, "{}: is {} the model that is read", out.string(), from == to ? "the folder of" : "around");
}

// Regular files in a folder, by name.
Result<std::vector<fs::directory_entry>> files_in(const fs::path& folder) {
  std::vector<fs::directory_entry> files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored)) files.push_back(entry);
  }
  if (error) return fail(Errc::io, "{}: cannot list: {}", folder.string(), error.message());
  std::sort(files.begin(), files.end());
  return files;
}

uint64_t digest_of(std::span<const std::vector<int32_t>> documents) {
  Checksum64 sum;
  for (const std::vector<int32_t>& ids : documents) {
    sum.add(fmt::format("{} ", ids.size()));
    sum.add(std::as_bytes(std::span(ids)));
  }
  return sum.value();
}

// What decides about the bytes that are written.
Result<Json> request_of(const fs::path& in, const Model& model, const QuantizeOptions& options) {
  std::vector<fs::directory_entry> files;
  if (model.checkpoint.gguf()) {
    for (const fs::path& part : model.checkpoint.files()) files.emplace_back(part);
  } else {
    QUERN_ASSIGN(files, files_in(in));
  }
  Json sources = Json::array();
  for (const fs::directory_entry& file : files) {
    std::error_code ignored;
    Json one = Json::object();
    one["name"] = file.path().filename().string();
    one["bytes"] = static_cast<uint64_t>(file.file_size(ignored));
    one["modified"] = static_cast<int64_t>(file.last_write_time(ignored).time_since_epoch().count());
    sources.push_back(std::move(one));
  }
  Json request = Json::object();
  request["source"] = fs::absolute(in).lexically_normal().string();
  request["files"] = std::move(sources);
  request["recipe"] = options.recipe.text();
  request["mtp"] = options.mtp == MtpBlock::keep;
  if (options.order == RowOrder::strips) request["packed"] = true;
  request["search"] = options.search == ScaleSearch::full ? "full" : "none";
  if (options.importance) request["importance"] = fmt::format("{:x}", options.importance->digest());
  if (!options.feedback_text.empty()) request["feedback"] = fmt::format("{:x}", digest_of(options.feedback_text));
  request["shard_bytes"] = options.shard_bytes;
  return request;
}

// Tokenizer, templates, licence, model card: everything that is no weights and no description of them.
bool is_copied(const std::string& name) {
  constexpr auto kWeights = std::to_array<std::string_view>(
      {".safetensors", ".index.json", ".bin", ".gguf", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".npz"});
  if (name.starts_with('.') || name == "config.json" || name == "quantize.json") return false;
  return std::none_of(kWeights.begin(), kWeights.end(), [&](std::string_view suffix) { return name.ends_with(suffix); });
}

Result<void> copy_others(const fs::path& from, const fs::path& to) {
  QUERN_ASSIGN(const auto files, files_in(from));
  for (const fs::directory_entry& file : files) {
    const std::string name = file.path().filename().string();
    if (!is_copied(name)) continue;
    std::error_code error;
    fs::copy_file(file.path(), to / name, fs::copy_options::overwrite_existing, error);
    if (error) return fail(Errc::io, "{}: cannot copy to {}: {}", file.path().string(), to.string(), error.message());
    const UniqueFd copy(::open((to / name).c_str(), O_RDONLY | O_CLOEXEC));
    if (copy) ::fsync(copy.get());
  }
  return {};
}

QuantizeReport report_of(const OutputTensors& out, const Model& model, MtpBlock mtp) {
  QuantizeReport report{.layout = out.layout};
  const auto add = [](QuantizeReport::Tally& tally, const OutputTensor& tensor) {
    ++tally.tensors, tally.weights += tensor.weights(), tally.bytes += tensor.bytes();
  };
  for (const OutputTensor& tensor : out.tensors) {
    add(report.total, tensor);
    if (tensor.matrices.empty()) continue;
    report.packed += tensor.order == RowOrder::strips;
    auto at = std::find_if(report.matrices.begin(), report.matrices.end(),
                           [&](const auto& tally) { return tally.format == tensor.format; });
    if (at == report.matrices.end()) at = report.matrices.insert(at, {.format = tensor.format});
    add(*at, tensor);
  }
  std::sort(report.matrices.begin(), report.matrices.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  report.source_bytes = static_cast<int64_t>(model.checkpoint.total_bytes());
  report.files = 1;
  report.notes = out.notes;
  if (model.mtp && mtp == MtpBlock::leave_out) report.notes.emplace_back("the MTP block is left out");
  if (model.mtp && mtp == MtpBlock::keep && out.layout == OutputLayout::gguf)
    report.notes.push_back(
        fmt::format("blk.{} is the MTP block; programs that know none refuse the file, and --no-mtp leaves it out",
                    model.config.layers.size()));
  return report;
}

// config.json, and what a folder has beside its tensors: copied, or made from a GGUF file's metadata.
Result<Json> source_config(const fs::path& in, const Model& model) {
  if (model.checkpoint.gguf()) return model.config.to_json();
  const std::string path = (in / "config.json").string();
  QUERN_ASSIGN(const std::string text, read_file(path, size_t{16} << 20));
  return Json::parse(text, path);
}
Result<void> write_others(const fs::path& in, const Model& model, const fs::path& to) {
  if (!model.checkpoint.gguf()) return copy_others(in, to);
  QUERN_ASSIGN(const auto files, folder_text(*model.checkpoint.gguf()));
  for (const TextFile& file : files) QUERN_TRY(write_file(to / file.name, file.text));
  return {};
}

Result<QuantizeReport> quantize_to_folder(const Model& model, OutputTensors tensors, const fs::path& in, const fs::path& out,
                                          const QuantizeOptions& options, TensorEncoder& encoder) {
  QuantizeReport report = report_of(tensors, model, options.mtp);
  QUERN_ASSIGN(const Json config, source_config(in, model));
  const OutputPlan plan = plan_output(std::move(tensors), config, options.shard_bytes);
  QUERN_ASSIGN(Json request, request_of(in, model, options));
  const auto others = [&](const fs::path& folder) { return write_others(in, model, folder); };
  report.files = plan.files.size();
  QUERN_ASSIGN(report.resumed_files,
               write_folder(out, plan, {std::move(request), options.replace, options.on_progress, others}, encoder));
  return report;
}

// Replacing deletes what is there, which therefore has to look like what this program writes.
Result<void> check_target_file(const fs::path& out, const Model& model, Replace replace) {
  if (out.filename().empty()) return fail(Errc::invalid_argument, "{}: names a folder; a GGUF file is written", out.string());
  std::error_code ignored;
  for (const fs::path& file : model.checkpoint.files())
    if (fs::equivalent(file, out, ignored)) return fail(Errc::invalid_argument, "{}: is the model that is read", out.string());
  if (!fs::exists(out, ignored)) return {};
  if (fs::is_directory(out, ignored)) return fail(Errc::denied, "{}: is a folder; a GGUF file is written", out.string());
  if (replace == Replace::never) return fail(Errc::denied, "{}: exists; --force replaces it", out.string());
  QUERN_ASSIGN(const auto file, MappedFile::open(out));
  const auto magic = std::as_bytes(std::span("GGUF", 4));
  if (file->bytes().size() >= magic.size() && std::equal(magic.begin(), magic.end(), file->bytes().begin())) return {};
  return fail(Errc::denied, "{}: is no GGUF file, and therefore not replaced", out.string());
}

Result<QuantizeReport> quantize_to_gguf(const Model& model, const OutputTensors& tensors, const fs::path& in, const fs::path& out,
                                        const QuantizeOptions& options, TensorEncoder& encoder) {
  QUERN_TRY(check_target_file(out, model, options.replace));
  QUERN_ASSIGN(const GgufKeyValues metadata, gguf_metadata(model, in, tensors, options.mtp));
  QuantizeReport report = report_of(tensors, model, options.mtp);
  const fs::path folder = fs::absolute(out).parent_path();
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(Errc::io, "{}: cannot make the folder: {}", folder.string(), error.message());
  QUERN_TRY(check_room(folder, report.total.bytes));
  QUERN_TRY(write_gguf(out, metadata, tensors.tensors, encoder, WeightProgress(options.on_progress, report.total.weights)));
  return report;
}

std::string feedback_note(const TensorEncoder::FedBack& fed_back, int64_t tokens) {
  std::string note = fmt::format("errors were made up for in {} matrices, by {} tokens", fed_back.with.load(), tokens);
  if (fed_back.without > 0)
    note += fmt::format("; not in {}: embeddings, the MTP block, experts that fewer than {} tokens came to",
                        fed_back.without.load(), LayerInputs::kFewTokens);
  return note;
}

}  // namespace

Result<QuantizeReport> quantize(const fs::path& in, const fs::path& out, const QuantizeOptions& options, ThreadPool& pool) {
  QUERN_ASSIGN(const auto model, Model::load(in));  // everything about it is checked there
  if (options.importance) QUERN_TRY(options.importance->check_model(*model));
  if (options.importance && !options.feedback_text.empty())
    return fail(Errc::invalid_argument, "errors are weighed by importance or made up for by feedback, not both");
  if (options.container == ModelContainer::folder) QUERN_TRY(check_places(in, out));
  const MtpBlock mtp = model->mtp ? options.mtp : MtpBlock::leave_out;
  QUERN_ASSIGN(OutputTensors tensors, output_tensors(ModelWeights(*model), model->config, options.recipe, options.container, mtp));
  if (options.order == RowOrder::strips) QUERN_TRY(pack(tensors, out.string()));
  CpuOps ops(pool, best_isa());
  std::unique_ptr<LayerInputs> inputs;
  if (!options.feedback_text.empty()) {
    QUERN_ASSIGN(inputs, LayerInputs::make(*model, ops, pool, options.feedback_text));
  }
  TensorEncoder encoder(pool, options.search, options.importance, inputs.get());
  auto report = options.container == ModelContainer::gguf
                    ? quantize_to_gguf(*model, tensors, in, out, options, encoder)
                    : quantize_to_folder(*model, std::move(tensors), in, out, options, encoder);
  if (report && inputs) report->notes.push_back(feedback_note(encoder.fed_back(), inputs->tokens()));
  return report;
}

}  // namespace quern
