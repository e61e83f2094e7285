import { useComputed, useSignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { type Part } from '../lib/api';
import { highlightJson, toHtml } from '../lib/markdown';
import { decide, running } from '../lib/store';
import { Icon } from './icons';

// One handler for all copy buttons in rendered Markdown.
function copyCode(event: MouseEvent) {
  const button = (event.target as HTMLElement).closest<HTMLButtonElement>('[data-copy]');
  if (!button) return;
  void navigator.clipboard.writeText(button.closest('figure')?.querySelector('code')?.textContent ?? '');
  button.textContent = 'Copied';
  setTimeout(() => (button.textContent = 'Copy'), 1500);
}

function Markdown({ text }: { text: string }) {
  const html = useMemo(() => toHtml(text), [text]);
  return <div class="markdown" onClick={copyCode} dangerouslySetInnerHTML={{ __html: html }} />;
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

function Call({ call }: { call: Extract<Part, { type: 'call' }> }) {
  const approval = useComputed(() => running.value?.approvals.find((a) => a.call === call.id));
  const open = useSignal(false);
  const done = call.result !== undefined;
  const state = !done ? 'going' : call.decision === 'denied' ? 'denied' : call.ok ? 'fine' : 'failed';
  const waits = approval.value;
  return (
    <section class={`call ${state} ${waits ? 'waits' : ''}`} aria-label={`Call of ${call.name}`}>
      <button type="button" class="call-head" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
        <Icon name={state === 'fine' ? 'check' : state === 'going' ? 'tool' : 'cross'} />
        <code>{call.name}</code>
        <span class="glimpse">{short(call.arguments)}</span>
        <span class="seconds">{state === 'denied' ? 'not allowed' : call.seconds !== undefined ? `${call.seconds.toFixed(2)} s` : ''}</span>
      </button>
      {(open.value || waits) && (
        <pre class="arguments" tabindex={0} aria-label="Arguments"
             dangerouslySetInnerHTML={{ __html: highlightJson(pretty(call.arguments)) }} />
      )}
      {waits && (
        <div class="approval" role="group" aria-label="May it do this?">
          <p>{waits.reason || `May ${call.name} be called with these arguments?`}</p>
          <button type="button" class="allow" onClick={() => void decide(waits, true)}>
            Allow
          </button>
          <button type="button" onClick={() => void decide(waits, false)}>
            Deny
          </button>
        </div>
      )}
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
      return plain ? <p class="plain">{part.text}</p> : <Markdown text={part.text} />;
    case 'thinking':
      return <Thinking text={part.text} live={live} />;
    case 'call':
      return <Call call={part} />;
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
