// What the page knows and does. Components read the signals and call the functions; only this file speaks to the server.
import { batch, computed, signal } from '@preact/signals';
import {
  api,
  ApiError,
  type Conversation,
  type ConversationInfo,
  type Part,
  type ServerState,
  type Settings,
  type TreeNode,
  type TurnEvent,
  type Usage,
} from './api';
import { newestBelow, pathTo } from './tree';

export interface Approval {
  id: string;
  call: string;
  reason: string;
}

// What the model asks the person.
export interface Question {
  id: string;
  call: string;
  question: string;
  choices: string[];
}

// An answer that is being made.
export interface Running {
  conversation: number;
  parent: number | null;
  parts: Part[];
  phase: string; // what is happening, in words
  progress: number | null; // 0 to 1 while a prompt is read
  approvals: Approval[];
  questions: Question[];
  usage: Usage | null;
  started: number;
  abort: AbortController;
}

export interface Attachment {
  name: string;
  text: string;
  tokens?: number;
}

export const server = signal<ServerState | null>(null);
export const conversations = signal<ConversationInfo[]>([]);
export const search = signal('');
export const current = signal<Conversation | null>(null);
export const running = signal<Running | null>(null);
export const problem = signal<string | null>(null);
export const needsKey = signal(false);
export const draft = signal('');
export const attachments = signal<Attachment[]>([]);
export const editing = signal<number | null>(null); // the message that the composer replaces

const kSettings = 'quern.settings';
const plain: Settings = { model: '', system: '', tools: [], temperature: null, top_p: null, max_tokens: null, thinking: true };
const remembered = (): Settings => {
  try {
    return { ...plain, ...JSON.parse(localStorage.getItem(kSettings) ?? '{}') };
  } catch {
    return plain;
  }
};
export const settings = signal<Settings>(remembered());

export const path = computed<TreeNode[]>(() => (current.value ? pathTo(current.value.nodes, current.value.leaf) : []));
export const model = computed(() => server.value?.models.find((m) => m.name === settings.value.model) ?? server.value?.models[0] ?? null);
export const lastUsage = computed<Usage | null>(
  () => running.value?.usage ?? [...path.value].reverse().find((node) => node.usage)?.usage ?? null,
);
export const busy = computed(() => running.value !== null);

function failed(error: unknown) {
  if (error instanceof ApiError && error.status === 401) needsKey.value = true;
  problem.value = error instanceof Error ? error.message : String(error);
}

async function trying<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    failed(error);
    return undefined;
  }
}

export const refreshState = () =>
  trying(async () => {
    const state = await api.state();
    server.value = state;
    needsKey.value = false;
    if (!state.models.some((m) => m.name === settings.value.model)) settings.value = { ...settings.value, model: state.models[0]?.name ?? '' };
  });

export const refreshList = () =>
  trying(async () => {
    conversations.value = (await api.conversations(search.value)).conversations;
  });

export async function start() {
  await refreshState();
  if (needsKey.value) return;
  await refreshList();
  await followHash();
}

// The address names what is shown, so that "back", bookmarks and a second window work.
export async function followHash() {
  const id = Number(/^#\/c\/(\d+)$/.exec(location.hash)?.[1] ?? NaN);
  if (Number.isNaN(id)) {
    current.value = null;
  } else if (current.value?.id !== id) {
    const found = await trying(() => api.conversation(id));
    if (found) show(found);
    else location.hash = '';
  }
}

function show(conversation: Conversation) {
  batch(() => {
    current.value = conversation;
    settings.value = { ...plain, ...conversation.settings };
    editing.value = null;
    problem.value = null;
  });
  const hash = `#/c/${conversation.id}`;
  if (location.hash !== hash) location.hash = hash;
}

export function newConversation() {
  stop();
  batch(() => {
    current.value = null;
    editing.value = null;
    draft.value = '';
    attachments.value = [];
    problem.value = null;
  });
  location.hash = '';
}

export function changeSettings(change: Partial<Settings>) {
  settings.value = { ...settings.value, ...change };
  localStorage.setItem(kSettings, JSON.stringify({ ...settings.value, tools: [] }));
  const id = current.value?.id;
  if (id !== undefined) void trying(() => api.change(id, { settings: settings.value }));
}

function addNode(node: TreeNode) {
  const conversation = current.value;
  if (!conversation) return;
  const nodes = conversation.nodes.filter((other) => other.id !== node.id);
  current.value = { ...conversation, nodes: [...nodes, node], leaf: node.id };
}

export function goTo(node: TreeNode) {
  const conversation = current.value;
  if (!conversation) return;
  const leaf = newestBelow(conversation.nodes, node.id);
  current.value = { ...conversation, leaf };
  void trying(() => api.change(conversation.id, { leaf }));
}

export async function send() {
  const text = draft.value.trim();
  if (busy.value || (!text && attachments.value.length === 0)) return;
  const parts: Part[] = attachments.value.map((a) => ({ type: 'attachment', name: a.name, text: a.text, tokens: a.tokens }));
  if (text) parts.push({ type: 'text', text });
  const edited = path.value.find((node) => node.id === editing.value);
  const conversation = current.value ?? (await trying(() => api.create(settings.value)));
  if (!conversation) return;
  const parent = edited ? edited.parent : conversation.leaf;
  batch(() => {
    draft.value = '';
    attachments.value = [];
    editing.value = null;
    if (current.value?.id !== conversation.id) show(conversation);
  });
  await turn(parent, parts);
}

// The same question once more: another branch.
export const again = (answer: TreeNode) => turn(answer.parent, []);

export function edit(node: TreeNode) {
  batch(() => {
    editing.value = node.id;
    draft.value = node.parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n\n');
    attachments.value = node.parts.flatMap((part) => (part.type === 'attachment' ? [part] : []));
  });
}

async function turn(parent: number | null, parts: Part[]) {
  const conversation = current.value;
  if (!conversation || busy.value) return;
  const abort = new AbortController();
  batch(() => {
    problem.value = null;
    current.value = { ...conversation, leaf: parent };
    running.value = {
      conversation: conversation.id,
      parent,
      parts: [],
      phase: 'Waiting',
      progress: null,
      approvals: [],
      questions: [],
      usage: null,
      started: performance.now(),
      abort,
    };
  });
  try {
    await api.turn(conversation.id, { parent, parts, settings: settings.value }, (event) => happened(conversation.id, event), abort.signal);
  } catch (error) {
    if (!abort.signal.aborted) failed(error);
  }
  running.value = null;
  if (abort.signal.aborted) {
    // What was said until then is kept by the server, which needs a moment to notice.
    await new Promise((done) => setTimeout(done, 150));
    const kept = await trying(() => api.conversation(conversation.id));
    if (kept && current.value?.id === kept.id) current.value = kept;
  }
  void refreshList();
  void refreshState();
}

export const stop = () => running.value?.abort.abort();

export async function decide(approval: Approval, allow: boolean) {
  const now = running.value;
  if (now) running.value = { ...now, approvals: now.approvals.filter((other) => other.id !== approval.id) };
  await trying(() => api.approve(approval.id, allow));
}

export async function reply(question: Question, answer: string | null) {
  const now = running.value;
  if (now) running.value = { ...now, phase: 'Reading', questions: now.questions.filter((other) => other.id !== question.id) };
  await trying(() => api.reply(question.id, answer));
}

// The call of that id, begun or whole; one that was cut off gives its place to the next.
function putCall(parts: Part[], call: Extract<Part, { type: 'call' }>): Part[] {
  const at = parts.findIndex((part) => part.type === 'call' && part.id === call.id);
  return at < 0 ? [...parts, call] : parts.with(at, call);
}

const changePart = (parts: Part[], id: string, change: (call: Extract<Part, { type: 'call' }>) => Part): Part[] =>
  parts.map((part) => (part.type === 'call' && part.id === id ? change(part) : part));

function grow(parts: Part[], type: 'text' | 'thinking', text: string): Part[] {
  const last = parts.at(-1);
  return last?.type === type ? [...parts.slice(0, -1), { type, text: last.text + text }] : [...parts, { type, text }];
}

// What one event changes in an answer that is being made.
export function grown(now: Running, { event, data }: TurnEvent): Running {
  switch (event) {
    case 'loading':
      return { ...now, phase: `Loading ${data.model}` };
    case 'start':
      return { ...now, phase: 'Reading', progress: 0 };
    case 'reading':
      return { ...now, phase: 'Reading', progress: data.total ? data.done / data.total : null };
    case 'thinking':
      return { ...now, phase: 'Thinking', progress: null, parts: grow(now.parts, 'thinking', data.text) };
    case 'text':
      return { ...now, phase: 'Writing', progress: null, parts: grow(now.parts, 'text', data.text) };
    case 'call':
      return { ...now, phase: `Writing to ${data.name}`, progress: null, parts: putCall(now.parts, { type: 'call', arguments: '', ...data }) };
    case 'arguments':
      return { ...now, parts: changePart(now.parts, data.id, (call) => ({ ...call, arguments: call.arguments + data.json })) };
    case 'called':
      return { ...now, phase: `Calling ${data.name}`, progress: null, parts: putCall(now.parts, data) };
    case 'question':
      return { ...now, phase: 'Waiting for you', questions: [...now.questions, data] };
    case 'approval':
      return { ...now, phase: 'Waiting for you', approvals: [...now.approvals, data] };
    case 'result': {
      const { call, text, ...rest } = data;
      return {
        ...now,
        phase: 'Reading',
        approvals: now.approvals.filter((approval) => approval.call !== call),
        questions: now.questions.filter((question) => question.call !== call),
        parts: changePart(now.parts, call, (part) => ({ ...part, result: text, ...rest })),
      };
    }
    case 'usage':
      return { ...now, usage: data };
    case 'error':
      return { ...now, parts: [...now.parts, { type: 'error', text: data.message }] };
    default:
      return now;
  }
}

function happened(conversation: number, event: TurnEvent) {
  const here = current.value?.id === conversation;
  if (event.event === 'node' || event.event === 'end') {
    batch(() => {
      if (here) addNode(event.data.node);
      if (event.event !== 'end') return;
      running.value = null;
      if (here && current.value && event.data.title) current.value = { ...current.value, title: event.data.title };
    });
  } else if (running.value) {
    running.value = grown(running.value, event);
  }
}

export const fork = (node: TreeNode) =>
  trying(async () => {
    if (!current.value) return;
    show(await api.fork(current.value.id, node.id));
    await refreshList();
  });

export const rename = (id: number, title: string) =>
  trying(async () => {
    await api.change(id, { title });
    if (current.value?.id === id) current.value = { ...current.value, title };
    await refreshList();
  });

export const remove = (id: number) =>
  trying(async () => {
    await api.remove(id);
    if (current.value?.id === id) newConversation();
    await refreshList();
  });

export const download = (conversation: ConversationInfo, format: 'markdown' | 'json') =>
  trying(async () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await api.exported(conversation.id, format));
    link.download = `${conversation.title.replace(/[^\p{L}\p{N} _-]/gu, '').trim() || 'conversation'}.${format === 'json' ? 'json' : 'md'}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });

const kMaxAttachment = 2 << 20; // bytes of one file
const kMaxAttachments = 400;
const skipped = /(^|\/)(node_modules|\.git|build|dist|target|__pycache__|\.venv)\//;

// Text files only; what is none, or too large, is named and left out.
export async function attach(files: Iterable<File>) {
  const refused: string[] = [];
  const added: Attachment[] = [];
  for (const file of [...files]) {  // an input's list is emptied while the first one is read
    const name = file.webkitRelativePath || file.name;
    if (skipped.test(name)) continue;
    if (file.size > kMaxAttachment || attachments.value.length + added.length >= kMaxAttachments) {
      refused.push(name);
      continue;
    }
    const text = await file.text();
    if (text.includes('\0') || text.includes('\uFFFD')) refused.push(name);
    else added.push({ name, text });
  }
  attachments.value = [...attachments.value, ...added];
  if (refused.length) problem.value = `Left out, for being too large or no text: ${refused.slice(0, 5).join(', ')}${refused.length > 5 ? `, and ${refused.length - 5} more` : ''}`;
  await count(added);
}

async function count(added: Attachment[]) {
  const name = model.value?.name;
  if (!name || added.length === 0) return;
  const counts = await trying(() => api.count(name, added.map((a) => a.text)));
  if (!counts) return;
  attachments.value = attachments.value.map((a) => {
    const at = added.indexOf(a);
    return at < 0 ? a : { ...a, tokens: counts.tokens[at] };
  });
}
