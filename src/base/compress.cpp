#include "base/compress.h"

#include <zstd.h>

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "base/system_error.h"

namespace quern {

std::string compress(std::span<const std::byte> bytes, int level) {
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  if (!context) throw SystemError("compressing: out of memory");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ZSTD_compress2(context.get(), frame.data(), frame.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size)) throw SystemError(fmt::format("compressing: {}", ZSTD_getErrorName(size)));
  frame.resize(size);
  return frame;
}

Result<void> decompress(std::span<const std::byte> frame, std::span<std::byte> out) {
  if (ZSTD_getFrameContentSize(frame.data(), frame.size()) != out.size() ||
      ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size())
    return fail(Errc::malformed, "not a compressed piece of {} bytes", out.size());
  const size_t size = ZSTD_decompress(out.data(), out.size(), frame.data(), frame.size());
  if (ZSTD_isError(size)) return fail(Errc::malformed, "a compressed piece is damaged: {}", ZSTD_getErrorName(size));
  if (size != out.size()) return fail(Errc::malformed, "a compressed piece has {} bytes, expected {}", size, out.size());
  return {};
}

void split_planes(std::span<const std::byte> in, size_t width, std::span<std::byte> out) {
  QUERN_CHECK(in.size() == out.size() && width > 0, in.size(), out.size(), width);
  const size_t count = in.size() / width;
  for (size_t plane = 0; plane < width; ++plane)
    for (size_t i = 0; i < count; ++i) out[plane * count + i] = in[i * width + plane];
  std::copy(in.begin() + static_cast<std::ptrdiff_t>(count * width), in.end(),
            out.begin() + static_cast<std::ptrdiff_t>(count * width));
}

void join_planes(std::span<const std::byte> in, size_t width, std::span<std::byte> out) {
  QUERN_CHECK(in.size() == out.size() && width > 0, in.size(), out.size(), width);
  const size_t count = in.size() / width;
  for (size_t plane = 0; plane < width; ++plane)
    for (size_t i = 0; i < count; ++i) out[i * width + plane] = in[plane * count + i];
  std::copy(in.begin() + static_cast<std::ptrdiff_t>(count * width), in.end(),
            out.begin() + static_cast<std::ptrdiff_t>(count * width));
}

}  // namespace quern
