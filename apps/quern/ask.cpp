// quern ask: answers a question from documents, with quotes that are checked against them.
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <optional>

#include "agent/documents/ask.h"
#include "agent/documents/pdf_text.h"
#include "agent/sandbox/process.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/utf8.h"
#include "command.h"
#include "trial.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

volatile std::sig_atomic_t interrupted = 0;

constexpr size_t kMaxQuestion = size_t{1} << 20;

struct Options {
  CommonOptions common;
  std::string question, question_file, quotes = "constrained", index;
  std::vector<std::string> docs;
  int64_t chunks = 0, max_tokens = 0, max_file = 16;
  int32_t max_quotes = 8, max_quote = 800;
  double temperature = 0;
  uint64_t seed = 1;
  bool all = false, strict = false, show_context = false, no_index = false, json = false;
};

Result<std::string> find_question(const Options& o) {
  std::string question = o.question;
  if (!o.question_file.empty()) {
    QUERN_ASSIGN(question, read_file(o.question_file, kMaxQuestion));
  }
  if (find_invalid_utf8(question) != std::string::npos) return fail(Errc::malformed, "the question is not UTF-8");
  const size_t begin = question.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return fail(Errc::invalid_argument, "the question is empty");
  return question.substr(begin, question.find_last_not_of(" \t\r\n") + 1 - begin);
}

// A file of its own for these documents, under the user's cache folder; empty where there is none to be had.
fs::path default_index(const Options& o) {
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  fs::path folder;
  if (cache && *cache == '/')
    folder = cache;
  else if (home && *home == '/')
    folder = fs::path(home) / ".cache";
  else
    return {};
  folder = folder / "quern" / "ask";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || ::access(folder.c_str(), W_OK) != 0) return {};
  ::chmod(folder.c_str(), 0700);  // it holds the words of private files
  std::string which = o.all ? "all\n" : "";
  for (const std::string& docs : o.docs) which += fs::weakly_canonical(docs, error).string() + "\n";
  return folder / (sha256_hex(which).substr(0, 32) + ".sqlite");
}

AskOptions ask_options(const Options& o, std::string question, const AnswerModel& model) {
  AskOptions options{.reading = {}, .verbatim = o.quotes == "constrained", .max_quotes = o.max_quotes, .max_quote = o.max_quote};
  options.reading.question = std::move(question);
  // Reasoning comes before the answer, and out of the same budget.
  const int64_t usual = model.format() == ChatFormat::thinking ? 8192 : 1536;
  options.reading.max_tokens = o.max_tokens > 0 ? o.max_tokens : std::min(usual, model.context() / 4);
  options.reading.chunks = static_cast<size_t>(o.chunks);
  if (!o.no_index) options.reading.index = o.index.empty() ? default_index(o) : fs::path(o.index);
  return options;
}

// What is seen while it works: bars on stderr, the answer on stdout as it comes.
class View {
 public:
  explicit View(bool json)
      : json_(json), terminal_(::isatty(STDERR_FILENO) == 1), color_(::isatty(STDOUT_FILENO) == 1 && !std::getenv("NO_COLOR")) {}

  bool stage(std::string_view name, double done, double total) {
    if (stage_ != name) {
      bar_.reset();
      bar_.emplace(std::string(name));
      stage_ = name;
    }
    bar_->update(done, total);
    return interrupted == 0;
  }
  void read(const Reading& reading) {
    clear();
    if (json_) return;
    for (const std::string& note : reading.notes) fmt::print(stderr, "quern: note: {}\n", terminal_text(printable_line(note)));
    if (reading.index.rebuilt) fmt::print(stderr, "quern: note: the index was of no use and has been made anew\n");
  }
  void quote(size_t number) {
    if (terminal_ && !json_) fmt::print(stderr, "\r\x1b[Klooking up quote {}", number);
    status_ = terminal_ && !json_;
  }
  bool answer(std::string_view text) {
    clear();
    if (json_) return interrupted == 0;
    const std::string shown = terminal_text(text);
    ends_line_ = shown.empty() ? ends_line_ : shown.ends_with('\n');
    wrote_ = wrote_ && print_out(shown).has_value();
    return wrote_ && interrupted == 0;
  }
  void clear() {
    bar_.reset();
    stage_.clear();
    if (status_) fmt::print(stderr, "\r\x1b[K");
    status_ = false;
  }
  bool wrote() const { return wrote_; }
  bool color() const { return color_; }
  bool ends_line() const { return ends_line_; }

 private:
  bool json_, terminal_, color_, wrote_ = true, status_ = false, ends_line_ = true;
  std::string stage_;
  std::optional<Progress> bar_;
};

std::string context_text(const Reading& reading) {
  std::string out;
  for (const Message& message : reading.conversation.messages)
    out += fmt::format("--- {}\n{}\n", role_name(message.role), message.content);
  return out;
}

Result<Library> open_library(const Options& o) {
  std::vector<fs::path> named(o.docs.begin(), o.docs.end());
  if (named.empty()) named.emplace_back(".");
  LibraryOptions options{.all = o.all, .max_file = static_cast<size_t>(o.max_file) << 20, .pdf_text = {}};
  const char* temporary = std::getenv("TMPDIR");
  const PdfOptions pdf{.temporary = temporary && *temporary ? temporary : "/tmp",
                       .environment = harmless_environment(environ),
                       .cancelled = [] { return interrupted != 0; }};
  options.pdf_text = [pdf](const std::string& bytes) { return pdf_text(bytes, pdf); };
  return Library::open(named, options);
}

Result<int> ask_question(const Options& o) {
  QUERN_ASSIGN(std::string question, find_question(o));
  QUERN_ASSIGN(const Library library, open_library(o));
  QUERN_ASSIGN(const auto engine, load_reader(o.common));
  SamplingParams sampling = engine->default_sampling();
  sampling.temperature = o.temperature;
  sampling.seed = o.seed;
  QUERN_ASSIGN(const auto model, make_answer_model(*engine, sampling));
  AskOptions options = ask_options(o, std::move(question), *model);
  std::signal(SIGINT, [](int) { interrupted = 1; });
  View view(o.json);
  options.reading.on_progress = [&](std::string_view stage, double done, double total) { return view.stage(stage, done, total); };
  if (o.show_context) {
    auto reading = read_for(library, *model, options.reading);
    view.clear();
    if (interrupted) return 130;
    if (!reading) return tl::unexpected(reading.error());
    QUERN_TRY(print_out(terminal_text(context_text(*reading))));
    return kSuccess;
  }
  Reading reading;
  AskEvents events;
  events.on_read = [&](const Reading& r) { view.read(r); };
  events.on_prefill = [&](int64_t done, int64_t total) {
    return view.stage("reading the documents", static_cast<double>(done), static_cast<double>(total));
  };
  events.on_quote = [&](size_t number) {
    view.clear();
    view.quote(number);
  };
  events.on_answer = [&](std::string_view text) { return view.answer(text); };
  const auto answer = ask(library, *model, options, events, reading);
  view.clear();
  if (!view.wrote()) return fail(Errc::io, "cannot write to standard output");
  if (!answer && interrupted) return 130;
  if (!answer) return tl::unexpected(answer.error());
  if (o.json) {
    QUERN_TRY(print_out(answer_json(*answer, reading).dump() + "\n"));
  } else {
    QUERN_TRY(print_out((view.ends_line() ? "" : "\n") + quotes_text(*answer, {.color = view.color()})));
  }
  if (interrupted) return 130;
  if (o.strict && !answer->checks()) return fail(Errc::mismatch, "--strict: the answer is not complete with right quotes");
  return kSuccess;
}

constexpr std::string_view kHelp = R"(The model reads the documents, copies the passages that the answer rests on,
and answers. Every quote is then looked for in its document: it is shown with
file and line, and marked where it is wrong.

  --quotes constrained  a quote can only be a piece of the documents that the
                        model was shown, character by character (the default)
  --quotes free         the model writes quotes as it likes

Both are checked the same way: "verbatim", "verbatim up to spacing" (line breaks
and indentation differ), or WRONG. That a quote is there does not mean that the
answer follows from it: read it.

Text, Markdown, HTML, source code, CSV and JSON are read, PDF where pdftotext
(poppler-utils) is installed; other files are left out with a note. Hidden files
and those that .gitignore or .ignore name are left out silently unless --all. What fits the
context is read whole. Otherwise a full-text search chooses pieces by the
question's words; its index is kept under ~/.cache/quern/ask.

Exit status:
  0 answered (whatever the check says, unless --strict); 1 failed, or --strict
  and the check found something; 2 wrong usage; 130 interrupted.

Examples:
  quern ask --docs notes 'When is the mill closed?'
  quern ask --docs contract.pdf --docs letters/ --strict --question-file q.txt
  quern ask --docs src 'Where are links kept from leading out?' --chunks 20 --json)";

}  // namespace

void add_ask_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "ask", "Answer a question from documents, with checked quotes");
  command->footer(std::string(kHelp));
  CLI::Option_group* question = command->add_option_group("Question", "Exactly one of:");
  question->add_option("question", o->question, "The question")->type_name("QUESTION");
  question->add_option("--question-file", o->question_file, "Read the question from this file");
  question->require_option(1);
  command->add_option("--docs,-d", o->docs, "A folder or a file; may be given again; absent: the current folder")
      ->type_name("PATH")
      ->allow_extra_args(false);
  command->add_flag("--all", o->all, "Hidden and ignored files too");
  command->add_option("--max-file", o->max_file, "Leave out larger files (MiB)")
      ->check(CLI::Range(int64_t{1}, int64_t{1024}))
      ->capture_default_str();
  command->add_option("--quotes", o->quotes, "constrained: quotes can only be pieces of the documents; free")
      ->check(CLI::IsMember({"constrained", "free"}))
      ->capture_default_str();
  command->add_option("--max-quotes", o->max_quotes, "At most this many")->check(CLI::Range(1, 100))->capture_default_str();
  command->add_option("--max-quote", o->max_quote, "Characters of one quote")->check(CLI::Range(1, 100'000))->capture_default_str();
  command->add_flag("--strict", o->strict, "Exit 1 unless there are quotes and all are right");
  command->add_option("--chunks", o->chunks, "Search, and read at most this many pieces, though all might fit")
      ->check(CLI::Range(int64_t{1}, int64_t{400}));
  auto* no_index = command->add_flag("--no-index", o->no_index, "Keep the search's index in memory only");
  command->add_option("--index", o->index, "Keep the search's index in this file")->excludes(no_index);
  command->add_flag("--show-context", o->show_context, "Print what the model would read, and ask nothing");
  command
      ->add_option("--max-tokens", o->max_tokens, "Of the answer; absent: 1536, 8192 with reasoning, a quarter of a small context")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  command->add_option("--temperature", o->temperature, "0 is greedy")->check(CLI::Range(0.0, 100.0))->capture_default_str();
  command->add_option("--seed", o->seed, "Seed of the sampler")->capture_default_str();
  command->add_flag("--json", o->json, "One JSON document instead of text");
  o->common.add_to(*command, "bf16");
  command->callback([o, &body] { body = [o] { return ask_question(*o); }; });
}

}  // namespace quern
