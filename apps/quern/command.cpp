#include "command.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

#include "models.h"
#include "text/model_text.h"

namespace quern {
namespace {

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& description) {
  return app.add_subcommand(name, description);
}

void CommonOptions::add_to(CLI::App& app, const std::string& default_kv) {
  app.add_option("--model,-m", model,
                 "Model folder, .gguf file, or a name that quern list shows; absent: the embedded model, pebble")
      ->group("Model");
  add_engine_to(app, default_kv);
}

void CommonOptions::add_engine_to(CLI::App& app, const std::string& default_kv) {
  kv = default_kv;
  app.add_option(
         "-t,--threads", threads,
         "Threads; absent: one for each physical core that this process may use (hyper-threads gain nothing), within its container's share")
      ->check(CLI::Range(1, 1024))
      ->group("Model");
  app.add_option("--ops", ops, "Back end: reference (the scalar definitions) or cpu")
      ->check(CLI::IsMember({"reference", "cpu"}))
      ->capture_default_str()
      ->group("Model");
  app.add_option("--isa", isa, "Instruction set: scalar, avx2, avx512 or amx; absent: the best of this machine")
      ->check(CLI::IsMember({"scalar", "avx2", "avx512", "amx"}))
      ->group("Model");
  app.add_option("--kv", kv, "Precision of the key-value cache")
      ->check(CLI::IsMember({"f32", "bf16", "int8"}))
      ->capture_default_str()
      ->group("Model");
  app.add_option("--context", context, "Tokens a sequence may hold; absent: what the model was made for")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->group("Model");
  app.add_option("--yarn", yarn, "YaRN factor: stretches the context that many times")
      ->check(CLI::Range(1.0, 10000.0))
      ->group("Model");
  app.add_option("--template", chat_template, "Chat format: instruct, thinking or coder; absent: what the model's template says")
      ->check(CLI::IsMember({"instruct", "thinking", "coder"}))
      ->group("Model");
}

KvFormat kv_named(std::string_view name) {
  return name == "f32" ? KvFormat::f32 : name == "int8" ? KvFormat::int8 : KvFormat::bf16;
}

std::string_view kv_name(KvFormat format) { return format == KvFormat::f32 ? "f32" : format == KvFormat::int8 ? "int8" : "bf16"; }

Result<EngineOptions> CommonOptions::engine() const {
  QUERN_ASSIGN(const auto path, find_model(model));
  return engine_for(path);
}

Result<EngineOptions> CommonOptions::engine_for(const std::filesystem::path& path) const {
  EngineOptions options;
  options.model = path;
  options.threads = threads;
  options.ops = ops == "reference" ? OpsKind::reference : OpsKind::cpu;
  for (const Isa known : {Isa::scalar, Isa::avx2, Isa::avx512, Isa::amx})
    if (isa == isa_name(known)) options.isa = known;
  options.kv = kv_named(kv);
  if (context > 0) options.context = context;
  if (yarn > 0) options.yarn = yarn;
  if (!chat_template.empty()) {
    QUERN_ASSIGN(options.chat_format, parse_chat_format(chat_template));
  }
  options.on_warning = [](const std::string& warning) { fmt::print(stderr, "quern: warning: {}\n", warning); };
  return options;
}

Result<std::filesystem::path> find_model(const std::string& named) { return named.empty() ? embedded_model() : named_model(named); }

Result<Tokenizer> find_tokenizer(const std::string& named, const std::string& model) {
  if (!named.empty()) return load_tokenizer(named);
  QUERN_ASSIGN(const auto path, find_model(model));
  return load_tokenizer(path);
}

Result<std::vector<int32_t>> parse_ids(std::string_view text, std::string_view where) {
  std::vector<int32_t> ids;
  const auto separator = [](char c) { return c == ',' || c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
  size_t at = 0;
  for (;;) {
    while (at < text.size() && separator(text[at])) ++at;
    if (at == text.size()) return ids;
    int32_t id = 0;
    const auto [end, status] = std::from_chars(text.data() + at, text.data() + text.size(), id);
    const auto stop = static_cast<size_t>(end - text.data());
    if (status != std::errc() || id < 0 || (stop < text.size() && !separator(text[stop])))
      return fail(Errc::malformed, "{}: byte {}: expected token ids separated by commas or white space", where, at);
    ids.push_back(id);
    at = stop;
  }
}

Result<void> print_out(std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(STDOUT_FILENO, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(Errc::io, "cannot write to standard output: {}", std::strerror(errno));
    text.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

Progress::Progress(std::string label) : label_(std::move(label)), terminal_(::isatty(STDERR_FILENO) == 1), start_(now_s()) {}
Progress::~Progress() {
  if (terminal_ && shown_ > 0) fmt::print(stderr, "\r\x1b[K");
}
void Progress::update(double done, double total) {
  const double now = now_s();
  if (!terminal_ || now - start_ < 1 || now - shown_ < 0.1 || total <= 0) return;  // nothing under a second
  shown_ = now;
  const double left = done > 0 ? (now - start_) / done * (total - done) : 0;
  fmt::print(stderr, "\r\x1b[K{}  {:.0f} %  {:.0f} s left", label_, 100 * done / total, left);
}

}  // namespace quern
