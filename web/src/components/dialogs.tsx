import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { apiKey } from '../lib/api';
import { changeSettings, model, needsKey, problem, server, settings, start } from '../lib/store';
import { theme, type Theme } from '../lib/theme';
import { dialog, toComposer } from '../lib/view';

function Dialog({ title, close, children }: { title: string; close?: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => void (toComposer() || (before instanceof HTMLElement && before.focus()));
  }, []);
  // A browser may close it without asking first: one that has to be answered is opened again.
  const closed = () => (close ? close() : element.current?.isConnected && element.current.showModal());
  return (
    <dialog
      ref={element}
      aria-label={title}
      onCancel={(event) => (event.preventDefault(), close?.())}
      onClose={closed}
      onClick={(event) => event.target === element.current && close?.()}
    >
      <div class="dialog">
        <h2>{title}</h2>
        {children}
        {close && (
          <button type="button" class="done" onClick={close}>
            Done
          </button>
        )}
      </div>
    </dialog>
  );
}

export function KeyDialog() {
  const key = useSignal('');
  const wrong = useSignal(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    apiKey.set(key.value.trim());
    problem.value = null;
    wrong.value = false;
    await start();
    wrong.value = needsKey.value;
  };
  return (
    <Dialog title="This server wants a key">
      <form onSubmit={submit}>
        <p>It is kept until this tab is closed.</p>
        {wrong.value && (
          <p class="error" role="alert">
            The server does not know this key.
          </p>
        )}
        <input type="password" autocomplete="current-password" aria-label="Key" value={key.value} onInput={(e) => (key.value = e.currentTarget.value)} />
        <button type="submit" class="done">
          Go on
        </button>
      </form>
    </Dialog>
  );
}

function NumberField(props: { label: string; value: number | null; min: number; max: number; step: number; change: (value: number | null) => void }) {
  return (
    <label class="field">
      <span>{props.label}</span>
      <input
        type="number"
        min={props.min}
        max={props.max}
        step={props.step}
        placeholder="as the model says"
        value={props.value ?? ''}
        onChange={(event) => {
          const value = event.currentTarget.valueAsNumber;
          props.change(Number.isNaN(value) ? null : Math.min(props.max, Math.max(props.min, value)));
        }}
      />
    </label>
  );
}

function Tools() {
  const tools = server.value?.tools ?? [];
  if (tools.length === 0)
    return <p class="none">This server was started without tools. With `quern serve --tools` the model can use files, commands and MCP servers.</p>;
  const chosen = new Set(settings.value.tools);
  const toggle = (names: string[], on: boolean) => {
    for (const name of names) on ? chosen.add(name) : chosen.delete(name);
    changeSettings({ tools: [...chosen] });
  };
  return (
    <>
      {[...Map.groupBy(tools, (tool) => tool.group)].map(([group, members]) => {
        const names = members.map((tool) => tool.name);
        const on = names.filter((name) => chosen.has(name)).length;
        return (
          <section key={group} class="tool-group" aria-label={group}>
            <input
              type="checkbox"
              aria-label={`All of ${group}`}
              checked={on === names.length}
              ref={(box) => {
                if (box) box.indeterminate = on > 0 && on < names.length;
              }}
              onChange={(event) => toggle(names, event.currentTarget.checked)}
            />
            <details open={on > 0}>
              <summary>
                {group} <small>{on} of {names.length}</small>
              </summary>
              {members.map((tool) => (
                <label key={tool.name} class="tool">
                  <input type="checkbox" checked={chosen.has(tool.name)} onChange={(event) => toggle([tool.name], event.currentTarget.checked)} />
                  <span>
                    <code>{tool.name}</code> {tool.asks && <em>asks first</em>}
                    <small>{tool.description}</small>
                  </span>
                </label>
              ))}
            </details>
          </section>
        );
      })}
    </>
  );
}

export function SettingsDialog() {
  const s = settings.value;
  return (
    <Dialog title="Settings" close={() => (dialog.value = null)}>
      <label class="field tall">
        <span>System prompt</span>
        <textarea rows={3} value={s.system} placeholder="none" onChange={(event) => changeSettings({ system: event.currentTarget.value })} />
      </label>
      <div class="fields">
        <NumberField label="Temperature" value={s.temperature} min={0} max={2} step={0.05} change={(temperature) => changeSettings({ temperature })} />
        <NumberField label="top-p" value={s.top_p} min={0} max={1} step={0.01} change={(top_p) => changeSettings({ top_p })} />
        <NumberField label="Most tokens of an answer" value={s.max_tokens} min={1} max={1_000_000} step={1} change={(max_tokens) => changeSettings({ max_tokens })} />
        <label class="field">
          <span>Colours</span>
          <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as Theme)}>
            <option value="system">as the system</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </label>
      </div>
      {model.value?.thinking && (
        <label class="tool">
          <input type="checkbox" checked={s.thinking} onChange={(event) => changeSettings({ thinking: event.currentTarget.checked })} />
          <span>Let the model think before it answers</span>
        </label>
      )}
      <h3>Tools</h3>
      <Tools />
      <p class="version">quern {server.value?.version}</p>
    </Dialog>
  );
}

const command = /^(Mac|iP)/.test(navigator.platform) ? '⌘' : 'Ctrl+';
const keys: [string, string][] = [
  ['Enter', 'send'],
  ['Shift+Enter', 'a new line'],
  ['↑ in an empty field', 'edit the last message'],
  ['Escape', 'stop the answer; leave an edit; close what is open'],
  ['/', 'to the field'],
  [`${command}Shift+O`, 'new conversation'],
  [`${command}K`, 'search conversations'],
  [`${command}B`, 'show or hide conversations'],
  [`${command},`, 'settings'],
  ['?', 'this list'],
];

export const ShortcutsDialog = () => (
  <Dialog title="Keys" close={() => (dialog.value = null)}>
    <dl class="keys">
      {keys.map(([key, what]) => (
        <>
          <dt>
            <kbd>{key}</kbd>
          </dt>
          <dd>{what}</dd>
        </>
      ))}
    </dl>
  </Dialog>
);
