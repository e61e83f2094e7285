// The chat itself: asking, reading what is typed, and which tools are offered. Commands are in chat_commands.cpp.
#include "chat_console.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "agent/report/call_line.h"
#include "base/utf8.h"
#include "confirm.h"
#include "text/display.h"
#include "tool_choice.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

volatile std::sig_atomic_t interrupted = 0;

extern "C" void note_interrupt(int) { interrupted = 1; }

// While it lives, Ctrl-C is noticed and ends nothing. Where that is so already, one that was noticed stays noticed.
class CatchInterrupt {
 public:
  CatchInterrupt() {
    struct sigaction action{};
    action.sa_handler = note_interrupt;
    ::sigaction(SIGINT, &action, &before_);
    if (before_.sa_handler != note_interrupt) interrupted = 0;
  }
  ~CatchInterrupt() { ::sigaction(SIGINT, &before_, nullptr); }
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;

 private:
  struct sigaction before_{};
};

fs::path history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state && *state == '/') return fs::path(state) / "quern/chat_history";
  const char* home = std::getenv("HOME");
  return home && *home ? fs::path(home) / ".local/state/quern/chat_history" : fs::path();
}

}  // namespace

Result<std::unique_ptr<ChatConsole>> ChatConsole::create(ChatOptions options, bool live) {
  QUERN_ASSIGN(ChatFolder folder, ChatFolder::usual(std::getenv("XDG_DATA_HOME"), std::getenv("HOME")));
  std::unique_ptr<ChatConsole> console(new ChatConsole(std::move(options), live, std::move(folder)));
  const ChatOptions& o = console->options_;
  QUERN_ASSIGN(console->engine_, console->load_engine(o.common.model));
  console->model_name_ = o.common.model.empty() ? "pebble" : o.common.model;
  SamplingParams& sampling = console->sampling_ = console->engine_->default_sampling();
  if (o.temperature) sampling.temperature = *o.temperature;
  if (o.top_p) sampling.top_p = *o.top_p;
  if (o.top_k) sampling.top_k = *o.top_k;
  if (o.min_p) sampling.min_p = *o.min_p;
  sampling.seed = o.seed;
  console->chat_.emplace(console->make_model(*console->engine_));
  console->chat_->set_system(o.system);
  QUERN_TRY(console->choose_tools(o.tools));
  if (!o.load.empty()) QUERN_TRY(console->load(o.load));
  for (const std::string& file : o.files) QUERN_TRY(console->attach(file));
  return console;
}

Result<std::unique_ptr<Engine>> ChatConsole::load_engine(const std::string& named) const {
  QUERN_ASSIGN(const fs::path path, find_model(named));
  QUERN_ASSIGN(const EngineOptions engine_options, options_.common.engine_for(path));
  QUERN_ASSIGN(auto engine, Engine::load(engine_options));
  if (!engine->tokenizer()) return fail(Errc::not_found, "{}: the model has no tokenizer: one cannot talk to it", path.string());
  return engine;
}

std::unique_ptr<ChatModel> ChatConsole::make_model(const Engine& engine) const {
  auto made = EngineModel::create(engine, {.sampling = sampling_, .constrained = true, .choice = {}});
  return std::move(*made);  // load_engine has seen to it that there is a tokenizer
}

Result<void> ChatConsole::choose_tools(const std::string& chosen) {
  ToolChoiceOptions options{
      .tools = chosen,
      .mcp = options_.mcp,
      .hosts = options_.hosts,
      .root = options_.root,
      .ask = {},
      .format = engine_->chat_format() == ChatFormat::coder ? CallFormat::xml : CallFormat::hermes,
      .on_warning = [](const std::string& line) { fmt::print(stderr, "quern: warning: {}\n", visible_text(line, Lines::join)); },
      .cancelled = [] { return interrupted != 0; }};
  if (view_.live())
    options.ask = [this](const std::string& question, const auto& choices) { return answer_of_user(question, choices); };
  const CatchInterrupt caught;
  QUERN_ASSIGN(ChosenTools tools, quern::choose_tools(options));
  if (auto* model = dynamic_cast<EngineModel*>(&chat_->model())) QUERN_TRY(model->prepare(tools.registry.definitions()));
  tools_ = std::move(tools.registry);
  servers_ = std::move(tools.servers);
  options_.tools = chosen;
  return {};
}

// A question of the model's own, with the answers it offers.
std::optional<std::string> ChatConsole::answer_of_user(const std::string& question, const std::vector<std::string>& choices) {
  view_.pause();
  fmt::print(stderr, "{}\n", visible_text(question));
  for (size_t i = 0; i < choices.size(); ++i) fmt::print(stderr, "  {}. {}\n", i + 1, visible_text(choices[i], Lines::join));
  for (;;) {
    fmt::print(stderr, "? ");
    const auto answer = read_terminal_line([] { return interrupted != 0; });
    if (!answer || choices.empty()) return answer;
    for (size_t i = 0; i < choices.size(); ++i)
      if (*answer == std::to_string(i + 1) || *answer == choices[i]) return choices[i];
  }
}

EndEvent ChatConsole::ask(const std::string& question) {
  const CatchInterrupt caught;
  LoopOptions loop;
  std::error_code ignored;
  if (!tools_.names().empty()) loop.root = replace_invalid_utf8(fs::weakly_canonical(options_.root, ignored).string());
  loop.budget.tokens = options_.max_tokens;
  loop.changes = options_.yes ? ChangePolicy::allow : ChangePolicy::ask;
  if (::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1)
    loop.confirm = [&](const Tool&, const ToolCall& call) {
      view_.pause();
      const std::string line = call_line(call.name, call.arguments);
      return confirm_on_terminal(view_.shows_whole(line) ? "" : line, [] { return interrupted != 0; });
    };
  loop.cancelled = [&] { return interrupted != 0 || view_.broken(); };
  loop.on_text = [&](std::string_view text) { view_.show_text(text); };
  loop.on_output = [&](std::string_view text) { view_.show_output(text); };
  loop.on_event = [&](const Event& event) { view_.show(event); };
  if (servers_.refresh(tools_, CallContext{.cancelled = loop.cancelled, .on_output = {}}))
    view_.line("the tools of a server have changed (/tools shows them)");
  view_.begin(engine_->chat_format());
  ++questions_;
  attached_.clear();
  attachments_ = 0;
  EndEvent end = chat_->ask(question, tools_, std::move(loop));
  view_.end(end);
  return end;
}

void ChatConsole::ask_and_show(const std::string& question) {
  const EndEvent end = ask(attached_ + question);
  if (end.status == RunStatus::failed) view_.error(end.reason);
}

Result<int> ChatConsole::answer_once(const std::string& question) {
  if (question.find_first_not_of(" \t\r\n") == std::string::npos && attached_.empty())
    return fail(Errc::invalid_argument, "the question is empty");
  const EndEvent end = ask(attached_ + question);
  if (view_.broken()) return fail(Errc::io, "cannot write to standard output");
  if (end.status == RunStatus::cancelled) return 130;
  if (end.status == RunStatus::failed) return fail(Errc::denied, "{}", end.reason);
  return kSuccess;
}

std::string ChatConsole::prompt() const {
  std::string text = chat_->branch() == Chat::kMain ? "" : chat_->branch();
  if (attachments_ > 0) text += fmt::format("{}+{} file{}", text.empty() ? "" : " ", attachments_, attachments_ == 1 ? "" : "s");
  return text + "> ";
}

// What is typed until it is complete: a line; lines that end in '\' and the one after; or everything between two """.
std::optional<std::string> ChatConsole::read_message() {
  constexpr std::string_view fence = "\"\"\"";
  std::string message;
  bool block = false;
  for (std::string shown = prompt();; shown = "… ") {
    const LineEditor::Input input = editor_->read(shown, std::exchange(prefilled_, {}));
    if (input.outcome == LineEditor::Outcome::interrupted) return std::string();
    if (input.outcome == LineEditor::Outcome::end) return message.empty() ? std::nullopt : std::optional(message);
    std::string_view line = input.text;
    const bool opens = message.empty() && !block && line.starts_with(fence);
    if (opens) {
      block = true;
      line.remove_prefix(fence.size());
      if (line.empty()) continue;
    }
    if (block && line.ends_with(fence)) return message + std::string(line.substr(0, line.size() - fence.size()));
    const bool goes_on = !block && line.ends_with('\\');
    if (goes_on) line.remove_suffix(1);
    message += line;
    if (!block && !goes_on) return message;
    message += '\n';
  }
}

Result<int> ChatConsole::converse() {
  LineEditorOptions editing{.history = options_.no_history ? fs::path() : history_file(),
                            .complete = [this](std::string_view line, std::string_view word) { return complete(line, word); },
                            .coloured = view_.coloured()};
  QUERN_ASSIGN(editor_, LineEditor::create(std::move(editing)));
  view_.line(
      painted(fmt::format("quern chat with {} · /help shows the commands, Ctrl-D ends", visible_text(model_name_, Lines::join)),
              colour::dim, view_.coloured()));
  const CatchInterrupt caught;
  while (!quit_ && !view_.broken()) {
    interrupted = 0;
    const bool other_words = std::exchange(edits_last_, false);
    const auto message = read_message();
    if (!message) break;
    if (other_words && !message->starts_with('/') && message->find_first_not_of(" \t\r\n") != std::string::npos) chat_->undo();
    if (message->starts_with('/')) {
      if (const auto done = run_command(*message); !done) view_.error(done.error().message);
    } else if (message->find_first_not_of(" \t\r\n") != std::string::npos) {
      ask_and_show(*message);
    }
  }
  if (!quit_) view_.line("");
  if (view_.broken()) return fail(Errc::io, "cannot write to standard output");
  return kSuccess;
}

}  // namespace quern
