// OpenAI's own client against `quern serve`: node openai.mjs URL, from a folder with the packages of package.json.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: 'none', maxRetries: 0 });
const rules = 'You are brief. '.repeat(60);  // long enough to be worth keeping
const messages = [{ role: 'system', content: rules }, { role: 'user', content: 'Say hello.' }];
const common = { model: 'pebble', messages, temperature: 0, max_completion_tokens: 24 };
const rejects = (promise, status, code, param) =>
  assert.rejects(promise, (e) => {
    assert.ok(e instanceof OpenAI.APIError, String(e));
    assert.deepEqual([e.status, e.code, e.param], [status, code, param], e.message);
    return true;
  });
const collect = async (stream) => {
  const all = [];
  for await (const one of stream) all.push(one);
  return all;
};

// A chat, whole and as a stream.
const whole = await client.chat.completions.create(common);
assert.equal(whole.object, 'chat.completion');
assert.ok(['stop', 'length'].includes(whole.choices[0].finish_reason));
assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
const chunks = await collect(await client.chat.completions.create({ ...common, stream: true, stream_options: { include_usage: true } }));
assert.equal(chunks.map((c) => c.choices[0]?.delta.content ?? '').join(''), whole.choices[0].message.content);
assert.equal(chunks.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
assert.ok(chunks.at(-1).usage.prompt_tokens_details.cached_tokens > 0, 'the same prompt again is not read again');
const several = await client.chat.completions.create({ ...common, n: 2, temperature: 1, seed: 3, logprobs: true, top_logprobs: 2 });
assert.equal(several.choices.length, 2);
assert.ok(several.choices[0].logprobs.content.every((t) => t.logprob <= 0 && t.top_logprobs.length === 2));
const again = await client.chat.completions.create({ ...common, n: 2, temperature: 1, seed: 3 });
assert.deepEqual(again.choices.map((c) => c.message.content), several.choices.map((c) => c.message.content));

// Tools, with the client's own reader of streams, and the answer to their results.
const parameters = { type: 'object', properties: { a: { type: 'integer' }, b: { type: 'integer' } }, required: ['a', 'b'], additionalProperties: false };
const tools = [{ type: 'function', function: { name: 'add', description: 'Adds', parameters } }];
const call = { ...common, tools, tool_choice: 'required', parallel_tool_calls: false, max_completion_tokens: 200 };
const called = await client.chat.completions.stream({ ...call, stream_options: { include_usage: true } }).finalChatCompletion();
const made = called.choices[0].message.tool_calls[0];
assert.equal(called.choices[0].finish_reason, 'tool_calls');
assert.equal(made.function.name, 'add');
assert.ok(Number.isInteger(JSON.parse(made.function.arguments).a));
const next = await client.chat.completions.create({
  ...common,
  messages: [...messages, called.choices[0].message, { role: 'tool', tool_call_id: made.id, content: '5' }],
  tools,
});
assert.equal(next.choices[0].message.role, 'assistant');
assert.ok(next.usage.prompt_tokens_details.cached_tokens > called.usage.prompt_tokens - 20, 'what was said is known again');

// JSON, with the client's own parser.
const schema = { type: 'object', properties: { n: { type: 'integer', minimum: 1, maximum: 9 } }, required: ['n'], additionalProperties: false };
const parsed = await client.chat.completions.parse({ ...common, response_format: { type: 'json_schema', json_schema: { name: 'n', schema, strict: true } } });
assert.ok(Number.isInteger(parsed.choices[0].message.parsed?.n ?? JSON.parse(parsed.choices[0].message.content).n));

// Text that goes on.
const text = await client.completions.create({ model: 'pebble', prompt: ['Once upon', 'It was'], max_tokens: 5, temperature: 0, logprobs: 1 });
assert.equal(text.choices.length, 2);
assert.ok(text.choices[0].logprobs.tokens.length <= 5);
const pieces = await collect(await client.completions.create({ model: 'pebble', prompt: 'Once upon', max_tokens: 5, temperature: 0, stream: true }));
assert.equal(pieces.map((p) => p.choices[0]?.text ?? '').join(''), text.choices[0].text);

// Responses, as a chain, and their events.
const first = await client.responses.create({ model: 'pebble', instructions: rules, input: 'Say hello.', temperature: 0, max_output_tokens: 24 });
assert.equal(first.output_text, whole.choices[0].message.content);
const events = await collect(
  await client.responses.create({ model: 'pebble', instructions: rules, input: 'And now?', previous_response_id: first.id, temperature: 0, max_output_tokens: 8, stream: true }),
);
assert.deepEqual(events.map((e) => e.sequence_number), events.map((_, i) => i));
assert.equal(events[0].type, 'response.created');
const last = events.at(-1).response;
assert.ok(['response.completed', 'response.incomplete'].includes(events.at(-1).type));
assert.ok(last.usage.input_tokens_details.cached_tokens > 0);
assert.equal(events.filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta).join(''), last.output[0].content[0].text);
assert.equal((await client.responses.retrieve(first.id)).output_text, first.output_text);
assert.equal((await client.responses.inputItems.list(first.id)).data[0].content[0].text, 'Say hello.');
const used = await client.responses
  .stream({ model: 'pebble', input: 'Add 2 and 3.', tools: [{ type: 'function', name: 'add', parameters, strict: true }, { type: 'web_search' }], tool_choice: 'required', temperature: 0 })
  .finalResponse();
assert.equal(used.output.find((o) => o.type === 'function_call').name, 'add');
assert.equal(used.metadata.ignored_tools, 'web_search');
const stateless = await client.responses.create({
  model: 'pebble',
  store: false,
  input: [{ role: 'user', content: 'Add 2 and 3.' }, ...used.output, { type: 'function_call_output', call_id: used.output.at(-1).call_id, output: '5' }],
  max_output_tokens: 5,
});
await rejects(client.responses.retrieve(stateless.id), 404, 'response_not_found', null);
await client.responses.delete(first.id);
await rejects(client.responses.create({ model: 'pebble', input: 'x', previous_response_id: first.id }), 400, 'previous_response_not_found', 'previous_response_id');

// Embeddings: the client asks for base64 unless it is told otherwise.
const packed = await client.embeddings.create({ model: 'pebble', input: ['Hello', 'Goodbye'] });
const plain = await client.embeddings.create({ model: 'pebble', input: 'Hello', encoding_format: 'float' });
assert.equal(packed.data.length, 2);
assert.equal(packed.data[0].embedding.length, 256);
assert.ok(packed.data[0].embedding.every((x, i) => Math.abs(x - plain.data[0].embedding[i]) < 1e-6));

// Models and errors.
assert.ok((await collect(await client.models.list())).some((m) => m.id === 'pebble'));
assert.equal((await client.models.retrieve('pebble')).owned_by, 'quern');
await rejects(client.models.retrieve('nobody'), 404, 'model_not_found', 'model');
await rejects(client.chat.completions.create({ ...common, model: 'nobody' }), 404, 'model_not_found', 'model');
await rejects(client.chat.completions.create({ ...common, temperature: 3 }), 400, 'invalid_value', 'temperature');
await rejects(client.embeddings.create({ model: 'pebble', input: 'a', dimensions: 8 }), 400, 'unsupported_value', 'dimensions');
const image = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:,' } }] }];
await rejects(client.chat.completions.create({ ...common, messages: image }), 400, 'unsupported_value', 'messages[0].content[0].type');

// A client that breaks off in mid-stream; the server goes on serving.
const items = { type: 'array', items: { type: 'integer' }, minItems: 3000 };
const endless = await client.chat.completions.create({
  ...common,
  max_completion_tokens: 20000,
  stream: true,
  response_format: { type: 'json_schema', json_schema: { name: 'long', schema: items } },
});
let seen = 0;
for await (const chunk of endless) {
  if (chunk.choices[0].delta.content && ++seen === 3) break;
}
assert.equal(seen, 3);
assert.equal((await client.chat.completions.create(common)).choices[0].message.content, whole.choices[0].message.content);

console.log('ok');
