// An answer while it is being made: what is known of it, and what each event of the server changes in it.
import type { Part, TurnEvent, Usage } from './api';

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
  progress: number | null; // 0 to 1 while a prompt is read, or a model comes from the disk
  approvals: Approval[];
  questions: Question[];
  usage: Usage | null;
  started: number;
  abort: AbortController;
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
      return { ...now, phase: `Loading ${data.model}`, progress: data.total ? (data.done ?? 0) / data.total : null };
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
