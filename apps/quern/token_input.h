// Where a command's token ids come from: --prompt, --tokens or --tokens-file, exactly one of them.
#pragma once

#include "base/file.h"
#include "command.h"
#include "text/tokenizer.h"

namespace quern {

struct TokenInput {
  std::string prompt, tokens, tokens_file;
  CLI::Option *prompt_option = nullptr, *tokens_option = nullptr, *file_option = nullptr;

  void add_to(CLI::App& app, bool with_prompt) {
    CLI::Option_group* group = app.add_option_group("Input", "One of:");
    if (with_prompt) prompt_option = group->add_option("--prompt", prompt, "Text");
    tokens_option = group->add_option("--tokens", tokens, "Token ids, 1,2,3");
    file_option = group->add_option("--tokens-file", tokens_file, "File of token ids, separated by commas or white space");
    group->require_option(1);
  }

  Result<std::vector<int32_t>> ids(const Tokenizer* tokenizer, const std::filesystem::path& model) const {
    if (file_option->count() > 0) {
      QUERN_ASSIGN(const std::string text, read_file(tokens_file));
      return parse_ids(text, tokens_file);
    }
    if (tokens_option->count() > 0) return parse_ids(tokens, "--tokens");
    if (!tokenizer) return fail(Errc::not_found, "{}: no tokenizer; --tokens needs none", model.string());
    return tokenizer->encode(prompt, /*trusted=*/true);
  }
};

}  // namespace quern
