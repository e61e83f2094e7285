// llama.cpp's prefill and decode speed, through the binaries of the npm package node-llama-cpp, as one JSON document.
//   node llama_cpp.mjs MODEL.gguf THREADS PROMPT GENERATED REPEATS
// Tokens are random, and each decoded one pays for its logits, as in `quern bench`; the next token is chosen greedily in native code.
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const [model, threads, prompt, generated, repeats] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: threads});
const loaded = await llama.loadModel({modelPath: model, useMmap: true});
const context = await loaded.createContext({contextSize: prompt + generated + 64, batchSize: 512, threads, sequences: 1, flashAttention: true});
const sequence = context.getSequence();
const vocabulary = Number(loaded.fileInfo.metadata.tokenizer.ggml.tokens.length);

const random = () => Math.floor(Math.random() * vocabulary);
const withLogits = (token) => [token, {generateNext: {token: true, options: {temperature: 0}}}];
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const perSecond = (count, start) => (1000 * count) / (performance.now() - start);

const prefill = [];
const decode = [];
for (let i = 0; i < repeats; i++) {
  await sequence.clearHistory();
  const tokens = Array.from({length: prompt}, random);
  let start = performance.now();
  await sequence.controlledEvaluate([...tokens.slice(0, -1), withLogits(tokens.at(-1))]);
  prefill.push(perSecond(prompt, start));
  start = performance.now();
  for (let k = 0; k < generated; k++) await sequence.controlledEvaluate([withLogits(random())]);
  decode.push(perSecond(generated, start));
}
console.log(JSON.stringify({prefill_tps: median(prefill), decode_tps: median(decode)}));
process.exit(0);
