// A GGUF file's bytes: accepted tensors are views inside it that do not overlap, and their shapes fill them; a config and a tokenizer that
// come of its metadata can be used.
#include <algorithm>

#include "formats/gguf.h"
#include "formats/gguf_config.h"
#include "fuzz.h"
#include "text/gguf_tokenizer.h"

using namespace quern;

namespace {

void check_tensors(const GgufContents& contents, std::span<const std::byte> file) {
  std::vector<std::span<const std::byte>> views;
  for (const StoredTensor& tensor : contents.tensors) {
    const QuantFormat format = gguf_dtype_format(tensor.dtype).value();
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < tensor.shape.size(); ++i) rows *= tensor.shape[i];
    QUERN_CHECK(quant_layout(format, rows, tensor.shape.back()).value().code_bytes == std::ssize(tensor.bytes), tensor.name);
    QUERN_CHECK(tensor.bytes.data() >= file.data() && tensor.bytes.data() + tensor.bytes.size() <= file.data() + file.size());
    views.push_back(tensor.bytes);
  }
  std::sort(views.begin(), views.end(), [](const auto& a, const auto& b) { return a.data() < b.data(); });
  for (size_t i = 1; i < views.size(); ++i) QUERN_CHECK(views[i - 1].data() + views[i - 1].size() <= views[i].data(), i);
}

void check_metadata(const GgufMetadata& metadata) {
  GgufKeyValues copy;
  for (const auto& [key, value] : metadata.entries()) {
    QUERN_CHECK(metadata.find(key) != nullptr, key);
    fuzz::succeeded(metadata.i64(key));
    fuzz::succeeded(metadata.f64(key));
    fuzz::succeeded(metadata.integers(key));
    fuzz::succeeded(metadata.reals(key));
    fuzz::succeeded(metadata.strings(key));
    copy.value(key, value);
  }
  QUERN_CHECK(copy.view("copy").value().entries().size() == metadata.entries().size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const auto contents = parse_gguf(file, "fuzz");
  if (!fuzz::succeeded(contents)) return 0;
  check_tensors(*contents, file);
  check_metadata(contents->metadata);
  fuzz::succeeded(gguf_generation_config(contents->metadata));
  if (const auto config = gguf_model_config(contents->metadata, contents->tensors); fuzz::succeeded(config)) {
    QUERN_CHECK(config->layers.size() == config->mlps.size() && !config->layers.empty());
    GgufKeyValues written;
    fuzz::succeeded(add_gguf_config(*config, written));
  }
  const auto tokenizer = gguf_tokenizer(contents->metadata);
  if (!fuzz::succeeded(tokenizer) || !tokenizer->has_value()) return 0;
  const auto ids = (*tokenizer)->encode("ab <x> 12", true).value();
  for (const int32_t id : ids) QUERN_CHECK(id >= 0 && id < (*tokenizer)->vocab_size(), id);
  return 0;
}
