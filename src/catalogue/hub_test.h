// A hub on 127.0.0.1 for tests, which speaks as the real one does (read off the source of its own client library, huggingface_hub): one
// repository, listed in pages; small files by a redirect within the hub, large ones by a redirect to a signed URL on another host, which
// refuses whoever shows it a token. A test may make it misbehave.
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
      : files_(std::move(files)),
        server_([this](TestPeer& peer) { serve(peer); }),
        storage_([this](TestPeer& peer) { serve_large(peer); }) {}

  // Called first for every request of a file's content, wherever that is asked for; true: it has answered. Its path is the hub's.
  using Instead = std::function<bool(TestPeer&, const Request&, const File&)>;
  Guarded<Instead> instead;
  Guarded<std::string> commit{std::string(kCommit)};
  Guarded<int> listing_status{200};
  Guarded<std::string> listing_headers;
  Guarded<size_t> page_files{1000};  // entries in a page of the list
  Guarded<std::string> link_host;    // which the next page's address names; empty: the hub itself

  std::string endpoint() const { return server_.url(""); }
  HubAccess access() const {
    return {.endpoint = endpoint(), .token = {}, .idle_timeout_s = 0.5, .retry_wait_s = 0.01, .retries = 3};
  }
  void set(const std::string& path, File file) {
    const std::lock_guard lock(mutex_);
    files_[path] = std::move(file);
  }
  // Of the hub; and of the host that it redirects to.
  std::vector<Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::vector<Request> storage_requests() const {
    const std::lock_guard lock(mutex_);
    return storage_requests_;
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

  static std::string blob_hash(const std::string& content) {
    Digest digest(Digest::Kind::sha1);
    digest.add(fmt::format("blob {}", content.size()) + std::string(1, '\0') + content);
    return digest.hex();
  }

 private:
  static constexpr std::string_view kApi = "/api/models/org/model/", kCache = "/api/resolve-cache/models/org/model/";

  // {"type", "oid", "size", "path"}, and of a large file "lfs" with the SHA-256, while its own oid is the pointer's.
  static Json entry_of(const std::string& path, const File& file) {
    const int64_t size = file.claimed_size >= 0 ? file.claimed_size : static_cast<int64_t>(file.content.size());
    Json entry = Json::object();
    entry["type"] = "file";
    entry["oid"] = file.large || file.claimed_hash.empty() ? blob_hash(file.content) : file.claimed_hash;
    entry["size"] = size;
    if (file.large) {
      Json lfs = Json::object();
      lfs["oid"] = file.claimed_hash.empty() ? sha256_hex(file.content) : file.claimed_hash;
      lfs["size"] = size;
      lfs["pointerSize"] = 134;
      entry["lfs"] = std::move(lfs);
      entry["xetHash"] = std::string(64, 'e');
    }
    entry["path"] = path;
    return entry;
  }

  // A page of the tree and the header that names the next one. The cursor is the number of the first entry.
  std::pair<std::string, std::string> page(const std::string& target) const {
    std::vector<Json> all;
    Json folder = Json::object();
    folder["type"] = "directory";
    folder["oid"] = std::string(40, 'd');
    folder["size"] = 0;
    folder["path"] = "original";
    all.push_back(std::move(folder));
    for (const auto& [path, file] : files_) all.push_back(entry_of(path, file));
    size_t first = 0;
    if (const size_t at = target.find("&cursor="); at != std::string::npos)
      std::from_chars(target.data() + at + 8, target.data() + target.size(), first);
    const size_t end = std::min(all.size(), first + page_files.get());
    Json listed = Json::array();
    for (size_t i = first; i < end; ++i) listed.push_back(std::move(all[i]));
    std::string link;
    if (end < all.size())
      link =
          fmt::format("Link: <{}{}&cursor={}&limit={}>; rel=\"next\"\r\n", link_host.get().empty() ? endpoint() : link_host.get(),
                      target.substr(0, target.find("&cursor=")), end, page_files.get());
    return {listed.dump(), link};
  }

  void serve_api(TestPeer& peer, const std::string& target) const {
    const std::string refused = fmt::format("{} Status", listing_status.get());
    if (listing_status.get() != 200) return void(peer.answer(refused, listing_headers.get(), "{\"error\":\"no\"}"));
    const std::string revision = fmt::format("{}revision/", kApi),
                      tree = fmt::format("{}tree/{}?recursive=true&expand=false", kApi, commit.get());
    if (target == revision + "main" || target == revision + commit.get()) {
      Json json = Json::object();
      json["id"] = "org/model";
      json["sha"] = commit.get();
      json["siblings"] = Json::array();
      peer.answer("200 OK", "Content-Type: application/json\r\n", json.dump());
    } else if (target.starts_with(revision)) {
      peer.answer("404 Not Found", "X-Error-Code: RevisionNotFound\r\nX-Error-Message: Invalid rev id\r\n", "");
    } else if (target.starts_with(tree)) {
      const auto [body, link] = page(target);
      peer.answer("200 OK", "Content-Type: application/json\r\n" + link, body);
    } else {
      peer.answer("401 Unauthorized", "X-Error-Code: RepoNotFound\r\nX-Error-Message: Invalid username or password.\r\n", "");
    }
  }

  // A file's content by its name at the hub; nothing: there is none.
  File find(std::string_view path) const {
    const auto found = files_.find(std::string(path));
    return found != files_.end() ? found->second : File();
  }

  void serve(TestPeer& peer) {
    const std::string head = peer.read_request();
    const size_t begin = head.find(' ') + 1;
    Request request{head.substr(begin, head.find(' ', begin) - begin), head};
    std::unique_lock lock(mutex_);
    requests_.push_back(request);
    const std::string resolve = fmt::format("/org/model/resolve/{}/", commit.get()),
                      cache = fmt::format("{}{}/", kCache, commit.get());
    std::string& path = request.path;
    if (const size_t at = path.find("/org/renamed/"); at != std::string::npos) {
      peer.answer("307 Temporary Redirect", fmt::format("Location: {}/org/model/{}\r\n", path.substr(0, at), path.substr(at + 13)),
                  "");
    } else if (path.starts_with(cache)) {
      path = resolve + path.substr(cache.size(), path.find('?') - cache.size());
      const File file = find(path.substr(resolve.size()));
      lock.unlock();  // a test may take its time
      content(peer, request, file, "\"" + blob_hash(file.content) + "\"");
    } else if (path.starts_with("/api/")) {
      serve_api(peer, path);
    } else if (const File file = path.starts_with(resolve) ? find(path.substr(resolve.size())) : File();
               !file.content.empty() || file.claimed_size >= 0) {
      redirect(peer, path.substr(resolve.size()), file);
    } else {
      peer.answer("404 Not Found", "X-Error-Code: EntryNotFound\r\nX-Error-Message: Entry not found\r\n", "");
    }
  }

  void redirect(TestPeer& peer, const std::string& path, const File& file) const {
    const std::string hash = file.large ? sha256_hex(file.content) : blob_hash(file.content);
    std::string headers =
        fmt::format("X-Repo-Commit: {}\r\nX-Linked-Size: {}\r\nX-Linked-ETag: \"{}\"\r\n", commit.get(), file.content.size(), hash);
    if (!file.large)
      return void(peer.answer("307 Temporary Redirect",
                              headers + fmt::format("Location: {}{}/{}?etag=%22{}%22\r\n", kCache, commit.get(), path, hash), ""));
    headers += fmt::format("X-Xet-Hash: {}\r\nLink: <{}/api/models/org/model/xet-read-token/{}>; rel=\"xet-auth\"\r\n",
                           std::string(64, 'e'), endpoint(), commit.get());
    peer.answer("302 Found",
                headers + fmt::format("Location: {}/xet-bridge/{}?X-Amz-Signature=0123&path={}\r\n", storage_.url(""), hash, path),
                "");
  }

  void serve_large(TestPeer& peer) {
    const std::string head = peer.read_request();
    const size_t begin = head.find(' ') + 1;
    Request request{head.substr(begin, head.find(' ', begin) - begin), head};
    const std::string path = request.path.substr(request.path.find("path=") + 5);
    request.path = fmt::format("/org/model/resolve/{}/{}", commit.get(), path);
    File file;
    {
      const std::lock_guard lock(mutex_);
      storage_requests_.push_back(request);
      file = find(path);
    }
    if (!request.header("Authorization").empty())
      return void(peer.answer("400 Bad Request", "", "Only one auth mechanism allowed"));  // as S3 has it
    content(peer, request, file, etag_of(file));
  }

  void content(TestPeer& peer, const Request& request, const File& file, const std::string& etag) const {
    if (const Instead other = instead.get(); !other || !other(peer, request, file)) answer(peer, request, file, etag);
  }

  mutable std::mutex mutex_;
  std::map<std::string, File> files_;
  std::vector<Request> requests_, storage_requests_;
  TestServer server_, storage_;  // last: they use the others
};

}  // namespace quern
