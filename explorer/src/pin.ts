// What is pinned: another step of the run that is shown, or another run at a step.
import { computed, effect, signal, type ReadonlySignal } from '@preact/signals';
import { RunData } from './data/run';
import { nearestTo } from './data/series';
import { parameter, pickedFrequency, setParameters, shown, step, type View } from './state';

const asked = parameter('pin');

/** The run and the step of `pin=1000`, which is of the run that is shown, or `pin=RUN/1000`. */
const pin = computed(() => {
  const found = /^(?:(.+)\/)?(\d+)$/.exec(asked.value ?? '');
  return found ? { run: found[1] ?? null, step: Number(found[2]) } : null;
});

const held = signal<RunData | null>(null);
let own: RunData | null = null; // another run than the page's, which this file opens and closes

effect(() => {
  const [page, of] = [shown.value, pin.value];
  const name = of && page ? (of.run ?? page.name) : null;
  const other = name === null || name === page!.name ? null : name;
  if (other !== (own?.name ?? null)) {
    own?.close();
    own = other === null ? null : new RunData(other, pickedFrequency.peek());
    own?.need();
  }
  held.value = own ?? (name === null ? null : page);
});

const pinnedStep = computed(() => {
  const steps = held.value?.trajectory.value?.steps;
  const at = pin.value?.step ?? NaN;
  return steps?.length ? steps[nearestTo(steps, at)]! : at;
});

/** What is pinned, beside which every picture is shown; null for nothing. */
export const pinned: ReadonlySignal<View | null> = computed(() =>
  held.value ? { name: 'pinned', run: held.value, step: pinnedStep, frequency: pickedFrequency } : null,
);

/** Pin a step of a run, by default of the one that is shown; null takes the pin out. */
export function pinAt(at: number | null, run: string | null = null): void {
  setParameters({ pin: at === null ? null : run === null || run === shown.peek()?.name ? at : `${run}/${at}` });
}

/** Pin the step that is shown; take the pin out where it is there already. */
export function switchPin(): void {
  const there = pinned.peek();
  const same = there?.run === shown.peek() && there?.step.peek() === step.peek();
  if (!Number.isNaN(step.peek())) pinAt(same ? null : step.peek());
}
