// The AI SDK, through which opencode and others speak, against `quern serve`: node aisdk.mjs URL, from a folder with the packages of package.json.
import assert from 'node:assert/strict';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embedMany, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';

const url = process.argv[2];
const compatible = createOpenAICompatible({ name: 'quern', baseURL: `${url}/v1`, apiKey: 'none', includeUsage: true, supportsStructuredOutputs: true });
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey: 'none' });
const schema = z.object({ n: z.number().int().min(1).max(9), word: z.enum(['yes', 'no']) });

for (const model of [compatible('pebble'), anthropic('pebble')]) {
  const common = { model, temperature: 0, maxRetries: 0, maxOutputTokens: 100 };
  const greeting = { ...common, system: 'You are brief.', prompt: 'Say hello.' };
  const whole = await generateText(greeting);
  assert.ok(whole.text.length > 0);
  assert.ok(whole.usage.inputTokens > 0 && whole.usage.outputTokens > 0);
  let streamed = '';
  const stream = streamText({ ...greeting, onError: ({ error }) => { throw error; } });
  for await (const piece of stream.textStream) streamed += piece;
  assert.equal(streamed, whole.text);
  assert.equal((await stream.usage).outputTokens, whole.usage.outputTokens);

  // The SDK runs the call and comes back with its result.
  const ran = [];
  const tools = { add: tool({ description: 'Adds', inputSchema: z.object({ a: z.number().int(), b: z.number().int() }), execute: (input) => (ran.push(input), input.a + input.b) }) };
  const agent = streamText({
    ...common, tools, stopWhen: stepCountIs(2), prompt: 'Add 2 and 3 with the tool.',
    prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? { type: 'tool', toolName: 'add' } : 'none' }),
  });
  const kinds = new Set();
  for await (const part of agent.fullStream) {
    assert.notEqual(part.type, 'error', String(part.error));
    kinds.add(part.type);
  }
  for (const kind of ['tool-input-delta', 'tool-call', 'tool-result', 'text-delta']) assert.ok(kinds.has(kind), `${kind} in ${[...kinds]}`);
  const steps = await agent.steps;
  assert.equal(steps.length, 2);
  assert.equal(steps[0].finishReason, 'tool-calls');
  assert.deepEqual(steps[0].toolCalls.map((c) => c.input), ran);
  assert.ok((await agent.usage).inputTokens > 0);

  const { object } = await generateObject({ ...common, schema, prompt: 'Pick a number.' });
  schema.parse(object);
  const pieces = streamObject({ ...common, schema, prompt: 'Pick a number.' });
  let last;
  for await (const piece of pieces.partialObjectStream) last = piece;
  schema.parse(last);
  assert.deepEqual(await pieces.object, object);
}

const { embeddings } = await embedMany({ model: compatible.embeddingModel('pebble'), values: ['Hello', 'Goodbye'] });
assert.equal(embeddings.length, 2);
assert.equal(embeddings[0].length, 256);

await assert.rejects(generateText({ model: compatible('nobody'), maxRetries: 0, prompt: 'x' }), (e) => e.statusCode === 404 && e.message.includes('nobody'));
await assert.rejects(generateText({ model: anthropic('nobody'), maxRetries: 0, prompt: 'x' }), (e) => e.statusCode === 404 && e.message.includes('nobody'));

console.log('ok');
