// A hub on 127.0.0.1 for tests: one repository, whose files it serves with ranges and ETags, and which a test may make misbehave.
#pragma once

#include <atomic>
#include <charconv>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/http/server_test.h"
#include "base/json.h"
#include "catalogue/repository.h"

namespace quern {

// A value that a test changes while the server's threads read it.
template <class T>
class Guarded {
 public:
  Guarded(T value = {}) : value_(std::move(value)) {}
  Guarded& operator=(T value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
    return *this;
  }
  T get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  mutable std::mutex mutex_;
  T value_;
};

class TestHub {
 public:
  static constexpr std::string_view kCommit = "0123456789abcdef0123456789abcdef01234567";

  struct File {
    std::string content;
    bool large = true;          // has a SHA-256, as large files have; otherwise git's hash
    int64_t claimed_size = -1;  // in the listing; -1: the truth
    std::string claimed_hash;   // empty: the truth
  };
  // What was asked for.
  struct Request {
    std::string path, head;
    std::string header(std::string_view name) const {
      const size_t at = head.find("\r\n" + std::string(name) + ": ");
      if (at == std::string::npos) return "";
      const size_t begin = at + name.size() + 4;
      return head.substr(begin, head.find("\r\n", begin) - begin);
    }
  };

  explicit TestHub(std::map<std::string, File> files)
      : files_(std::move(files)), server_([this](TestPeer& peer) { serve(peer); }) {}

  // Called first for every request of a file; true: it has answered.
  using Instead = std::function<bool(TestPeer&, const Request&, const File&)>;
  Guarded<Instead> instead;
  Guarded<std::string> commit{std::string(kCommit)};
  Guarded<int> listing_status{200};
  Guarded<std::string> listing_headers;

  std::string endpoint() const { return server_.url(""); }
  HubAccess access() const {
    return {.endpoint = endpoint(), .token = {}, .idle_timeout_s = 0.5, .retry_wait_s = 0.01, .retries = 3};
  }
  void set(const std::string& path, File file) {
    const std::lock_guard lock(mutex_);
    files_[path] = std::move(file);
  }
  std::vector<Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::vector<Request> requests_of(std::string_view file) const {
    std::vector<Request> found;
    for (const Request& request : requests())
      if (request.path.ends_with(file)) found.push_back(request);
    return found;
  }

  // The answer of a server that does everything right. At most that many bytes of the body, then the connection breaks.
  static void answer(TestPeer& peer, const Request& request, const File& file, const std::string& etag, size_t most = SIZE_MAX) {
    size_t first = 0, last = file.content.size() - 1;
    const std::string range = request.header("Range");
    const std::string if_range = request.header("If-Range");
    const bool ranged = range.starts_with("bytes=") && (if_range.empty() || if_range == etag);
    if (ranged) {
      std::from_chars(range.data() + 6, range.data() + range.size(), first);
      std::from_chars(range.data() + range.find('-') + 1, range.data() + range.size(), last);
    }
    const std::string body = file.content.substr(first, last - first + 1);
    std::string head = fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\nETag: {}\r\n", ranged ? "206 Partial Content" : "200 OK",
                                   body.size(), etag);
    if (ranged) head += fmt::format("Content-Range: bytes {}-{}/{}\r\n", first, last, file.content.size());
    peer.send(head + "\r\n" + body.substr(0, most));
  }
  static std::string etag_of(const File& file) { return "\"" + sha256_hex(file.content).substr(0, 16) + "\""; }

 private:
  static std::string blob_hash(const std::string& content) {
    Digest digest(Digest::Kind::sha1);
    digest.add(fmt::format("blob {}", content.size()) + std::string(1, '\0') + content);
    return digest.hex();
  }

  std::string listing() const {
    Json json = Json::object();
    json["id"] = "org/model";
    json["sha"] = commit.get();
    json["siblings"] = Json::array();
    for (const auto& [path, file] : files_) {
      Json entry = Json::object();
      entry["rfilename"] = path;
      const int64_t size = file.claimed_size >= 0 ? file.claimed_size : static_cast<int64_t>(file.content.size());
      entry["size"] = size;
      entry["blobId"] = file.large || file.claimed_hash.empty() ? blob_hash(file.content) : file.claimed_hash;
      if (file.large) {
        Json lfs = Json::object();
        lfs["sha256"] = file.claimed_hash.empty() ? sha256_hex(file.content) : file.claimed_hash;
        lfs["size"] = size;
        entry["lfs"] = std::move(lfs);
      }
      json["siblings"].push_back(std::move(entry));
    }
    return json.dump();
  }

  void serve(TestPeer& peer) {
    const std::string head = peer.read_request();
    const size_t begin = head.find(' ') + 1;
    Request request{head.substr(begin, head.find(' ', begin) - begin), head};
    File file;
    std::string list;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      if (request.path.starts_with("/api/models/org/model/revision/")) list = listing();
      const std::string prefix = fmt::format("/org/model/resolve/{}/", commit.get());
      if (request.path.starts_with(prefix))
        if (const auto found = files_.find(request.path.substr(prefix.size())); found != files_.end()) file = found->second;
    }
    if (!list.empty()) {
      peer.answer(fmt::format("{} Status", listing_status.get()), listing_headers.get(), list);
    } else if (file.content.empty() && file.claimed_size < 0) {
      peer.answer("404 Not Found", "X-Error-Code: EntryNotFound\r\n", "");
    } else if (const Instead other = instead.get(); !other || !other(peer, request, file)) {
      answer(peer, request, file, etag_of(file));
    }
  }

  mutable std::mutex mutex_;
  std::map<std::string, File> files_;
  std::vector<Request> requests_;
  TestServer server_;  // last: it uses the others
};

}  // namespace quern
