// llama.cpp with many streams at once, for `bench/serve`: the smallest server over node-llama-cpp, whose own batching does the work. It speaks
// what bench/serve asks: streamed chat completions, greedy, with usage.
//   node llama_cpp_server.mjs MODEL.gguf THREADS STREAMS PORT
// Where no system prompt is shared, each stream reads its whole prompt; a stream beyond STREAMS waits for a sequence.
import http from "node:http";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const [model, threads, streams, port] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: threads});
const loaded = await llama.loadModel({modelPath: model, useMmap: true});
const context = await loaded.createContext({contextSize: 1024, batchSize: 512, threads, sequences: streams, flashAttention: true});
const free = Array.from({length: streams}, () => context.getSequence());
const waiting = [];

const take = () => (free.length ? Promise.resolve(free.pop()) : new Promise((given) => waiting.push(given)));
const give = (sequence) => (waiting.length ? waiting.shift()(sequence) : free.push(sequence));

async function answer(body, response) {
  const sequence = await take();
  try {
    await sequence.clearHistory();
    const turns = body.messages.map(({role, content}) => `<|im_start|>${role}\n${content}<|im_end|>\n`);
    const prompt = loaded.tokenize(turns.join("") + "<|im_start|>assistant\n", true);
    response.writeHead(200, {"content-type": "text/event-stream"});
    let tokens = 0;
    for await (const token of sequence.evaluate(prompt, {temperature: 0})) {
      tokens += 1;
      const content = loaded.detokenize([token]) || " ";
      response.write(`data: ${JSON.stringify({choices: [{index: 0, delta: {content}}]})}\n\n`);
      if (tokens >= body.max_tokens || response.destroyed) break;
    }
    const usage = {prompt_tokens: prompt.length, completion_tokens: tokens};
    response.end(`data: ${JSON.stringify({choices: [], usage})}\n\ndata: [DONE]\n\n`);
  } finally {
    give(sequence);
  }
}

http
  .createServer(async (request, response) => {
    let text = "";
    for await (const piece of request) text += piece;
    if (request.url === "/v1/chat/completions") await answer(JSON.parse(text), response);
    else response.end("ok");
  })
  .listen(port, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${port}`));
