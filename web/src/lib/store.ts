// What the page knows and does. Components read the signals and call the functions; only this file speaks to the server.
import { batch, computed, signal } from '@preact/signals';
import { grown, type Approval, type Question, type Running } from './answer';
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
import { paced } from './pace';
import { childrenIn, newestBelow, pathTo } from './tree';

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
// The list knows it first.
export const title = computed(() => current.value?.title || conversations.value.find((one) => one.id === current.value?.id)?.title);
export const children = computed(() => childrenIn(current.value?.nodes ?? []));
export const model = computed(() => server.value?.models.find((m) => m.name === settings.value.model) ?? server.value?.models[0] ?? null);
export const lastUsage = computed<Usage | null>(
  () => running.value?.usage ?? [...path.value].reverse().find((node) => node.usage)?.usage ?? null,
);
export const busy = computed(() => running.value !== null);

function failed(error: unknown) {
  if (error instanceof ApiError && error.status === 401) needsKey.value = true;
  else problem.value = error instanceof Error ? error.message : String(error);
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

let asked = 0; // answers may overtake one another
export const refreshList = () =>
  trying(async () => {
    const mine = ++asked;
    const found = (await api.conversations(search.value)).conversations;
    if (mine === asked) conversations.value = found;
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

// What the server never had (see `onlyHere`) cannot be answered: its question can.
const kept = (leaf: number | null) => (leaf !== null && leaf < 0 ? (path.value.at(-1)?.parent ?? null) : leaf);

export async function send() {
  const text = draft.value.trim();
  if (busy.value || (!text && attachments.value.length === 0)) return;
  const parts: Part[] = attachments.value.map((a) => ({ type: 'attachment', name: a.name, text: a.text, tokens: a.tokens }));
  if (text) parts.push({ type: 'text', text });
  const edited = path.value.find((node) => node.id === editing.value);
  const conversation = current.value ?? (await trying(() => api.create(settings.value)));
  if (!conversation) return;
  const parent = edited ? edited.parent : kept(conversation.leaf);
  batch(() => {
    draft.value = '';
    attachments.value = [];
    editing.value = null;
    if (current.value?.id !== conversation.id) show(conversation);
  });
  if ((await turn(parent, parts)) || draft.value || attachments.value.length > 0) return;
  draft.value = text; // nobody has it: it can be sent again
  attachments.value = parts.filter((part) => part.type === 'attachment');
}

// The same question once more: another branch.
export const again = (answer: TreeNode) => turn(answer.parent, []);
// One that has no answer yet: it was stopped, or went wrong.
export const answer = (question: TreeNode) => turn(question.id, []);

export function edit(node: TreeNode) {
  batch(() => {
    editing.value = node.id;
    draft.value = node.parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n\n');
    attachments.value = node.parts.flatMap((part) => (part.type === 'attachment' ? [part] : []));
  });
}

// Whether the server took it.
async function turn(parent: number | null, parts: Part[]): Promise<boolean> {
  const conversation = current.value;
  if (!conversation || busy.value) return false;
  const abort = new AbortController();
  let taken = false;
  let over = false;
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
  const heard = (event: TurnEvent) => {
    taken = true;
    over ||= event.event === 'end';
    happened(conversation.id, event);
  };
  try {
    await api.turn(conversation.id, { parent, parts, settings: settings.value }, heard, abort.signal);
  } catch (error) {
    if (!abort.signal.aborted) failed(error);
  }
  if (!over) await endEarly(conversation.id, taken, abort.signal.aborted);
  if (!taken && current.value?.id === conversation.id) current.value = { ...current.value, leaf: conversation.leaf };
  void refreshList();
  if (taken) void refreshState();
  return taken || abort.signal.aborted;
}

// The turn has ended without the server's word on what is kept.
async function endEarly(id: number, taken: boolean, stopped: boolean) {
  written.flush();
  const now = running.value;
  const error = now?.parts.findLast((part) => part.type === 'error');
  const left = now && stopped ? await keptOf(now) : undefined;
  batch(() => {
    running.value = null;
    if (error) problem.value = error.text; // before there was any answer: nothing that would be kept
    else if (left && current.value?.id === id) current.value = left;
    else if (now && taken) onlyHere(now, stopped ? 'cancelled' : 'lost');
  });
}

// What the server has kept of an answer that was stopped: it needs a moment to notice.
async function keptOf(now: Running): Promise<Conversation | undefined> {
  running.value = { ...now, phase: 'Stopping', approvals: [], questions: [] };
  for (let wait = 150; wait < 2000 && current.value?.id === now.conversation; wait *= 2) {
    await new Promise((done) => setTimeout(done, wait));
    const left = await trying(() => api.conversation(now.conversation));
    if (!left) return undefined;
    if (now.parts.length === 0 || left.leaf !== current.value?.leaf) return left;
  }
  return undefined;
}

// What came stays to be read, as a message that only this window has.
function onlyHere(now: Running, finish: string) {
  if (now.parts.length === 0 || now.conversation !== current.value?.id) return;
  addNode({ id: -Date.now(), parent: current.value.leaf, role: 'assistant', created: Date.now() / 1000, parts: now.parts, finish });
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

// Words come faster than they can be drawn: they are gathered until it is time.
const written = paced<TurnEvent>((events) => {
  if (running.value) running.value = events.reduce(grown, running.value);
});

function happened(conversation: number, event: TurnEvent) {
  if (event.event === 'text' || event.event === 'thinking' || event.event === 'arguments') return written.add(event);
  written.flush();
  if ((event.event === 'loading' && event.data.total === undefined) || (event.event === 'start' && model.value?.status !== 'loaded')) void refreshState();
  const here = current.value?.id === conversation;
  if (event.event === 'node' || event.event === 'end') {
    batch(() => {
      if (here) addNode(event.data.node);
      if (event.event !== 'end') return void refreshList();
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
  const names = new Set(added.map((a) => a.name)); // the newer one, where one is attached again
  attachments.value = [...attachments.value.filter((a) => !names.has(a.name)), ...added];
  if (refused.length) problem.value = `Left out, as too large or no text: ${refused.slice(0, 5).join(', ')}${refused.length > 5 ? `, and ${refused.length - 5} more` : ''}`;
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
