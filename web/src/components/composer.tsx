import { useLayoutEffect, useRef } from 'preact/hooks';
import { attach, attachments, busy, draft, edit, editing, lastUsage, model, path, send, stop } from '../lib/store';
import { toComposer } from '../lib/view';
import { Icon } from './icons';

const unattach = (at: number) => ((attachments.value = attachments.value.filter((_, i) => i !== at)), toComposer());

function Attached() {
  if (attachments.value.length === 0) return null;
  const total = attachments.value.reduce((sum, a) => sum + (a.tokens ?? 0), 0);
  const context = lastUsage.value?.context ?? model.value?.context;
  const shown = attachments.value.slice(0, 12);
  return (
    <div class="attached">
      {shown.map((a, at) => (
        <span class="chip" key={a.name}>
          <Icon name="clip" />
          <span title={a.name}>{a.name}</span>
          <small>{a.tokens?.toLocaleString() ?? '…'}</small>
          <button type="button" aria-label={`Leave out ${a.name}`} onClick={() => unattach(at)}>
            <Icon name="cross" />
          </button>
        </span>
      ))}
      {attachments.value.length > shown.length && <span class="chip">and {attachments.value.length - shown.length} more</span>}
      <small class={context && total > context ? 'too-much' : ''}>
        {total.toLocaleString()} tokens{context ? ` of ${context.toLocaleString()}` : ''}
      </small>
      {attachments.value.length > 1 && (
        <button type="button" class="link" onClick={() => ((attachments.value = []), toComposer())}>
          Leave out all
        </button>
      )}
    </div>
  );
}

export function Composer() {
  const text = useRef<HTMLTextAreaElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const value = draft.value;
  useLayoutEffect(() => {
    const area = text.current!;
    area.style.height = 'auto';
    area.style.height = `${Math.min(area.scrollHeight, innerHeight * 0.4)}px`;
  }, [value]);
  useLayoutEffect(() => void (editing.value !== null && text.current?.focus()), [editing.value]);

  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      void send();
    } else if (event.key === 'ArrowUp' && !value && editing.value === null && !busy.value) {
      const last = path.value.findLast((node) => node.role === 'user');
      if (last) event.preventDefault(), edit(last);
    } else if (event.key === 'Escape' && editing.value !== null) {
      event.stopPropagation();
      editing.value = null;
      draft.value = '';
      attachments.value = [];
    }
  };
  const onPaste = (event: ClipboardEvent) => {
    if (event.clipboardData?.files.length) event.preventDefault(), void attach(event.clipboardData.files);
  };
  const picked = (input: HTMLInputElement) => {
    if (input.files) void attach(input.files);
    input.value = '';
  };
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), void send(), toComposer())}>
      {editing.value !== null && <p class="editing">Editing a message: what follows it stays as a branch. Escape leaves it.</p>}
      <Attached />
      <textarea
        id="draft"
        ref={text}
        rows={1}
        autofocus
        aria-label="Message"
        placeholder={`Ask ${model.value?.name ?? 'quern'}`}
        value={value}
        onInput={(event) => (draft.value = event.currentTarget.value)}
        onKeyDown={onKey}
        onPaste={onPaste}
      />
      <div class="composer-tools">
        <input ref={files} type="file" multiple hidden onChange={(event) => picked(event.currentTarget)} />
        <input ref={folder} type="file" hidden {...{ webkitdirectory: true }} onChange={(event) => picked(event.currentTarget)} />
        <button type="button" class="quiet" aria-label="Attach files" title="Attach text files" onClick={() => files.current?.click()}>
          <Icon name="clip" />
        </button>
        <button type="button" class="quiet" aria-label="Attach a folder" title="Attach a folder's text files" onClick={() => folder.current?.click()}>
          <Icon name="folder" />
        </button>
        <span class="hint">Enter sends, Shift+Enter breaks the line, ? lists keys</span>
        {busy.value ? (
          <button type="button" class="send" aria-label="Stop" title="Stop (Escape)" onClick={() => (stop(), toComposer())}>
            <Icon name="stop" />
          </button>
        ) : (
          <button type="submit" class="send" aria-label="Send" title="Send (Enter)" disabled={!value.trim() && attachments.value.length === 0}>
            <Icon name="send" />
          </button>
        )}
      </div>
    </form>
  );
}
