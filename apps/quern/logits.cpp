// quern logits: the model's outputs over a prompt as a safetensors file, for comparing with the reference.
#include "command.h"
#include "formats/safetensors.h"
#include "model/ops/trace_ops.h"
#include "runtime/engine_impl.h"
#include "token_input.h"

namespace quern {
namespace {

struct Options {
  CommonOptions common;
  TokenInput input;
  std::string out;
  bool hidden = false, mtp = false;
  int64_t chunk = 0;
};

void append(std::vector<float>& values, Tensor t) {
  for (int64_t i = 0; i < t.rows; ++i) values.insert(values.end(), t.row(i), t.row(i) + t.cols);
}

Result<int> logits(const Options& o) {
  QUERN_ASSIGN(const EngineOptions engine_options, o.common.engine());
  QUERN_ASSIGN(const auto engine, Engine::load(engine_options));
  const Engine::Impl& impl = engine->impl();
  const ModelConfig& config = impl.model->config;
  if (o.mtp && !impl.model->mtp)
    return fail(Errc::not_found, "{}: the checkpoint has no MTP block (mtp.* tensors)", engine_options.model.string());
  QUERN_ASSIGN(const auto ids, o.input.ids(nullptr, engine_options.model));
  if (ids.empty()) return fail(Errc::invalid_argument, "no token ids");

  HiddenTrace trace(*impl.ops, *impl.model);
  Runner runner{.model = *impl.model,
                .ops = o.hidden ? static_cast<Ops&>(trace) : *impl.ops,
                .workspace = *impl.workspace,
                .kv = engine_options.kv,
                .with_mtp = o.mtp,
                .context = engine->context(),
                .end_of_turn = impl.runner->end_of_turn,
                .chunk = o.chunk};
  Timeline timeline(runner);
  const auto tokens = static_cast<int64_t>(ids.size()), layers = static_cast<int64_t>(config.layers.size());
  std::vector<float> values, mtp_values;
  std::vector<std::vector<float>> hidden(static_cast<size_t>(layers + 1));
  Progress progress("logits");
  QUERN_TRY(timeline.feed(ids, Batch::Logits::all, [&](int64_t first, std::span<const int32_t> part) {
    append(values, runner.workspace.logits);
    for (size_t l = 0; l < hidden.size() && o.hidden; ++l) append(hidden[l], trace.hidden(l));
    if (o.mtp) append(mtp_values, mtp_forward(*impl.ops, *impl.model, timeline.state(), part, runner.workspace));
    progress.update(static_cast<double>(first) + static_cast<double>(part.size()), static_cast<double>(tokens));
    return true;
  }));

  std::vector<SafetensorsWriter::Entry> entries{{"logits", "F32", {tokens, config.vocab_size}}};
  if (o.hidden) entries.push_back({"hidden_states", "F32", {layers + 1, tokens, config.hidden_size}});
  if (o.mtp) entries.push_back({"mtp_logits", "F32", {tokens - 1, config.vocab_size}});
  QUERN_ASSIGN(SafetensorsWriter writer, SafetensorsWriter::create(o.out, entries));
  QUERN_TRY(writer.write(std::as_bytes(std::span(values))));
  if (o.hidden)
    for (const auto& layer : hidden) QUERN_TRY(writer.write(std::as_bytes(std::span(layer))));
  if (o.mtp) QUERN_TRY(writer.write(std::as_bytes(std::span(mtp_values))));
  QUERN_TRY(writer.commit());
  return kSuccess;
}

}  // namespace

void add_logits_command(CLI::App& app, Body& body) {
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(app, "logits", "Write the logits of every position of a prompt");
  command->footer(
      "Example:\n  quern logits --model DIR --tokens 1,2,3 --out logits.safetensors --hidden\n\n"
      "Tensors: logits [T,V]; --hidden: hidden_states [L+1,T,H]; --mtp: mtp_logits [T-1,V]. All f32.");
  o->input.add_to(*command, /*with_prompt=*/false);
  command->add_option("--out", o->out, "File to write (safetensors)")->required();
  command->add_flag("--hidden", o->hidden,
                    "Also the hidden states: embeddings, each layer's output, the last after the final norm");
  command->add_flag("--mtp", o->mtp, "Also the multi-token prediction block's logits");
  command->add_option("--chunk", o->chunk, "Feed the prompt this many tokens at a time")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31));
  o->common.add_to(*command, "f32");
  command->callback([o, &body] { body = [o] { return logits(*o); }; });
}

}  // namespace quern
