// A file's bytes: accepted tensors are views inside it that do not overlap, and their shapes fill them.
#include "formats/safetensors.h"
#include "fuzz.h"

using namespace quern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  Json metadata;
  const auto tensors = SafetensorsFile::parse(file, "fuzz", &metadata);
  if (!fuzz::succeeded(tensors)) return 0;
  const std::byte* at = tensors->empty() ? nullptr : tensors->front().bytes.data();
  for (const StoredTensor& tensor : *tensors) {
    QUERN_CHECK(tensor.bytes.data() == at, tensor.name);
    at += tensor.bytes.size();
    size_t bytes = stored_dtype_size(tensor.dtype);
    for (const int64_t extent : tensor.shape) bytes *= static_cast<size_t>(extent);
    QUERN_CHECK(bytes == tensor.bytes.size(), tensor.name);
  }
  QUERN_CHECK(at == nullptr || at == file.data() + file.size());
  return 0;
}
