// The commands of a chat.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "agent/tools/builtin_tools.h"
#include "base/file.h"
#include "base/utf8.h"
#include "chat_console.h"
#include "text/display.h"

namespace quern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostAttachedBytes = 4 << 20;

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

fs::path path_named(const std::string& text) {
  const char* home = std::getenv("HOME");
  return text.starts_with("~/") && home ? fs::path(home) / text.substr(2) : fs::path(text);
}

// Files and folders whose names begin as the word does; folders with '/', files with a space behind.
std::vector<std::string> paths_from(std::string_view word) {
  const size_t slash = word.rfind('/');
  const std::string folder(word.substr(0, slash == std::string_view::npos ? 0 : slash + 1)), begun(word.substr(folder.size()));
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator at(folder.empty() ? fs::path(".") : path_named(folder), error), end;
       !error && at != end && paths.size() < 500; at.increment(error)) {
    const std::string name = at->path().filename().string();
    std::error_code ignored;
    if (name.starts_with(begun) && (name[0] != '.' || !begun.empty()))
      paths.push_back(folder + name + (at->is_directory(ignored) ? "/" : " "));
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string first_line(std::string_view text) {
  return cut_to_width(visible_text(text.substr(0, text.find('\n')), Lines::join), 60);
}

// Lets somebody edit a text in $VISUAL or $EDITOR.
Result<std::string> edited(const std::string& text) {
  const char* visual = std::getenv("VISUAL");
  const char* editor = visual && *visual ? visual : std::getenv("EDITOR");
  if (!editor || !*editor)
    return fail(Errc::not_found, "a question of several lines is edited with $VISUAL or $EDITOR, and neither is set");
  const char* temporary = std::getenv("TMPDIR");
  std::string name = fmt::format("{}/quern-question-XXXXXX", temporary && *temporary ? temporary : "/tmp");
  {
    const UniqueFd fd(::mkstemp(name.data()));
    if (!fd) return fail(Errc::io, "{}: cannot make a file there", name);
  }
  const auto remove = [&] { ::unlink(name.c_str()); };
  if (auto written = write_file(name, text); !written) return remove(), tl::unexpected(written.error());
  std::string quoted = name;
  for (size_t at = 0; (at = quoted.find('\'', at)) != std::string::npos; at += 4) quoted.replace(at, 1, "'\\''");
  const int status = std::system(fmt::format("{} '{}'", editor, quoted).c_str());  // the editor may be a command with arguments
  auto back = read_file(name, kMostAttachedBytes);
  remove();
  if (status != 0) return fail(Errc::io, "{} did not end well; the question stays as it was", editor);
  return back;
}

}  // namespace

struct ChatConsole::Command {
  std::string_view name, arguments, what;
  Result<void> (ChatConsole::*run)(const std::string& rest);
};

const std::vector<ChatConsole::Command>& ChatConsole::commands() {
  static const std::vector<Command> all = {
      {"help", "", "shows this", &ChatConsole::help},
      {"tools", "[files|all|none|NAME,…]", "shows the tools the model may call, or offers others", &ChatConsole::tools},
      {"system", "[TEXT]", "shows the system prompt, or sets it; /system - takes it away", &ChatConsole::system},
      {"model", "[PATH]", "shows the model, or goes on with another one", &ChatConsole::model},
      {"new", "", "begins a new conversation", &ChatConsole::begin_anew},
      {"undo", "", "takes the last question and its answer back", &ChatConsole::undo},
      {"retry", "", "has the last question answered again", &ChatConsole::retry},
      {"edit", "[TEXT]", "asks the last question again, in other words", &ChatConsole::edit},
      {"fork", "[NAME]", "goes on in a copy; the conversation stays where it is", &ChatConsole::fork},
      {"switch", "NAME", "goes on in another branch", &ChatConsole::switch_branch},
      {"forks", "", "shows the branches", &ChatConsole::forks},
      {"save", "NAME [--force]", "keeps the chat, and the model's state", &ChatConsole::save},
      {"load", "NAME", "goes on with a chat that was saved", &ChatConsole::load},
      {"list", "", "shows the chats that were saved", &ChatConsole::list},
      {"export", "FILE.md", "writes the conversation as Markdown", &ChatConsole::export_page},
      {"tokens", "", "shows how full the context is", &ChatConsole::tokens},
      {"stats", "", "shows what was read and written so far, and how fast", &ChatConsole::stats},
      {"set", "[NAME=VALUE]", "temperature, top_p, top_k, min_p, seed, max_tokens", &ChatConsole::set},
      {"file", "PATH", "puts a text file in front of the next question", &ChatConsole::attach},
      {"quit", "", "ends; so does Ctrl-D", &ChatConsole::quit},
  };
  return all;
}

Result<void> ChatConsole::run_command(std::string_view line) {
  const size_t end = std::min(line.size(), line.find_first_of(" \n"));
  const std::string name(line.substr(1, end - 1)), rest(trimmed(line.substr(end)));
  for (const Command& command : commands())
    if (command.name == name) return (this->*command.run)(rest);
  return fail(Errc::invalid_argument, "/{}: no such command (/help shows them)", name);
}

std::vector<std::string> ChatConsole::complete(std::string_view line, std::string_view word) const {
  std::vector<std::string> words;
  const auto offer = [&](const std::string& one) {
    if (one.starts_with(word)) words.push_back(one);
  };
  if (!line.starts_with('/')) return words;
  if (line.find(' ') == std::string_view::npos) {
    for (const Command& command : commands()) offer(fmt::format("/{}{}", command.name, command.arguments.empty() ? "" : " "));
    return words;
  }
  const std::string_view command = line.substr(1, line.find(' ') - 1);
  if (command == "file" || command == "export" || command == "model") return paths_from(word);
  if (command == "load" || command == "save")
    for (const std::string& name : folder_.names()) offer(name);
  if (command == "switch")
    for (const std::string& name : chat_->branches()) offer(name);
  if (command == "set")
    for (const char* name : {"temperature=", "top_p=", "top_k=", "min_p=", "seed=", "max_tokens="}) offer(name);
  if (command == "tools") {
    for (const char* name : {"files", "all", "none"}) offer(name);
    for (const std::string& name : builtin_tool_names()) offer(name);
  }
  return words;
}

Result<void> ChatConsole::help(const std::string&) {
  std::string text;
  for (const Command& command : commands())
    text += fmt::format("  {} {}\n", padded_to_width(fmt::format("/{} {}", command.name, command.arguments), 32), command.what);
  text +=
      "A line that ends in \\ goes on in the next one; \"\"\" begins and ends a block. Tab completes, Ctrl-C interrupts an answer.";
  view_.line(text);
  return {};
}

Result<void> ChatConsole::tools(const std::string& rest) {
  if (!rest.empty()) QUERN_TRY(choose_tools(rest));
  const auto names = tools_.names();
  if (names.empty()) {
    view_.line("no tools (/tools files offers those for files)");
    return {};
  }
  for (const std::string& name : names) {
    const Tool* tool = tools_.find(name);
    const Json* about = tool_function(tool->definition).find("description");
    view_.line(fmt::format("  {} {}{}", padded_to_width(visible_text(name, Lines::join), 20), tool->changes ? "(asks first) " : "",
                           about && about->is_string() ? first_line(about->as_string()) : ""));
  }
  return {};
}

Result<void> ChatConsole::system(const std::string& rest) {
  if (rest.empty())
    view_.line(chat_->system().empty() ? "no system prompt" : visible_text(chat_->system()));
  else
    chat_->set_system(rest == "-" ? "" : rest);
  return {};
}

Result<void> ChatConsole::model(const std::string& rest) {
  if (!rest.empty()) {
    QUERN_ASSIGN(auto engine, load_engine(path_named(rest).string()));
    chat_->replace_model([&] { return make_model(*engine); });
    engine_ = std::move(engine);
    model_name_ = rest;
    QUERN_TRY(choose_tools(options_.tools));
  }
  view_.line(fmt::format("{} · {} · {} tokens of context", visible_text(model_name_, Lines::join),
                         chat_format_name(engine_->chat_format()), engine_->context()));
  return {};
}

Result<void> ChatConsole::begin_anew(const std::string&) {
  chat_->clear();
  saved_as_.clear();
  return {};
}

Result<void> ChatConsole::undo(const std::string&) {
  const auto question = chat_->undo();
  if (!question) return fail(Errc::not_found, "there is nothing to take back");
  view_.line(fmt::format("taken back: {}", first_line(*question)));
  return {};
}

Result<void> ChatConsole::retry(const std::string&) {
  const auto question = chat_->undo();
  if (!question) return fail(Errc::not_found, "there is no question to ask again");
  if (sampling_.temperature > 0) ++sampling_.seed;  // else the answer would be the same
  const SamplingParams sampling = sampling_;
  chat_->for_each_model([&](ChatModel& model) { static_cast<EngineModel&>(model).set_sampling(sampling); });
  ask_and_show(*question);
  return {};
}

Result<void> ChatConsole::edit(const std::string& rest) {
  const std::vector<Message>& messages = chat_->messages();
  const auto last = std::find_if(messages.rbegin(), messages.rend(), [](const Message& m) { return m.role == Role::user; });
  if (last == messages.rend()) return fail(Errc::not_found, "there is no question to edit");
  const std::string question = last->content;
  if (!rest.empty()) {
    chat_->undo();
    ask_and_show(rest);
  } else if (question.find('\n') == std::string::npos) {
    prefilled_ = question;
    edits_last_ = true;  // nothing is taken back before another question is there
  } else {
    QUERN_ASSIGN(const std::string other, edited(question));
    if (trimmed(other).empty()) return fail(Errc::invalid_argument, "the question is empty; it stays as it was");
    chat_->undo();
    view_.line(painted(visible_text(trimmed(other)), colour::dim, view_.coloured()));
    ask_and_show(std::string(trimmed(other)));
  }
  return {};
}

Result<void> ChatConsole::fork(const std::string& rest) {
  std::string name = rest;
  const auto taken = chat_->branches();
  for (int i = 2; name.empty() || (rest.empty() && std::find(taken.begin(), taken.end(), name) != taken.end()); ++i)
    name = fmt::format("fork{}", i - 1);
  const std::string from = chat_->branch();
  QUERN_TRY(chat_->fork(name));
  view_.line(fmt::format("in {} now; {} stays as it is", name, from));
  return {};
}

Result<void> ChatConsole::switch_branch(const std::string& rest) {
  QUERN_TRY(chat_->switch_to(rest));
  if (auto* model = dynamic_cast<EngineModel*>(&chat_->model())) QUERN_TRY(model->prepare(tools_.definitions()));
  view_.line(fmt::format("in {} now, {} messages", rest, chat_->messages().size()));
  return {};
}

Result<void> ChatConsole::forks(const std::string&) {
  for (const std::string& name : chat_->branches())
    view_.line(
        fmt::format("{} {} {} messages", name == chat_->branch() ? "*" : " ", padded_to_width(name, 20), chat_->messages_of(name)));
  return {};
}

Result<void> ChatConsole::save(const std::string& rest) {
  const size_t space = rest.find(' ');
  const std::string name = rest.substr(0, space), more(trimmed(space == std::string::npos ? "" : rest.substr(space)));
  if (!more.empty() && more != "--force") return fail(Errc::invalid_argument, "/save NAME [--force]: {}?", more);
  QUERN_TRY(ChatFolder::check_name(name));
  if (chat_->messages().empty()) return fail(Errc::invalid_argument, "there is nothing to save yet");
  if (name != saved_as_ && more.empty() && folder_.has(name))
    return fail(Errc::invalid_argument, "there is a chat {} already (/save {} --force replaces it)", name, name);
  std::error_code ignored;
  fs::remove(folder_.state_file(name), ignored);  // it would belong to another conversation
  QUERN_TRY(folder_.save(
      name, {.model = model_name_, .format = engine_->chat_format(), .sampling = sampling_, .messages = chat_->messages()}));
  saved_as_ = name;
  const auto state = chat_->model().save_state(folder_.state_file(name));
  if (state) fs::permissions(folder_.state_file(name), fs::perms::owner_read | fs::perms::owner_write, ignored);
  view_.line(
      fmt::format("saved as {}{}", name, state ? "" : fmt::format(", without the model's state: {}", state.error().message)));
  return {};
}

Result<void> ChatConsole::load(const std::string& rest) {
  QUERN_ASSIGN(SavedChat saved, folder_.load(rest));
  if (saved.format != engine_->chat_format())
    for (Message& message : saved.messages) message.verbatim.reset();
  chat_->replace(std::move(saved.messages));
  sampling_ = saved.sampling;
  chat_->for_each_model([&](ChatModel& model) { static_cast<EngineModel&>(model).set_sampling(sampling_); });
  saved_as_ = rest;
  std::error_code ignored;
  const bool has_state = fs::exists(folder_.state_file(rest), ignored);
  const auto state = has_state ? chat_->model().restore_state(folder_.state_file(rest)) : Result<void>();
  if (!view_.live()) return {};
  view_.line(fmt::format("{}: {} messages, held with {}{}", rest, chat_->messages().size(), visible_text(saved.model, Lines::join),
                         has_state && state ? "" : "; the model reads them with the next question"));
  return {};
}

Result<void> ChatConsole::list(const std::string&) {
  const auto names = folder_.names();
  if (names.empty()) view_.line("no chats are saved");
  for (const std::string& name : names) {
    std::error_code ignored;
    const auto size = fs::file_size(folder_.file(name), ignored);
    view_.line(fmt::format("{} {} {} KiB{}", name == saved_as_ ? "*" : " ", padded_to_width(name, 30), (size + 1023) / 1024,
                           fs::exists(folder_.state_file(name), ignored) ? ", with the model's state" : ""));
  }
  return {};
}

Result<void> ChatConsole::export_page(const std::string& rest) {
  if (rest.empty()) return fail(Errc::invalid_argument, "/export FILE.md: which file?");
  const fs::path path = path_named(rest);
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(path, ignored)))
    return fail(Errc::invalid_argument, "{}: is there already, and is not replaced", path.string());
  QUERN_TRY(write_file(path, chat_markdown(chat_->messages(), saved_as_.empty() ? "Chat with " + model_name_ : saved_as_)));
  view_.line(fmt::format("written to {}", visible_text(path.string(), Lines::join)));
  return {};
}

Result<void> ChatConsole::tokens(const std::string&) {
  Conversation conversation = chat_->conversation();
  conversation.tools = tools_.definitions();
  int64_t used = 0;
  if (!conversation.messages.empty() || !conversation.tools.empty()) {
    QUERN_ASSIGN(used, chat_->model().count_tokens(conversation));
  }
  const int64_t all = engine_->context();
  const double share = static_cast<double>(used) / static_cast<double>(all);
  constexpr int kCells = 30;
  const int full = std::min(kCells, static_cast<int>(std::ceil(share * kCells)));
  std::string bar;
  for (int i = 0; i < kCells; ++i) bar += i < full ? "█" : "░";
  view_.line(fmt::format("{} {} of {} tokens ({:.1f} %)", bar, used, all, 100 * share));
  return {};
}

Result<void> ChatConsole::stats(const std::string&) {
  const RunCounts& c = view_.counts();
  view_.line(fmt::format("{} questions, {} answers, {} calls ({} errors)", questions_, c.turns, c.calls, c.errors));
  view_.line(fmt::format("written: {} tokens in {:.1f} s, {:.1f} tokens/s", c.tokens, c.decode_s, c.tokens_per_s()));
  const int64_t read = c.prompt_tokens - c.reused_tokens;
  view_.line(fmt::format("read: {} tokens in {:.1f} s, {:.1f} tokens/s; {} more were known", read, c.prefill_s,
                         c.prefill_s > 0 ? static_cast<double>(read) / c.prefill_s : 0.0, c.reused_tokens));
  return {};
}

Result<void> ChatConsole::set(const std::string& rest) {
  const size_t equals = rest.find('=');
  const std::string name(trimmed(std::string_view(rest).substr(0, equals)));
  const std::string value(equals == std::string::npos ? "" : trimmed(std::string_view(rest).substr(equals + 1)));
  char* end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  const bool is_number = !value.empty() && *end == '\0';
  const auto within = [&](double least, double most, bool whole) {
    return is_number && number >= least && number <= most && (!whole || number == std::floor(number));
  };
  const auto wrong = [&](std::string_view expected) {
    return fail(Errc::invalid_argument, "/set {}: expected {}", name, expected);
  };
  if (rest.empty()) {
  } else if (name == "temperature") {
    if (!within(0, 100, false)) return wrong("a number from 0 to 100");
    sampling_.temperature = number;
  } else if (name == "top_p" || name == "min_p") {
    if (!within(0, 1, false)) return wrong("a number from 0 to 1");
    (name == "top_p" ? sampling_.top_p : sampling_.min_p) = number;
  } else if (name == "top_k") {
    if (!within(0, 2147483647.0, true)) return wrong("a whole number, 0 for all");
    sampling_.top_k = static_cast<int64_t>(number);
  } else if (name == "seed") {
    if (!within(0, 9007199254740992.0, true)) return wrong("a whole number");
    sampling_.seed = static_cast<uint64_t>(number);
  } else if (name == "max_tokens") {
    if (!within(1, 1e9, true)) return wrong("a whole number above 0");
    options_.max_tokens = static_cast<int64_t>(number);
  } else {
    return fail(Errc::invalid_argument, "/set {}: expected temperature, top_p, top_k, min_p, seed or max_tokens", name);
  }
  chat_->for_each_model([&](ChatModel& model) { static_cast<EngineModel&>(model).set_sampling(sampling_); });
  view_.line(fmt::format("temperature={} top_p={} top_k={} min_p={} seed={} max_tokens={}", sampling_.temperature, sampling_.top_p,
                         sampling_.top_k, sampling_.min_p, sampling_.seed, options_.max_tokens));
  return {};
}

Result<void> ChatConsole::attach(const std::string& rest) {
  if (rest.empty()) return fail(Errc::invalid_argument, "/file PATH: which file?");
  const fs::path path = path_named(rest);
  QUERN_ASSIGN(const std::string text, read_file(path, kMostAttachedBytes));
  if (text.find('\0') != std::string::npos || find_invalid_utf8(text) != std::string::npos)
    return fail(Errc::malformed, "{}: is no text", path.string());
  attached_ +=
      fmt::format("{}:\n{}{}\n", visible_text(path.filename().string(), Lines::join), text, text.ends_with('\n') ? "" : "\n");
  ++attachments_;
  return {};
}

Result<void> ChatConsole::quit(const std::string&) {
  quit_ = true;
  return {};
}

}  // namespace quern
