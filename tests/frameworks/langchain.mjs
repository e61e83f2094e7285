// LangChain against `quern serve`, through all three APIs: node langchain.mjs URL, from a folder with the packages of package.json.
import assert from 'node:assert/strict';
import { ContextOverflowError } from '@langchain/core/errors';
import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatAnthropic } from '@langchain/anthropic';
import { ChatOllama, OllamaEmbeddings } from '@langchain/ollama';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { z } from 'zod';

const url = process.argv[2];
const openai = (more) => new ChatOpenAI({ model: 'pebble', apiKey: 'none', temperature: 0, maxTokens: 60, maxRetries: 0, configuration: { baseURL: `${url}/v1` }, ...more });
const models = {
  chat: openai({}),
  responses: openai({ useResponsesApi: true }),
  anthropic: new ChatAnthropic({ model: 'pebble', apiKey: 'none', temperature: 0, maxTokens: 60, maxRetries: 0, anthropicApiUrl: url }),
  ollama: new ChatOllama({ model: 'pebble', baseUrl: url, temperature: 0, numPredict: 60, maxRetries: 0 }),
};
const messages = [new SystemMessage('You are brief.'), new HumanMessage('Say hello.')];
const add = tool(({ a, b }) => String(a + b), { name: 'add', description: 'Adds', schema: z.object({ a: z.number().int(), b: z.number().int() }) });
const shape = z.object({ n: z.number().int().min(1).max(9), word: z.enum(['yes', 'no']) });

async function join(stream) {
  let all;
  for await (const piece of stream) all = all === undefined ? piece : all.concat(piece);
  return all;
}

// Calls the tool and goes on from its result. Ollama's API cannot be told that there has to be a call.
async function calls(name, model) {
  const bound = model.bindTools([add], name === 'ollama' ? {} : { tool_choice: 'add' });
  const question = new HumanMessage('Add 2 and 3 with the tool.');
  const called = await bound.invoke([question]);
  const streamed = await join(await bound.stream([question]));
  assert.deepEqual(streamed.tool_calls.map((c) => [c.name, c.args]), called.tool_calls.map((c) => [c.name, c.args]), name);
  assert.deepEqual(called.invalid_tool_calls ?? [], [], name);
  if (name !== 'ollama') assert.equal(called.tool_calls[0]?.name, 'add', name);
  const call = called.tool_calls[0] ?? { type: 'tool_call', id: 'a', name: 'add', args: { a: 2, b: 3 } };
  const result = await add.invoke({ ...call, type: 'tool_call' });
  assert.ok(result instanceof ToolMessage);
  assert.match(result.content, /^-?\d+$/, name);
  const asked = called.tool_calls.length > 0 ? called : new AIMessage({ content: '', tool_calls: [call] });
  const said = await model.bindTools([add]).invoke([question, asked, result]);
  assert.equal(said.getType(), 'ai', name);
}

for (const [name, model] of Object.entries(models)) {
  const whole = await model.invoke(messages);
  assert.ok(whole.text.length > 0, name);
  assert.ok(whole.usage_metadata.input_tokens > 0 && whole.usage_metadata.output_tokens > 0, name);
  const streamed = await join(await model.stream(messages));
  assert.equal(streamed.text, whole.text, name);
  assert.equal(streamed.usage_metadata.output_tokens, whole.usage_metadata.output_tokens, name);
  assert.equal((await model.batch([messages, messages]))[1].text, whole.text, name);
  await calls(name, model);
  const structured = async (schema, method) => schema.parse(await model.withStructuredOutput(schema, { name: 'answer', method }).invoke('Pick a number.'));
  if (name !== 'ollama') await structured(shape, 'functionCalling');
  // For Anthropic's API the library turns bounds and enumerations into descriptions, which hold no model.
  await structured(name === 'anthropic' ? z.object({ sure: z.boolean() }) : shape, 'jsonSchema');
}

for (const embeddings of [
  new OpenAIEmbeddings({ model: 'pebble', apiKey: 'none', maxRetries: 0, configuration: { baseURL: `${url}/v1` } }),
  new OllamaEmbeddings({ model: 'pebble', baseUrl: url, maxRetries: 0 }),
]) {
  const [one, two] = await embeddings.embedDocuments(['Hello', 'Goodbye']);
  assert.equal(one.length, 256);
  assert.notDeepEqual(one, two);
  const again = await embeddings.embedQuery('Hello');
  assert.ok(again.every((x, i) => Math.abs(x - one[i]) < 1e-6));
}

// What is refused arrives as the library's own error; it knows a conversation that is too long as such.
await assert.rejects(openai({ model: 'nobody' }).invoke(messages), (e) => e.status === 404);
await assert.rejects(openai({ maxTokens: 60 }).invoke([new HumanMessage('long '.repeat(60_000))]), ContextOverflowError.isInstance);

console.log('ok');
