// The page's keys; ShortcutsDialog lists them.
import { newConversation, running, stop } from './store';
import { closeDrawer, dialog, dialogOpen, drawer, focusSoon, sidebar } from './view';

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement && target.matches('input:not([type=checkbox], [type=file]), textarea, select');

const search = () => ((sidebar.value = true), focusSoon('#search'));
const withCommand: Record<string, () => void> = {
  k: search,
  b: () => (sidebar.value = !sidebar.value),
  ',': () => (dialog.value = 'settings'),
};
const alone: Record<string, () => void> = {
  '?': () => (dialog.value = 'shortcuts'),
  '/': () => focusSoon('#draft'),
};

function escape(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement && target.type === 'search' && target.value) return false; // empties it
  if (drawer.value) closeDrawer();
  else if (running.value) stop();
  else return false;
  return true;
}

function pressed(event: KeyboardEvent): boolean {
  if (dialogOpen.value || event.isComposing || event.defaultPrevented) return false; // a dialog has its own
  if (event.key === 'Escape') return escape(event.target);
  const key = event.key.toLowerCase();
  const command = event.ctrlKey || event.metaKey;
  if (command && event.shiftKey && key === 'o') return newConversation(), true;
  const act = command && !event.altKey ? withCommand[key] : command || typing(event.target) ? undefined : alone[key];
  act?.();
  return act !== undefined;
}

export const onKey = (event: KeyboardEvent) => pressed(event) && event.preventDefault();
