#include "convert/output_folder.h"

#include <algorithm>

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr int kVersion = 1;  // of the bytes that a request leads to: higher whenever they change, so that attempts are not mixed

Result<void> write_tensors(const OutputFile& file, const fs::path& path, OutputLayout layout, TensorEncoder& encoder,
                           TensorEncoder::Written written) {
  std::vector<SafetensorsWriter::Entry> entries;
  for (const OutputTensor& tensor : file.tensors)
    for (SafetensorsWriter::Entry& entry : tensor.entries()) entries.push_back(std::move(entry));
  Json metadata = Json::object();
  const bool packed = std::any_of(file.tensors.begin(), file.tensors.end(),
                                  [](const OutputTensor& tensor) { return tensor.order == RowOrder::strips; });
  metadata["format"] = packed ? "quern" : layout == OutputLayout::mlx ? "mlx" : "pt";
  QUERN_ASSIGN(SafetensorsWriter writer, SafetensorsWriter::create(path, entries, metadata));
  for (const OutputTensor& tensor : file.tensors)
    QUERN_TRY(encoder.encode(tensor, [&](std::span<const std::byte> bytes) { return writer.write(bytes); }, written));
  return writer.commit();
}

// All files that are not finished yet.
Result<void> write_files(const OutputPlan& plan, PartialFolder& folder, const OnProgress& on_progress, TensorEncoder& encoder) {
  int64_t weights = 0, bytes = 0;
  for (const OutputFile& file : plan.files)
    if (!folder.has(file.name)) weights += file.weights(), bytes += file.bytes();
  QUERN_TRY(check_room(folder.path(), bytes));
  WeightProgress written(on_progress, weights);
  for (const OutputFile& file : plan.files) {
    if (folder.has(file.name)) continue;
    QUERN_TRY(write_tensors(file, folder.path() / file.name, plan.layout, encoder, written));
    QUERN_TRY(folder.finish(file.name));
  }
  return {};
}

}  // namespace

Result<void> check_room(const fs::path& folder, int64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= static_cast<uint64_t>(bytes)) return {};
  return fail(Errc::io, "{}: {:.1f} GB are needed, {:.1f} GB are free", folder.string(), static_cast<double>(bytes) / 1e9,
              static_cast<double>(space.available) / 1e9);
}

Result<size_t> write_folder(const fs::path& out, const OutputPlan& plan, FolderOptions options, TensorEncoder& encoder) {
  options.request["version"] = kVersion;
  QUERN_ASSIGN(PartialFolder folder, PartialFolder::open(out, options.request, options.replace));
  size_t resumed = 0;
  for (const OutputFile& file : plan.files) resumed += folder.has(file.name);
  QUERN_TRY(write_files(plan, folder, options.on_progress, encoder));
  if (options.write_others) QUERN_TRY(options.write_others(folder.path()));
  QUERN_TRY(write_file(folder.path() / "model.safetensors.index.json", plan.index.dump_indented() + "\n"));
  QUERN_TRY(write_file(folder.path() / "config.json", plan.config.dump_indented() + "\n"));
  QUERN_TRY(folder.publish());
  return resumed;
}

}  // namespace quern
