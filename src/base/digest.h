// SHA-256 and SHA-1, for naming content: prompts in a journal, downloads. SHA-1 only where somebody else named it so (git's blobs).
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace quern {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view bytes);

// The same of bytes that come in parts.
class Digest {
 public:
  enum class Kind { sha1, sha256 };
  explicit Digest(Kind kind);

  void add(std::string_view bytes);
  std::string hex();  // of all that was added; nothing may be added any more

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace quern
