// The server's side of the page, /page/api. Everything the page knows comes through here.

export interface ModelInfo {
  name: string;
  status: 'absent' | 'loading' | 'loaded';
  bytes: number;
  context?: number; // known once it has been loaded
  thinking?: boolean;
}

export interface ToolInfo {
  name: string;
  description: string;
  group: string; // "built in", or the name of an MCP server
  asks: boolean; // the page is asked before each call
}

export interface ServerState {
  version: string;
  models: ModelInfo[];
  tools: ToolInfo[]; // none where the server was not started with them
}

export type Part =
  | { type: 'text'; text: string }
  | { type: 'thinking'; text: string }
  | { type: 'attachment'; name: string; text: string; tokens?: number }
  | { type: 'call'; id: string; name: string; arguments: string; result?: string; ok?: boolean; seconds?: number; decision?: 'allowed' | 'denied' }
  | { type: 'error'; text: string };

export interface Usage {
  prompt_tokens: number;
  reused_tokens: number;
  tokens: number;
  decode_s: number;
  context: number;
}

// A message. Those of a conversation are a tree: each answers its parent, and siblings are other branches.
export interface TreeNode {
  id: number;
  parent: number | null;
  role: 'user' | 'assistant';
  created: number; // seconds since 1970
  parts: Part[];
  model?: string;
  usage?: Usage;
  finish?: string; // stop, length, context, cancelled, error
}

export interface ConversationInfo {
  id: number;
  title: string;
  created: number;
  updated: number;
}

export interface Settings {
  model: string;
  system: string;
  tools: string[];
  temperature: number | null; // null: what the model's makers say
  top_p: number | null;
  max_tokens: number | null;
  thinking: boolean;
}

export interface Conversation extends ConversationInfo {
  settings: Settings;
  leaf: number | null; // the message last looked at
  nodes: TreeNode[];
}

export interface TurnRequest {
  parent: number | null; // the message it answers; a user message is added below it, unless `parts` is empty
  parts: Part[];
  settings: Settings;
}

export type TurnEvent =
  | { event: 'node'; data: { node: TreeNode } }
  | { event: 'loading'; data: { model: string; done?: number; total?: number } } // bytes of it in memory
  | { event: 'start'; data: { id: number; prompt_tokens: number; context: number } }
  | { event: 'reading'; data: { done: number; total: number } }
  | { event: 'thinking'; data: { text: string } }
  | { event: 'text'; data: { text: string } }
  | { event: 'call'; data: { id: string; name: string } } // the model begins to write it
  | { event: 'arguments'; data: { id: string; json: string } } // more of them
  | { event: 'called'; data: Extract<Part, { type: 'call' }> } // it is whole
  | { event: 'question'; data: { id: string; call: string; question: string; choices: string[] } }
  | { event: 'approval'; data: { id: string; call: string; reason: string } }
  | { event: 'result'; data: { call: string; text: string; ok: boolean; seconds: number; decision?: 'allowed' | 'denied' } }
  | { event: 'usage'; data: Usage }
  | { event: 'end'; data: { node: TreeNode; title: string } }
  | { event: 'error'; data: { message: string } };

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const KEY = 'quern.key';
export const apiKey = {
  get: () => sessionStorage.getItem(KEY) ?? '',
  set: (key: string) => sessionStorage.setItem(KEY, key),
};

async function request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (apiKey.get()) headers['authorization'] = `Bearer ${apiKey.get()}`;
  let response: Response;
  try {
    response = await fetch(`/page/api${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'quern does not answer. Is the server still running?');
  }
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message ?? message;
  } catch {
    // the status says it
  }
  throw new ApiError(response.status, message);
}

const json = async <T>(method: string, path: string, body?: unknown): Promise<T> => (await request(method, path, body)).json();

export const api = {
  state: () => json<ServerState>('GET', '/state'),
  conversations: (query: string) => json<{ conversations: ConversationInfo[] }>('GET', `/conversations?query=${encodeURIComponent(query)}`),
  conversation: (id: number) => json<Conversation>('GET', `/conversations/${id}`),
  create: (settings: Settings) => json<Conversation>('POST', '/conversations', { settings }),
  // A conversation of its own with everything up to this message.
  fork: (id: number, node: number) => json<Conversation>('POST', `/conversations/${id}/fork`, { node }),
  change: (id: number, change: { title?: string; settings?: Settings; leaf?: number | null }) =>
    json<ConversationInfo>('PATCH', `/conversations/${id}`, change),
  remove: async (id: number) => void (await request('DELETE', `/conversations/${id}`)),
  exported: async (id: number, format: 'markdown' | 'json') => (await request('GET', `/conversations/${id}/export?format=${format}`)).blob(),
  count: (model: string, texts: string[]) => json<{ tokens: number[] }>('POST', '/count', { model, texts }),
  approve: async (id: string, allow: boolean) => void (await request('POST', `/approvals/${id}`, { allow })),
  // What the model asked; null: the person would rather not say.
  reply: async (id: string, answer: string | null) => void (await request('POST', `/approvals/${id}`, { answer })),

  // Calls `on` with each event until the turn is over. Aborting ends the turn; what was said is kept.
  async turn(id: number, turn: TurnRequest, on: (event: TurnEvent) => void, signal: AbortSignal): Promise<void> {
    const response = await request('POST', `/conversations/${id}/turns`, turn, signal);
    try {
      for await (const event of serverSentEvents(response.body!)) on(event as TurnEvent);
    } catch (error) {
      if (signal.aborted || !(error instanceof TypeError)) throw error;
      throw new ApiError(0, 'The connection to quern broke. Is the server still running?');
    }
  },
};

async function* serverSentEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<{ event: string; data: unknown }> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let held = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += decoder.decode(value, { stream: true });
    for (let end = held.indexOf('\n\n'); end >= 0; end = held.indexOf('\n\n')) {
      let event = 'message';
      let data = '';
      for (const line of held.slice(0, end).split('\n')) {
        if (line.startsWith('event: ')) event = line.slice(7);
        if (line.startsWith('data: ')) data += line.slice(6);
      }
      held = held.slice(end + 2);
      if (data) yield { event, data: JSON.parse(data) };
    }
  }
}
