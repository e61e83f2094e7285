// What is open around the conversation, and where the keyboard is. Any component may change it, so it belongs to none.
import { computed, signal } from '@preact/signals';
import { needsKey } from './store';

export const dialog = signal<'settings' | 'shortcuts' | null>(null);

// Wide: the list of conversations stands beside them. Narrow: it is a drawer over them.
const wideEnough = matchMedia('(min-width: 900px)');
export const wide = signal(wideEnough.matches);
export const sidebar = signal(wideEnough.matches);
wideEnough.addEventListener('change', (event) => {
  wide.value = event.matches;
  sidebar.value = event.matches;
});
export const drawer = computed(() => sidebar.value && !wide.value);
export const closeDrawer = () => drawer.value && (sidebar.value = false);

export const dialogOpen = computed(() => needsKey.value || dialog.value !== null);

// Signals draw a moment after they change: the focus comes after that, unless something else has taken it by then, as a question does.
export function focusSoon(selector: string) {
  const before = document.activeElement;
  return setTimeout(() => {
    const now = document.activeElement;
    if (now === before || now === document.body) document.querySelector<HTMLElement>(selector)?.focus({ preventScroll: true });
  }, 30);
}
// To the message field, where that calls up no keyboard on the screen.
const touched = matchMedia('(hover: none) and (pointer: coarse)');
export const toComposer = () => !touched.matches && !dialogOpen.value && focusSoon('#draft');
