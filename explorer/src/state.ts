// What the page shows: signals, and the hash of its address that says them.
import { batch, computed, effect, signal, type ReadonlySignal } from '@preact/signals';
import { RunData } from './data/run';
import { lastAt, nearestTo } from './data/series';

/** The page's address after `#/`: `runs/NAME?step=3000`, and every parameter that it carries. */
interface Address {
  run: string | null;
  parameters: URLSearchParams;
}

/** Every part of a link: what it says, and one that says it of any run (or of the list). */
export const LINK = {
  step: { of: 'run', says: 'the checkpoint that is shown', example: '20' },
  frequency: { of: 'run', says: 'the frequency of the circle', example: '2' },
  pair: { of: 'run', says: 'the pair (a, b) that was picked', example: '3,5' },
  pin: { of: 'run', says: 'the step, or RUN/STEP, that is pinned beside', example: '40' },
  mark: { of: 'run', says: 'what is kept highlighted', example: 'residue:3' },
  unit: { of: 'run', says: 'the unit that is shown over all pairs', example: 'neurons:3' },
  cut: { of: 'run', says: 'what is switched off, or kept alone', example: 'remove:logits:2' },
  time: { of: 'run', says: 'log: axes of time by the logarithm of the step', example: 'log' },
  tour: { of: 'run', says: 'the sentence of the guided tour', example: '4' },
  theme: { of: 'run', says: 'light or dark', example: 'dark' },
  search: { of: 'list', says: 'words that the runs must have', example: 'tiny' },
  operation: { of: 'list', says: 'only runs of this operation', example: 'add' },
  modulus: { of: 'list', says: 'only runs of this modulus', example: '13' },
  status: { of: 'list', says: 'only runs of this status', example: 'complete' },
  group: { of: 'list', says: 'only runs of this group', example: 'many' },
} as const;
export type Part = keyof typeof LINK;
type Parts = Partial<Record<Part, string | number | null>>;

const address = signal<Address>(read());

function read(): Address {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const run = path.startsWith('runs/') ? decoded(path.slice(5)) : '';
  return { run: run || null, parameters: new URLSearchParams(query) };
}

/** What is no encoding, as a link that was cut in the middle of one, stays as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

addEventListener('hashchange', () => {
  clearTimeout(writing);
  writing = undefined;
  address.value = read();
});

/** The run that is shown; null is the list. */
export const runName: ReadonlySignal<string | null> = computed(() => address.value.run);

/** A parameter of the address, as text; null where it is not there. Reading it subscribes. */
export function parameter(name: Part): ReadonlySignal<string | null> {
  return computed(() => address.value.parameters.get(name));
}

/** Set parameters of the address without a new entry in the browser's history; null takes one out. */
export function setParameters(values: Parts): void {
  const { run, parameters } = address.peek();
  const next = new URLSearchParams(parameters);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === '') next.delete(name);
    else next.set(name, String(value));
  }
  address.value = { run, parameters: next };
  write();
}

/** The address of a run's page, or of the list. */
export function hrefOf(run: string | null, parameters: Record<string, string | number> = {}): string {
  const query = new URLSearchParams(Object.entries(parameters).map(([k, v]) => [k, String(v)])).toString();
  return `#/${run === null ? '' : `runs/${encodeURIComponent(run)}`}${query && `?${query}`}`;
}

// Browsers refuse more than some hundred changes of the address in a few seconds: scrubbing waits.
let writing: ReturnType<typeof setTimeout> | undefined;
function write(): void {
  clearTimeout(writing);
  writing = setTimeout(writeNow, 200);
}

function writeNow(): void {
  if (writing === undefined) return;
  clearTimeout(writing);
  writing = undefined;
  const { run, parameters } = address.peek();
  const hash = hrefOf(run, Object.fromEntries(parameters));
  if (hash !== location.hash) history.replaceState(null, '', hash);
}

// who leaves by a link, or for good, comes back to what was shown
addEventListener('click', writeNow, true);
addEventListener('pagehide', writeNow);

/** The whole view as an absolute link: also what the address leaves to the run or to the reader. */
export function pageLink(more: Parts = {}): string {
  const { run, parameters } = address.peek();
  const shownStep = run === null || Number.isNaN(step.peek()) ? {} : { step: step.peek() };
  const all = { ...Object.fromEntries(parameters), ...shownStep, ...more } as Record<string, string | number>;
  return new URL(hrefOf(run, all), location.href).href;
}

/** Whether the run plays, and how many checkpoints pass in a second. */
export const playing = signal(false);
export const speed = signal(12);

const frequencyAsked = parameter('frequency');

/** The frequency that was picked; null is the run's strongest. */
export const pickedFrequency: ReadonlySignal<number | null> = computed(() =>
  /^\d+$/.test(frequencyAsked.value ?? '') ? Number(frequencyAsked.value) : null,
);

/** The data of the run that is shown. */
export const shown = signal<RunData | null>(null);

effect(() => {
  const name = runName.value;
  const before = shown.peek();
  if (before?.name === name) return;
  playing.value = false;
  before?.close();
  const next = name === null ? null : new RunData(name, pickedFrequency.peek());
  shown.value = next;
  next?.need();
});

/** The steps of the run's checkpoints, ascending. */
export const steps: ReadonlySignal<Float64Array> = computed(
  () => shown.value?.trajectory.value?.steps ?? new Float64Array(),
);

const asked = parameter('step');

/** The one step of every picture: a checkpoint's, the latest unless the address names one. */
export const step: ReadonlySignal<number> = computed(() => {
  const all = steps.value;
  if (!all.length) return Number(asked.value ?? NaN);
  if (asked.value === null || !Number.isFinite(Number(asked.value))) return all[all.length - 1]!;
  return all[nearestTo(all, Number(asked.value))]!;
});

/** The place of the step among the checkpoints, from 0. */
export const index: ReadonlySignal<number> = computed(() => Math.max(lastAt(steps.value, step.value), 0));

/** Move to the checkpoint nearest to a step. */
export function goToStep(to: number): void {
  goToIndex(nearestTo(steps.peek(), to));
}

/** Move to the checkpoint at a place, the nearest end where there is none. At the last of a run that goes on
 * the step follows it. */
export function goToIndex(to: number): void {
  const last = steps.peek().length - 1;
  if (last < 0) return;
  const place = Math.min(Math.max(Math.round(to), 0), last);
  const follows = place === last && goesOn.peek();
  setParameters({ step: follows ? null : steps.peek()[place]! });
}

/** Whether the run that is shown still trains. */
export const goesOn: ReadonlySignal<boolean> = computed(() => shown.value?.run.value?.status === 'running');

/** Whether the step is the latest of a run that goes on, whichever that becomes. */
export const follows: ReadonlySignal<boolean> = computed(() => goesOn.value && asked.value === null);

/** Move by so many checkpoints. */
export function moveBy(checkpoints: number): void {
  goToIndex(index.peek() + checkpoints);
}

/** Pick the frequency of the circle. */
export function pickFrequency(frequency: number | null): void {
  setParameters({ frequency });
}

/** How the axes of time run: by steps, or by their logarithm, which early checkpoints need. */
export const timeAxis: ReadonlySignal<'linear' | 'log'> = computed(() =>
  address.value.parameters.get('time') === 'log' ? 'log' : 'linear',
);

/** What the pointer or the keyboard rests on, in whichever panel: every panel marks it. */
export interface Hovered {
  residue?: number;
  frequency?: number;
  pair?: [a: number, b: number];
  neuron?: number;
}
export const hovered = signal<Hovered | null>(null);

/** Play from here, or from the start where this is the end. */
export function play(): void {
  batch(() => {
    if (index.peek() >= steps.peek().length - 1) goToIndex(0);
    playing.value = steps.peek().length > 1;
  });
}

effect(() => {
  if (!playing.value) return;
  const rate = speed.value;
  let begun: number | null = null;
  let done = 0;
  let frame = requestAnimationFrame(function next(now) {
    begun ??= now;
    const due = Math.floor(((now - begun) / 1000) * rate) - done;
    if (due > 0) {
      done += due;
      moveBy(due);
    }
    if (index.peek() >= steps.peek().length - 1) playing.value = false;
    else frame = requestAnimationFrame(next);
  });
  return () => cancelAnimationFrame(frame);
});

/** A run at a step: what a panel shows. The page has one, and one more of what is pinned. */
export interface View {
  /** `now`, or `pinned`. */
  name: string;
  run: RunData;
  step: ReadonlySignal<number>;
  frequency: ReadonlySignal<number | null>;
}

const pairAsked = parameter('pair');

/** The pair (a, b) that was picked, of `pair=a,b` in the address. */
export const pickedPair: ReadonlySignal<[a: number, b: number] | null> = computed(() => {
  const found = /^(\d+),(\d+)$/.exec(pairAsked.value ?? '');
  return found ? [Number(found[1]), Number(found[2])] : null;
});

/** Pick a pair, or none. */
export function pickPair(pair: readonly [number, number] | null): void {
  setParameters({ pair: pair && pair.join(',') });
}
