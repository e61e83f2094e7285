// A certificate for tests of TLS, made by the test that uses it.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/file.h"

namespace quern {

// A key and a certificate for localhost that it signed itself; `path` holds the certificate as PEM, `key_path` the key.
class TestCertificate {
 public:
  TestCertificate() {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to whoever has gone
    ::X509_set_version(certificate_.get(), 2);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate_.get()), 1);
    ::X509_gmtime_adj(::X509_getm_notBefore(certificate_.get()), -60);
    ::X509_gmtime_adj(::X509_getm_notAfter(certificate_.get()), 3600);
    ::X509_set_pubkey(certificate_.get(), key_.get());
    ::X509_NAME* name = ::X509_get_subject_name(certificate_.get());
    const std::string common = "quern test";
    ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common.c_str()), -1, -1, 0);
    ::X509_set_issuer_name(certificate_.get(), name);
    add(NID_basic_constraints, "critical,CA:TRUE");
    add(NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    EXPECT_GT(::X509_sign(certificate_.get(), key_.get(), ::EVP_sha256()), 0);
    const auto folder = std::filesystem::temp_directory_path();
    path = folder / fmt::format("quern-test-{}.pem", ::getpid());
    key_path = folder / fmt::format("quern-test-{}.key", ::getpid());
    EXPECT_TRUE(write_file(path, pem([&](::BIO* bio) { ::PEM_write_bio_X509(bio, certificate_.get()); })));
    EXPECT_TRUE(write_file(
        key_path, pem([&](::BIO* bio) { ::PEM_write_bio_PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr); })));
  }
  ~TestCertificate() {
    std::filesystem::remove(path);
    std::filesystem::remove(key_path);
  }
  TestCertificate(const TestCertificate&) = delete;
  TestCertificate& operator=(const TestCertificate&) = delete;

  ::X509* certificate() const { return certificate_.get(); }
  ::EVP_PKEY* key() const { return key_.get(); }

  std::filesystem::path path, key_path;

 private:
  static std::string pem(const std::function<void(::BIO*)>& write) {
    const std::unique_ptr<::BIO, int (*)(::BIO*)> bio(::BIO_new(::BIO_s_mem()), ::BIO_free);
    write(bio.get());
    std::string text(4096, '\0');
    text.resize(static_cast<size_t>(::BIO_read(bio.get(), text.data(), static_cast<int>(text.size()))));
    return text;
  }
  void add(int nid, const char* value) {
    ::X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    ::X509_add_ext(certificate_.get(), extension, -1);
    ::X509_EXTENSION_free(extension);
  }
  std::unique_ptr<::EVP_PKEY, void (*)(::EVP_PKEY*)> key_{::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), ::EVP_PKEY_free};
  std::unique_ptr<::X509, void (*)(::X509*)> certificate_{::X509_new(), ::X509_free};
};

}  // namespace quern
