// Light or dark: as the reader's system says, or as the switch was set.
import { computed, effect, signal, type ReadonlySignal } from '@preact/signals';
import { DARK, LIGHT, type Colours } from './draw/colours';
import { parameter, setParameters } from './state';

type Theme = 'light' | 'dark';

const STORED = 'grokprobe.theme';
const system = matchMedia('(prefers-color-scheme: dark)');
const still = matchMedia('(prefers-reduced-motion: reduce)');
const ofSystem = signal<Theme>(system.matches ? 'dark' : 'light');
const chosen = signal<Theme | null>(stored());

system.addEventListener('change', () => (ofSystem.value = system.matches ? 'dark' : 'light'));

const ofLink = parameter('theme'); // holds while the page is open
effect(() => {
  if (ofLink.value === 'light' || ofLink.value === 'dark') chosen.value = ofLink.value;
});

export const theme: ReadonlySignal<Theme> = computed(() => chosen.value ?? ofSystem.value);
export const colours: ReadonlySignal<Colours> = computed(() => (theme.value === 'dark' ? DARK : LIGHT));

/** Whether the reader wants no motion that was not asked for. */
export const stillness = signal(still.matches);
still.addEventListener('change', () => (stillness.value = still.matches));

/** From light to dark or back. */
export function switchTheme(): void {
  chosen.value = theme.peek() === 'dark' ? 'light' : 'dark';
  if (ofLink.peek() !== null) setParameters({ theme: chosen.value });
  try {
    localStorage.setItem(STORED, chosen.value);
  } catch {
    // it holds until the page is left
  }
}

effect(() => {
  const { dataset, style } = document.documentElement;
  dataset['theme'] = theme.value;
  for (const [name, colour] of Object.entries(colours.value)) {
    if (typeof colour === 'string') style.setProperty(`--${name}`, colour);
  }
});

function stored(): Theme | null {
  try {
    const found = localStorage.getItem(STORED);
    return found === 'light' || found === 'dark' ? found : null;
  } catch {
    return null;
  }
}
