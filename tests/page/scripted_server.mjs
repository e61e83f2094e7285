// The server's side of the page, as a test writes it: what a small model cannot be made to say, and what a real server does only with luck.
// The page itself comes from the real one. scripted(address, script): script.conversations, script.state, and script.turn(say, request), which
// tells events ('start' among them); what it returns is of the answer,
// its parts at least; undefined ends without a word.
import { createServer } from 'node:http';

const settings = { model: '', system: '', tools: [], temperature: null, top_p: null, max_tokens: null, thinking: true };
const now = () => Date.now() / 1000;
let ids = 1_000_000;

// parts of questions and answers by turns: a conversation.
export function conversation(id, title, said, more = {}) {
  const nodes = said.map((parts, at) => ({
    id: id * 1000 + at,
    parent: at === 0 ? null : id * 1000 + at - 1,
    role: at % 2 ? 'assistant' : 'user',
    created: now(),
    parts: typeof parts === 'string' ? [{ type: 'text', text: parts }] : parts,
    ...(at % 2 ? { model: 'millstone', finish: 'stop', usage: { prompt_tokens: 900, reused_tokens: 800, tokens: 300, decode_s: 6.1, context: 32768 } } : {}),
  }));
  return { id, title, created: now(), updated: now(), settings, leaf: nodes.at(-1)?.id ?? null, nodes, ...more };
}

const info = ({ id, title, created, updated }) => ({ id, title, created, updated });

async function turn(script, found, request, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const say = (event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  let parent = request.parent;
  if (request.parts.length) {
    const node = { id: ++ids, parent, role: 'user', created: now(), parts: request.parts };
    found.nodes.push(node);
    parent = node.id;
    found.title ||= request.parts.find((part) => part.type === 'text').text;
    say('node', { node });
  }
  const said = await script.turn(say, request, response);
  if (said) {
    const node = { id: ++ids, parent, role: 'assistant', created: now(), finish: 'stop', model: 'millstone', ...said };
    found.nodes.push(node);
    found.leaf = node.id;
    if (!response.destroyed) say('end', { node, title: found.title });
  }
  response.end();
}

function answer(script, method, path, query, body) {
  const found = script.conversations.find((one) => one.id === Number(path.split('/')[2]));
  if (path === '/state') return script.state;
  if (path === '/conversations' && method === 'GET')
    return { conversations: script.conversations.filter((one) => one.title.toLowerCase().includes(query.toLowerCase())).map(info) };
  if (path === '/conversations') {
    script.conversations.unshift(conversation(++ids, '', [], { settings: body.settings }));
    return script.conversations[0];
  }
  if (method === 'PATCH') return info(Object.assign(found, body));
  return found;
}

export async function scripted(address, script) {
  script.conversations ??= [];
  script.state ??= { version: '1.0.0', models: [{ name: 'millstone', status: 'loaded', bytes: 41e9, context: 32768, thinking: true }], tools: [] };
  const page = await fetch(address, { headers: { accept: 'text/html' } });
  const html = await page.text();
  const server = createServer(async (request, response) => {
    const at = new URL(request.url, address);
    if (at.pathname === '/') {
      response.writeHead(200, { 'content-type': 'text/html', 'content-security-policy': page.headers.get('content-security-policy') ?? '' });
      return response.end(html);
    }
    let text = '';
    for await (const piece of request) text += piece;
    const body = text ? JSON.parse(text) : undefined;
    const path = at.pathname.replace('/page/api', '');
    const found = /^\/conversations\/(\d+)\/turns$/.exec(path);
    if (found) return turn(script, script.conversations.find((one) => one.id === Number(found[1])), body, response);
    const json = answer(script, request.method, path, at.searchParams.get('query') ?? '', body);
    response.writeHead(json ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(json ?? { error: { message: 'there is no such thing' } }));
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
