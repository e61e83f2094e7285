import { useComputed, useSignal } from '@preact/signals';
import { useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import type { Approval, Question } from '../lib/answer';
import { type Part } from '../lib/api';
import { copyText } from '../lib/clipboard';
import { GrowingMarkdown, highlightJson, toHtml } from '../lib/markdown';
import { decide, draft, reply, running } from '../lib/store';
import { toComposer } from '../lib/view';
import { Icon } from './icons';

// One handler for all copy buttons in rendered Markdown.
function copyCode(event: MouseEvent) {
  const button = (event.target as HTMLElement).closest<HTMLButtonElement>('[data-copy]');
  if (!button) return;
  void copyText(button.closest('figure')?.querySelector('code')?.textContent ?? '');
  button.textContent = 'Copied';
  setTimeout(() => (button.textContent = 'Copy'), 1500);
}

function Markdown({ text }: { text: string }) {
  const html = useMemo(() => toHtml(text), [text]);
  return <div class="markdown" onClick={copyCode} dangerouslySetInnerHTML={{ __html: html }} />;
}

// The same while it is being written: blocks that are done stay as they are, with what is selected in them.
const Block = ({ html }: { html: string }) =>
  useMemo(() => <div class="block" dangerouslySetInnerHTML={{ __html: html }} />, [html]);

function WrittenMarkdown({ text }: { text: string }) {
  const growing = useMemo(() => new GrowingMarkdown(), []);
  const last = growing.update(text);
  return (
    <div class="markdown" onClick={copyCode}>
      {[...growing.blocks, last].map((html, at) => (
        <Block key={at} html={html} />
      ))}
    </div>
  );
}

function Thinking({ text, live }: { text: string; live: boolean }) {
  const open = useSignal(false);
  const line = live ? (text.trimEnd().split('\n').at(-1) ?? '') : `${text.trim().split(/\s+/).length} words`;
  return (
    <details class="thinking" open={open.value} onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>
        <Icon name="thought" />
        <span>{live ? 'Thinking' : 'Thought'}</span>
        {!open.value && <span class="glimpse">{line}</span>}
      </summary>
      <div class="thought">{text.trim()}</div>
    </details>
  );
}

// Arguments as they are written may be half of a JSON text.
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function short(text: string): string {
  try {
    const values = Object.values(JSON.parse(text) as object).map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
    return values.join(', ').replace(/\s+/g, ' ').slice(0, 120);
  } catch {
    return text.slice(0, 120);
  }
}

// What is written follows its end, unless somebody looks at the beginning.
function Arguments({ text, live }: { text: string; live: boolean }) {
  const box = useRef<HTMLPreElement>(null);
  useLayoutEffect(() => {
    const at = box.current!;
    if (live && at.scrollHeight - at.scrollTop - at.clientHeight < 80) at.scrollTop = at.scrollHeight;
  }, [text, live]);
  return (
    <pre ref={box} class="arguments" tabindex={0} aria-label="Arguments"
         dangerouslySetInnerHTML={{ __html: highlightJson(pretty(text)) }} />
  );
}

function AskedApproval({ approval, name }: { approval: Approval; name: string }) {
  const say = (allow: boolean) => (void decide(approval, allow), toComposer());
  return (
    <div class="approval" role="group" aria-label="May it do this?">
      <p>{approval.reason || `May ${name} be called with these arguments?`}</p>
      <button type="button" class="allow" onClick={() => say(true)}>
        Allow
      </button>
      <button type="button" onClick={() => say(false)}>
        Deny
      </button>
    </div>
  );
}

function AskedQuestion({ question }: { question: Question }) {
  const answer = useSignal('');
  const say = (words: string | null) => (void reply(question, words), toComposer());
  const submit = (event: Event) => {
    event.preventDefault();
    if (answer.value.trim()) say(answer.value.trim());
  };
  return (
    <form class="approval question" aria-label="The model asks" onSubmit={submit}>
      <p>{question.question}</p>
      {question.choices.length > 0 && (
        <div class="choices">
          {question.choices.map((choice, at) => (
            <button type="button" key={at} onClick={() => say(choice)}>
              {choice}
            </button>
          ))}
        </div>
      )}
      <input
        aria-label="Your answer"
        placeholder={question.choices.length ? 'or something else' : 'Your answer'}
        value={answer.value}
        ref={focusOnce}
        onInput={(event) => (answer.value = event.currentTarget.value)}
      />
      <button type="submit" class="allow" disabled={!answer.value.trim()}>
        Answer
      </button>
      <button type="button" onClick={() => say(null)}>
        Rather not say
      </button>
    </form>
  );
}

// When it comes, and not again with every change. Who is writing a message meanwhile stays there.
const focused = new WeakSet<HTMLElement>();
function focusOnce(input: HTMLInputElement | null) {
  if (!input || focused.has(input)) return;
  focused.add(input);
  if (!draft.value) input.focus();
}

function Call({ call, live }: { call: Extract<Part, { type: 'call' }>; live: boolean }) {
  const approval = useComputed(() => running.value?.approvals.find((a) => a.call === call.id)).value;
  const question = useComputed(() => running.value?.questions.find((q) => q.call === call.id)).value;
  const open = useSignal(false);
  const done = call.result !== undefined;
  const state = !done ? 'going' : call.decision === 'denied' ? 'denied' : call.ok ? 'fine' : 'failed';
  const written = live && !done && !question; // shown while it is being written and carried out
  const shown = open.value || written || !!approval;
  return (
    <section class={`call ${state} ${approval || question ? 'waits' : ''}`} aria-label={`Call of ${call.name}`}>
      <button type="button" class="call-head" aria-expanded={shown} onClick={() => (open.value = !open.value)}>
        <Icon name={state === 'fine' ? 'check' : state === 'going' ? 'tool' : 'cross'} />
        <code>{call.name}</code>
        <span class="glimpse">{shown || question ? '' : short(call.arguments)}</span>
        <span class="seconds">{state === 'denied' ? 'not allowed' : call.seconds !== undefined ? `${call.seconds.toFixed(2)} s` : ''}</span>
        <Icon name={shown ? 'up' : 'down'} />
      </button>
      {shown && <Arguments text={call.arguments} live={written} />}
      {approval && <AskedApproval approval={approval} name={call.name} />}
      {question && <AskedQuestion key={question.id} question={question} />}
      {open.value && done && (
        <pre class="result" tabindex={0} aria-label="Result">
          {call.result || '(nothing)'}
        </pre>
      )}
    </section>
  );
}

function Attachment({ name, text, tokens }: { name: string; text: string; tokens?: number }) {
  return (
    <details class="attachment">
      <summary>
        <Icon name="clip" />
        <span>{name}</span>
        <span class="cost">{tokens !== undefined ? `${tokens.toLocaleString()} tokens` : `${text.length.toLocaleString()} characters`}</span>
      </summary>
      <pre tabindex={0}>{text}</pre>
    </details>
  );
}

// plain: what people write is shown as they wrote it. live: more of it may come.
export function PartView({ part, plain, live }: { part: Part; plain: boolean; live: boolean }) {
  switch (part.type) {
    case 'text':
      if (plain) return <p class="plain">{part.text}</p>;
      return live ? <WrittenMarkdown text={part.text} /> : <Markdown text={part.text} />;
    case 'thinking':
      return <Thinking text={part.text} live={live} />;
    case 'call':
      return <Call call={part} live={live} />;
    case 'attachment':
      return <Attachment {...part} />;
    case 'error':
      return (
        <p class="error" role="alert">
          {part.text}
        </p>
      );
  }
}
