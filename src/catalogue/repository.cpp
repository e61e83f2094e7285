#include "catalogue/repository.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <set>
#include <thread>

#include "base/json.h"
#include "base/utf8.h"

namespace quern {
namespace {

constexpr size_t kMaxFiles = 100'000;
constexpr size_t kMaxListing = 64 << 20;
constexpr uint64_t kMaxFileSize = uint64_t{1} << 44;  // 16 TiB

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Of one of the two names of a repository, or a revision's words.
bool is_plain(std::string_view text, std::string_view also) {
  return !text.empty() && text.size() <= 100 && text[0] != '.' && text[0] != '-' &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  also.find(c) != std::string_view::npos;
         });
}

std::string percent_encoded(std::string_view text, std::string_view kept) {
  std::string out;
  for (const char c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kept.find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return out;
}

// A relative path whose every part is a file's name.
bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 1000 || find_invalid_utf8(path) != std::string_view::npos) return false;
  for (const char c : path)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\') return false;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

Result<RepositoryFile> read_file_entry(const Json& entry, std::string_view where) {
  const auto text = [](const Json* json) { return json && json->is_string() ? json->as_string() : std::string(); };
  RepositoryFile file;
  file.path = text(entry.find("rfilename"));
  if (!is_safe_path(file.path))
    return fail(Errc::malformed, "{}: a file named \"{}\"", where, replace_invalid_utf8(file.path.substr(0, 200)));
  const Json* lfs = entry.find("lfs");
  const Json* size = lfs && lfs->is_object() && lfs->find("size") ? lfs->find("size") : entry.find("size");
  const auto bytes = size && size->is_number() ? size->to_int64() : Result<int64_t>(fail(Errc::malformed, "not said"));
  if (!bytes || *bytes < 0 || static_cast<uint64_t>(*bytes) > kMaxFileSize)
    return fail(Errc::malformed, "{}: {}: no size, or an impossible one", where, file.path);
  file.size = static_cast<uint64_t>(*bytes);
  if (lfs && lfs->is_object()) {
    file.sha256 = text(lfs->find("sha256"));
    if (!is_hex(file.sha256, 64)) return fail(Errc::malformed, "{}: {}: its SHA-256 is none", where, file.path);
  } else if (const std::string blob = text(entry.find("blobId")); !blob.empty()) {
    if (!is_hex(blob, 40)) return fail(Errc::malformed, "{}: {}: its blob's name is no SHA-1", where, file.path);
    file.git_sha1 = blob;
  }
  return file;
}

}  // namespace

Result<void> HubAccess::check() const {
  const auto url = parse_url(endpoint);
  if (!url) return fail(Errc::invalid_argument, "the hub's address: {}", url.error().message);
  const bool local = url->host == "localhost" || url->host == "127.0.0.1" || url->host == "::1";
  if (!token.empty() && !url->is_https() && !local)
    return fail(Errc::denied, "{}: a token is not sent without encryption; use https, or unset HF_TOKEN", endpoint);
  return {};
}

Result<ModelReference> ModelReference::parse(std::string_view text) {
  const size_t colon = text.find(':');
  ModelReference reference{std::string(text.substr(0, colon)),
                           colon == std::string_view::npos ? "" : std::string(text.substr(colon + 1))};
  const size_t slash = reference.repository.find('/');
  const std::string_view whole = reference.repository;
  if (slash == std::string::npos || !is_plain(whole.substr(0, slash), "-_.") || !is_plain(whole.substr(slash + 1), "-_."))
    return fail(Errc::invalid_argument, "{}: expected ORG/NAME or ORG/NAME:FILE", text.substr(0, 200));
  if (colon != std::string_view::npos && !is_safe_path(reference.file))
    return fail(Errc::invalid_argument, "{}: what stands after the colon is no file's name", text.substr(0, 200));
  return reference;
}

std::string RepositoryFile::identity() const {
  if (!sha256.empty()) return "sha256:" + sha256;
  return git_sha1.empty() ? fmt::format("size:{}", size) : "git:" + git_sha1;
}

Result<Repository> parse_repository(std::string_view body, const std::string& id, const std::string& revision) {
  QUERN_ASSIGN(const Json json, Json::parse(body, id));
  Repository repository{.id = id, .revision = revision, .commit = {}, .files = {}};
  const Json* commit = json.find("sha");
  if (!commit || !commit->is_string() || !is_hex(commit->as_string(), 40))
    return fail(Errc::malformed, "{}: the hub names no commit", id);
  repository.commit = commit->as_string();
  const Json* files = json.find("siblings");
  if (!files || !files->is_array()) return fail(Errc::malformed, "{}: the hub lists no files", id);
  if (files->size() > kMaxFiles)
    return fail(Errc::out_of_range, "{}: {} files, at most {} are taken", id, files->size(), kMaxFiles);
  std::set<std::string> seen;
  for (const Json& entry : files->as_array()) {
    QUERN_ASSIGN(RepositoryFile file, read_file_entry(entry, id));
    if (!seen.insert(file.path).second) return fail(Errc::malformed, "{}: {} is listed twice", id, file.path);
    repository.files.push_back(std::move(file));
  }
  return repository;
}

HttpRequest hub_request(const HubAccess& access, std::string_view path) {
  HttpRequest request;
  request.url = access.endpoint + std::string(path);
  request.headers = {{"User-Agent", access.user_agent}};
  if (!access.token.empty()) request.headers.add("Authorization", "Bearer " + access.token);
  request.timeout_s = 0;
  request.idle_timeout_s = access.idle_timeout_s;
  return request;
}

std::string file_path(const Repository& repository, const RepositoryFile& file) {
  return fmt::format("/{}/resolve/{}/{}", repository.id, repository.commit, percent_encoded(file.path, "-_.~/"));
}

Error status_error(const HttpResponse& response, std::string_view what, bool with_token) {
  const std::string* code = response.headers.find("x-error-code");
  const auto error = [&](Errc errc, std::string_view text) {
    return Error{errc, printable_line(fmt::format("{}: {}", what, text))};
  };
  const std::string_view token_hint = with_token ? "the token that was sent does not allow it" : "a token may help (HF_TOKEN)";
  if (code && *code == "GatedRepo")
    return error(Errc::denied,
                 fmt::format("its owners ask readers to agree to something first, on its page at the hub; {}", token_hint));
  if (code && *code == "RevisionNotFound") return error(Errc::not_found, "there is no such revision");
  switch (response.status) {
    case 401:
      return error(Errc::denied, fmt::format("does not exist, or is private or gated; {}", token_hint));
    case 403:
      return error(Errc::denied, fmt::format("reading it is not allowed (private or gated); {}", token_hint));
    case 404:
      return error(Errc::not_found, "there is no such repository, revision or file (or it is private)");
    case 416:
      return error(Errc::mismatch, "the server does not have the part of it that is missing here");
    case 429:
      return error(Errc::busy, "the hub asks for patience (too many requests)");
    default:
      return error(Errc::io, fmt::format("the server answers with status {}", response.status));
  }
}

bool is_temporary(int status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

double retry_after_s(const HttpResponse& response) {
  const std::string* field = response.headers.find("retry-after");
  int seconds = 0;
  if (!field || std::from_chars(field->data(), field->data() + field->size(), seconds).ec != std::errc()) return 0;
  return std::clamp(seconds, 0, 120);
}

bool wait_for(double seconds, const std::function<bool()>& cancelled) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    if (cancelled && cancelled()) return false;
    std::this_thread::sleep_for(
        std::min<std::chrono::duration<double>>(std::chrono::duration<double>(0.05), end - std::chrono::steady_clock::now()));
  }
  return !cancelled || !cancelled();
}

Result<Repository> fetch_repository(const HubAccess& access, const std::string& repository, const std::string& revision,
                                    const std::function<bool()>& cancelled) {
  QUERN_TRY(access.check());
  if (!is_plain(revision, "-_./")) return fail(Errc::invalid_argument, "{}: is no name of a revision", revision.substr(0, 200));
  HttpRequest request =
      hub_request(access, fmt::format("/api/models/{}/revision/{}?blobs=true", repository, percent_encoded(revision, "-_.~")));
  request.max_body = kMaxListing;
  request.timeout_s = 120;
  request.cancelled = cancelled;
  request.headers.add("Accept", "application/json");
  for (int failures = 0;; ++failures) {
    const auto response = http_send(request);
    if (response && response->status == 200) return parse_repository(response->body, repository, revision);
    const bool again =
        response ? is_temporary(response->status) : response.error().code == Errc::io || response.error().code == Errc::malformed;
    if (!again || failures == access.retries || (cancelled && cancelled()))
      return tl::unexpected(response ? status_error(*response, repository, !access.token.empty()) : response.error());
    const double wait = std::max(access.retry_wait_s * (1 << std::min(failures, 5)), response ? retry_after_s(*response) : 0);
    if (!wait_for(wait, cancelled)) return fail(Errc::io, "{}: interrupted", repository);
  }
}

}  // namespace quern
