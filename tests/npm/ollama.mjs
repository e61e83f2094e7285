// Ollama's own client against `quern serve`: node ollama.mjs URL, from a folder with the packages of package.json.
import assert from 'node:assert/strict';
import { Ollama } from 'ollama';

const client = new Ollama({ host: process.argv[2] });
const messages = [{ role: 'user', content: 'Say hello.' }];
const options = { temperature: 0, num_predict: 24, num_ctx: 4096 };
const rejects = (promise, status, says) =>
  assert.rejects(promise, (e) => {
    assert.equal(e.status_code, status);
    assert.match(e.message, says);
    return true;
  });

// A chat, whole and as a stream.
const whole = await client.chat({ model: 'pebble', messages, options });
assert.equal(whole.model, 'pebble');
assert.equal(whole.message.role, 'assistant');
assert.equal(whole.done, true);
assert.ok(['stop', 'length'].includes(whole.done_reason));
assert.ok(whole.prompt_eval_count > 0 && whole.eval_count > 0 && whole.eval_count <= 24);
assert.ok(whole.total_duration > 0 && whole.eval_duration > 0);
let streamed = '', last;
for await (const part of await client.chat({ model: 'pebble:latest', messages, options, stream: true })) {
  streamed += part.message.content;
  last = part;
}
assert.equal(streamed, whole.message.content);
assert.equal(last.done, true);
assert.equal(last.eval_count, whole.eval_count);

// Calls and JSON.
const tool = {
  type: 'function',
  function: { name: 'add', description: 'Adds', parameters: { type: 'object', properties: { a: { type: 'integer' }, b: { type: 'integer' } }, required: ['a', 'b'], additionalProperties: false } },
};
const called = await client.chat({ model: 'pebble', messages: [{ role: 'user', content: 'Add 2 and 3 with the tool.' }], tools: [tool], options: { ...options, num_predict: 200 } });
for (const call of called.message.tool_calls ?? []) {
  assert.equal(call.function.name, 'add');
  assert.ok(Number.isInteger(call.function.arguments.a));
}
const results = await client.chat({
  model: 'pebble',
  messages: [{ role: 'user', content: 'Add 2 and 3.' }, { role: 'assistant', content: '', tool_calls: [{ function: { name: 'add', arguments: { a: 2, b: 3 } } }] }, { role: 'tool', tool_name: 'add', content: '5' }],
  tools: [tool],
  options,
});
assert.equal(results.message.role, 'assistant');
const format = { type: 'object', properties: { n: { type: 'integer', minimum: 1, maximum: 9 } }, required: ['n'], additionalProperties: false };
assert.ok(Number.isInteger(JSON.parse((await client.chat({ model: 'pebble', messages, format, options: { ...options, num_predict: 100 } })).message.content).n));

// Prompts.
const generated = await client.generate({ model: 'pebble', prompt: 'Say hello.', options });
assert.equal(generated.response, whole.message.content);
let raw = '';
for await (const part of await client.generate({ model: 'pebble', prompt: 'Once', raw: true, stream: true, options: { ...options, num_predict: 5, seed: 1 } })) raw += part.response;
assert.equal(raw, (await client.generate({ model: 'pebble', prompt: 'Once', raw: true, options: { ...options, num_predict: 5 } })).response);

// Models.
const { models } = await client.list();
assert.ok(models.some(({ name }) => name === 'pebble:latest'));
const shown = await client.show({ model: 'pebble' });
assert.equal(shown.details.family, 'qwen3_next');
assert.ok(shown.capabilities.includes('tools'));
assert.ok(shown.model_info['qwen3_next.context_length'] > 0);
assert.deepEqual((await client.ps()).models.map(({ name }) => name), ['pebble:latest']);
assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);
const loaded = await client.chat({ model: 'pebble', messages: [], keep_alive: '10m' });
assert.equal(loaded.done_reason, 'load');
const expires = new Date((await client.ps()).models[0].expires_at) - Date.now();
assert.ok(expires > 500e3 && expires < 610e3, `${expires} ms`);

// Embeddings: of unit length, the same alone and among others.
const embed = await client.embed({ model: 'pebble', input: ['a cat', 'a house on a hill'] });
assert.equal(embed.embeddings.length, 2);
assert.ok(Math.abs(Math.hypot(...embed.embeddings[0]) - 1) < 1e-5);
assert.deepEqual((await client.embeddings({ model: 'pebble', prompt: 'a cat' })).embedding, embed.embeddings[0]);

// What cannot be done is said.
await rejects(client.chat({ model: 'nobody', messages }), 404, /nobody/);
await rejects(client.chat({ model: 'pebble', messages: [{ role: 'user', content: 'x', images: ['aGk='] }] }), 400, /images/);
await rejects(client.chat({ model: 'pebble', messages, options: { top_p: 7 } }), 400, /top_p/);
await rejects(client.chat({ model: 'pebble', messages, think: true }), 400, /does not support thinking/);
await rejects(client.pull({ model: 'llama' }), 501, /--models/);
await rejects(client.delete({ model: 'pebble' }), 501, /delete the model's folder/);

const gone = await client.chat({ model: 'pebble', messages: [], keep_alive: 0 });
assert.equal(gone.done_reason, 'unload');
for (let i = 0; i < 100 && (await client.ps()).models.length; ++i) await new Promise((done) => setTimeout(done, 20));
assert.deepEqual((await client.ps()).models, []);
assert.equal((await client.chat({ model: 'pebble', messages, options })).message.content, whole.message.content);
console.log('ok');
