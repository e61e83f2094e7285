import { effect, signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';
const kTheme = 'quern.theme';
export const theme = signal<Theme>((localStorage.getItem(kTheme) as Theme | null) ?? 'system');

effect(() => {
  localStorage.setItem(kTheme, theme.value);
  if (theme.value === 'system') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.dataset.theme = theme.value;
});
