#include "base/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/check.h"

namespace quern {

std::string sha256_hex(std::string_view bytes) {
  Digest digest(Digest::Kind::sha256);
  digest.add(bytes);
  return digest.hex();
}

void Digest::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Digest::Digest(Kind kind) : context_(EVP_MD_CTX_new()) {
  QUERN_CHECK(context_ && EVP_DigestInit_ex(context_.get(), kind == Kind::sha1 ? EVP_sha1() : EVP_sha256(), nullptr) == 1,
              "both are part of every OpenSSL");
}

void Digest::add(std::string_view bytes) {
  QUERN_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1, "the digest was taken already");
}

std::string Digest::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  QUERN_CHECK(EVP_DigestFinal_ex(context_.get(), digest, &size) == 1, "the digest was taken already");
  std::string hex;
  for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", static_cast<unsigned>(digest[i]));
  return hex;
}

}  // namespace quern
