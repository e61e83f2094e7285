// Anthropic's own client against `quern serve`: node anthropic.mjs URL, from a folder with the packages of package.json.
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({ baseURL: process.argv[2], apiKey: 'none', maxRetries: 0 });
const tool = {
  name: 'read_file',
  description: 'Reads a file',
  input_schema: { type: 'object', properties: { path: { type: 'string', enum: ['a.txt', 'b.txt'] } }, required: ['path'], additionalProperties: false },
};
const ask = (more = {}) => ({ model: 'pebble', max_tokens: 24, temperature: 0, messages: [{ role: 'user', content: 'Say hello.' }], ...more });
const rejects = (promise, status, type, says) =>
  assert.rejects(promise, (e) => {
    assert.equal(e.status, status);
    assert.equal(e.error.type, 'error');
    assert.equal(e.error.error.type, type);
    assert.match(e.error.error.message, says);
    return true;
  });

// One message, whole and as a stream.
const whole = await client.messages.create(ask());
assert.match(whole.id, /^msg_/);
assert.equal(whole.type, 'message');
assert.equal(whole.role, 'assistant');
assert.equal(whole.model, 'pebble');
assert.equal(whole.content[0].type, 'text');
assert.ok(['end_turn', 'max_tokens'].includes(whole.stop_reason));
assert.ok(whole.usage.output_tokens > 0 && whole.usage.output_tokens <= 24);
assert.ok(whole._request_id);
let streamed = '';
const stream = client.messages.stream(ask());
const names = [];
stream.on('text', (text) => (streamed += text));
stream.on('streamEvent', (event) => names.push(event.type));
const final = await stream.finalMessage();
assert.deepEqual(final.content.map(({ type, text }) => ({ type, text })), whole.content.map(({ type, text }) => ({ type, text })));
assert.equal(streamed, whole.content[0].text);
assert.equal(final.stop_reason, whole.stop_reason);
assert.equal(names[0], 'message_start');
assert.deepEqual(names.slice(-3), ['content_block_stop', 'message_delta', 'message_stop']);

// Tokens are counted as they are read; what was read before is not read again.
const count = await client.messages.countTokens({ model: 'pebble', messages: ask().messages, system: 'You are brief.' });
const counted = await client.messages.create(ask({ system: [{ type: 'text', text: 'You are brief.', cache_control: { type: 'ephemeral' } }] }));
const read = ({ usage }) => usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens;
assert.equal(read(counted), count.input_tokens);
const longer = { system: 'You are brief. '.repeat(40), messages: ask().messages };
await client.messages.create(ask(longer));
const again = await client.messages.create(ask(longer));
assert.ok(again.usage.cache_read_input_tokens > 0.5 * read(again), JSON.stringify(again.usage));

// Calls: forced, named, streamed, and their results.
const called = await client.messages.create(ask({ max_tokens: 200, tools: [tool], tool_choice: { type: 'any', disable_parallel_tool_use: true } }));
const uses = called.content.filter((block) => block.type === 'tool_use');
assert.equal(uses.length, 1);
assert.equal(uses[0].name, 'read_file');
assert.ok(tool.input_schema.properties.path.enum.includes(uses[0].input.path));
assert.equal(called.stop_reason, 'tool_use');
const named = await client.messages
  .stream(ask({ max_tokens: 200, tools: [tool, { type: 'web_search_20250305', name: 'web_search' }], tool_choice: { type: 'tool', name: 'read_file', disable_parallel_tool_use: true } }))
  .finalMessage();
assert.deepEqual(named.content.find((block) => block.type === 'tool_use').input, uses[0].input);
const answered = await client.messages.create(
  ask({
    tools: [tool],
    messages: [
      ...ask().messages,
      { role: 'assistant', content: called.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: uses[0].id, content: [{ type: 'text', text: 'It says hello.' }] }] },
    ],
  }),
);
assert.equal(answered.type, 'message');

// JSON of a schema, stop sequences, an answer that is begun, the beta's address.
const schema = { type: 'object', properties: { n: { type: 'integer', minimum: 1, maximum: 9 } }, required: ['n'], additionalProperties: false };
const json = await client.messages.create(ask({ max_tokens: 100, output_config: { format: { type: 'json_schema', schema } } }));
assert.ok(Number.isInteger(JSON.parse(json.content[0].text).n));
const text = whole.content[0].text;
const stop = text.slice(2, 4);
const stopped = await client.messages.create(ask({ stop_sequences: [stop] }));
assert.equal(stopped.stop_reason, 'stop_sequence');
assert.equal(stopped.stop_sequence, stop);
assert.equal(stopped.content[0]?.text ?? '', text.slice(0, text.indexOf(stop)));
const begun = await client.messages.create(ask({ messages: [...ask().messages, { role: 'assistant', content: text.slice(0, 4) }] }));
assert.equal(begun.type, 'message');
assert.equal((await client.beta.messages.create(ask({ betas: ['some-beta-2026-01-01'], thinking: { type: 'disabled' } }))).content[0].text, text);

// What cannot be done is said in Anthropic's shape.
await rejects(client.messages.create(ask({ model: 'nobody' })), 404, 'not_found_error', /nobody/);
await rejects(client.messages.create(ask({ temperature: 3 })), 400, 'invalid_request_error', /temperature/);
const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: '' } };
await rejects(client.messages.create(ask({ messages: [{ role: 'user', content: [image] }] })), 400, 'invalid_request_error', /image/);
await rejects(client.messages.create(ask({ messages: [{ role: 'user', content: 'word '.repeat(40000) }] })), 400, 'invalid_request_error', /^prompt is too long/);

// A client that goes away.
const abandoned = client.messages.stream(ask({ max_tokens: 2000, messages: [{ role: 'user', content: 'Count: 1 2 3 4' }] }));
abandoned.on('text', () => abandoned.abort());
await assert.rejects(abandoned.finalMessage());
assert.equal((await client.messages.create(ask())).content[0].text, text);
console.log('ok');
