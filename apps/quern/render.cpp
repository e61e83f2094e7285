// quern render: a chat request to the exact prompt a model sees.
#include "base/file.h"
#include "base/json.h"
#include "command.h"
#include "text/chat_template.h"

namespace quern {
namespace {

struct Options {
  std::string request, format = "instruct";
  bool json = false;
};

Result<int> render_request(const Options& o) {
  QUERN_ASSIGN(const ChatFormat format, parse_chat_format(o.format));
  QUERN_ASSIGN(const std::string text, read_file(o.request, size_t{256} << 20));
  QUERN_ASSIGN(const Json request, Json::parse(text, o.request));
  QUERN_ASSIGN(const Conversation conversation, Conversation::from_json(request));
  QUERN_ASSIGN(const Prompt prompt, render(conversation, format));
  if (!o.json) {
    QUERN_TRY(print_out(prompt_text(prompt)));
    return kSuccess;
  }
  Json pieces = Json::array();
  for (const PromptPiece& piece : prompt) {
    Json one = Json::object();
    one["text"] = piece.text;
    one["trusted"] = piece.trusted;
    pieces.push_back(std::move(one));
  }
  Json out = Json::object();
  out["prompt"] = prompt_text(prompt);
  out["pieces"] = std::move(pieces);
  QUERN_TRY(print_out(out.dump() + "\n"));
  return kSuccess;
}

}  // namespace

void add_render_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "render", "Show the exact prompt of a chat request");
  command->footer(
      "Example:\n  quern render request.json\n\nREQUEST.json: {\"messages\": […], \"tools\": […], \"add_generation_prompt\": "
      "true}");
  command->add_option("REQUEST", o->request, "File with the request")->required();
  command->add_option("--template", o->format, "Chat format")
      ->check(CLI::IsMember({"instruct", "thinking", "coder"}))
      ->capture_default_str();
  command->add_flag("--json", o->json, "The prompt and its pieces, trusted or not");
  command->callback([o, &body] { body = [o] { return render_request(*o); }; });
}

}  // namespace quern
