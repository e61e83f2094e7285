import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Composer } from './components/composer';
import { Header } from './components/header';
import { KeyDialog, SettingsDialog, ShortcutsDialog } from './components/dialogs';
import { Icon } from './components/icons';
import { Messages } from './components/messages';
import { Sidebar } from './components/sidebar';
import { Welcome } from './components/welcome';
import { onKey } from './lib/keys';
import { attach, current, needsKey, path, problem, running } from './lib/store';
import { closeDrawer, dialog, drawer, sidebar, toComposer } from './lib/view';

export function App() {
  const over = useSignal(false);
  useEffect(() => {
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  const id = current.value?.id;
  useEffect(() => void toComposer(), [id]); // also in the beginning, and where a conversation is new
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
      {drawer.value && <div class="scrim" onClick={closeDrawer} />}
      <main inert={drawer.value}>
        <Header />
        {empty ? <Welcome /> : <Messages key={current.value?.id} />}
        {problem.value && (
          <div class="problem" role="alert">
            <span>{problem.value}</span>
            <button type="button" aria-label="Dismiss" onClick={() => ((problem.value = null), toComposer())}>
              <Icon name="cross" />
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
