// quern tokenize: text to ids, or ids to text.
#include "base/file.h"
#include "base/json.h"
#include "command.h"
#include "text/tokenizer.h"

namespace quern {
namespace {

struct Options {
  std::string model, tokenizer, text, file, decode;
  CLI::Option *text_option = nullptr, *file_option = nullptr, *decode_option = nullptr;
  bool json = false;
};

Result<int> tokenize(const Options& o) {
  QUERN_ASSIGN(const Tokenizer tokenizer, find_tokenizer(o.tokenizer, o.model));
  Json out = Json::object();
  std::string plain;
  if (o.decode_option->count() > 0) {
    QUERN_ASSIGN(const auto ids, parse_ids(o.decode, "--decode"));
    QUERN_ASSIGN(plain, tokenizer.decode(ids));
    out["text"] = plain;
  } else {
    std::string text = o.text;
    if (o.file_option->count() > 0) {
      QUERN_ASSIGN(text, read_file(o.file));
    }
    QUERN_ASSIGN(const auto ids, tokenizer.encode(text, /*trusted=*/true));
    Json list = Json::array();
    for (const int32_t id : ids) list.push_back(id);
    plain = fmt::format("{}", fmt::join(ids, ","));
    out["ids"] = std::move(list);
  }
  QUERN_TRY(print_out((o.json ? out.dump() : plain) + "\n"));
  return kSuccess;
}

}  // namespace

void add_tokenize_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "tokenize", "Text to token ids, or back");
  command->footer("Example:\n  quern tokenize --text 'Hello world' --json");
  command->add_option("--model,-m", o->model, "Model folder or .gguf file; absent: the embedded model");
  command->add_option("--tokenizer", o->tokenizer, "A tokenizer.json, a model folder or a .gguf file, instead of the model's");
  CLI::Option_group* group = command->add_option_group("Input", "One of:");
  o->text_option = group->add_option("--text", o->text, "Text to encode; special tokens become their ids");
  o->file_option = group->add_option("--file", o->file, "File to encode");
  o->decode_option = group->add_option("--decode", o->decode, "Token ids to decode, 1,2,3");
  group->require_option(1);
  command->add_flag("--json", o->json, "{\"ids\": […]} or {\"text\": …}");
  command->callback([o, &body] { body = [o] { return tokenize(*o); }; });
}

}  // namespace quern
