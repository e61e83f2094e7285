import { signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Composer } from './components/composer';
import { Header } from './components/header';
import { KeyDialog, SettingsDialog, ShortcutsDialog } from './components/dialogs';
import { Messages } from './components/messages';
import { Sidebar } from './components/sidebar';
import { Welcome } from './components/welcome';
import { attach, current, needsKey, newConversation, path, problem, running, stop } from './lib/store';

export const dialog = signal<'settings' | 'shortcuts' | null>(null);
export const sidebar = signal(matchMedia('(min-width: 900px)').matches);

const typing = (target: EventTarget | null) => target instanceof HTMLElement && target.matches('input, textarea, select');

function onKey(event: KeyboardEvent) {
  const command = event.ctrlKey || event.metaKey;
  if (event.key === 'Escape' && running.value && !dialog.value) stop();
  else if (command && event.key.toLowerCase() === 'k') document.querySelector<HTMLInputElement>('#search')?.focus();
  else if (command && event.shiftKey && event.key.toLowerCase() === 'o') newConversation();
  else if (command && event.key.toLowerCase() === 'b') sidebar.value = !sidebar.value;
  else if (command && event.key === ',') dialog.value = 'settings';
  else if (event.key === '?' && !typing(event.target)) dialog.value = 'shortcuts';
  else if (event.key === '/' && !typing(event.target)) document.querySelector<HTMLTextAreaElement>('#draft')?.focus();
  else return;
  if (event.key === 'k' && command) sidebar.value = true;
  event.preventDefault();
}

export function App() {
  const over = useSignal(false);
  useEffect(() => {
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  const dropped = (event: DragEvent) => {
    event.preventDefault();
    over.value = false;
    if (event.dataTransfer?.files.length) void attach(event.dataTransfer.files);
  };
  const empty = !running.value && path.value.length === 0;
  return (
    <div
      class={`app ${sidebar.value ? 'with-sidebar' : ''} ${over.value ? 'dropping' : ''}`}
      onDragOver={(event) => (event.preventDefault(), (over.value = true))}
      onDragLeave={(event) => event.relatedTarget === null && (over.value = false)}
      onDrop={dropped}
    >
      <Sidebar />
      <main>
        <Header />
        {empty ? <Welcome /> : <Messages key={current.value?.id} />}
        {problem.value && (
          <div class="problem" role="alert">
            <span>{problem.value}</span>
            <button type="button" aria-label="Dismiss" onClick={() => (problem.value = null)}>
              ✕
            </button>
          </div>
        )}
        <Composer />
      </main>
      {needsKey.value && <KeyDialog />}
      {dialog.value === 'settings' && <SettingsDialog />}
      {dialog.value === 'shortcuts' && <ShortcutsDialog />}
      {over.value && <div class="drop">Drop files to attach them</div>}
    </div>
  );
}
