// What is highlighted in every panel: what the pointer or the keyboard rests on, else what was selected.
import { batch, computed, type ReadonlySignal } from '@preact/signals';
import { isRight } from './draw/grid';
import { lastAt } from './data/series';
import { hovered, parameter, setParameters, shown, step, type Hovered } from './state';
import { percent } from './words';

/** One thing, and what goes with it. */
export interface Highlight {
  residues: readonly number[];
  /** The answer's residue of a pair. */
  answer: number | null;
  frequency: number | null;
  pair: readonly [a: number, b: number] | null;
  neuron: number | null;
}

const marked = parameter('mark');

/** What was selected, of `mark=residue:5`, `frequency:12`, `pair:3,5` or `neuron:17` in the address. */
export const selected: ReadonlySignal<Hovered | null> = computed(() => {
  const found = /^(residue|frequency|neuron|pair):(\d+)(?:,(\d+))?$/.exec(marked.value ?? '');
  if (!found) return null;
  if (found[1] === 'pair') return found[3] === undefined ? null : { pair: [Number(found[2]), Number(found[3])] };
  return { [found[1]!]: Number(found[2]) };
});

/** Keep one thing highlighted; null lets it go. */
export function select(thing: Hovered | null): void {
  const { pair, neuron, residue, frequency } = thing ?? {};
  const kept = Object.entries({ pair: pair?.join(','), neuron, residue, frequency }).find(([, value]) => value !== undefined);
  setParameters({ mark: kept ? kept.join(':') : null });
}

/** Let go of everything that is highlighted. */
export function clearHighlight(): void {
  batch(() => {
    hovered.value = null;
    select(null);
  });
}

/** What every panel marks. */
export const highlight: ReadonlySignal<Highlight> = computed(() => {
  const thing = hovered.value ?? selected.value ?? {};
  const { pair = null, neuron = null } = thing;
  const answer = pair && answerOf(pair);
  const of = thing.residue === undefined ? (pair ?? []) : [thing.residue];
  const frequency = thing.frequency ?? (neuron === null ? null : (neuronAt(neuron)?.frequency ?? null));
  return { residues: of, answer, frequency, pair, neuron };
});

/** What is highlighted, in words; empty for nothing. */
export const highlightWords: ReadonlySignal<string> = computed(() => {
  const { residues, answer, frequency, pair, neuron } = highlight.value;
  const run = shown.value;
  if (pair) {
    const grids = run?.grids.value;
    const row = grids ? lastAt(grids.steps, step.value) : -1;
    const at = grids ? pair[0] * grids.modulus + pair[1] : 0;
    const split = run?.split.value;
    const part = split ? `, ${split[at] ? 'a train pair' : 'not trained on'}` : '';
    const told = answer === null ? '' : `, answer ${answer}`;
    return `Pair (${pair.join(', ')})${told}${part}${grids && row >= 0 ? `: ${isRight(grids, row, at) ? 'right' : 'wrong'} now.` : '.'}`;
  }
  if (neuron !== null) {
    const found = neuronAt(neuron);
    if (!found) return `Neuron ${neuron}.`;
    return found.frequency ? `Neuron ${neuron}: frequency ${found.frequency} explains ${percent(found.share)} of it.` : `Neuron ${neuron}: it is dead or constant.`;
  }
  if (frequency !== null) {
    const spectra = run?.spectra.value;
    const row = spectra ? lastAt(spectra.steps, step.value) : -1;
    const at = spectra?.frequencies.indexOf(frequency) ?? -1;
    const key = run?.keys.value.includes(frequency) ? ', a key' : '';
    const share = spectra && row >= 0 && at >= 0 ? `: ${percent(spectra.values[row * spectra.frequencies.length + at])} of the embedding` : '';
    return `Frequency ${frequency}${key}${share}.`;
  }
  return residues.length ? `Residue ${residues[0]}: its row and its column are the pairs with it.` : '';
});

/** The frequency of a neuron of the page's run at the step (0: none), and its share. */
function neuronAt(neuron: number): { frequency: number; share: number } | null {
  const found = shown.value?.neurons.value;
  const row = found ? lastAt(found.steps, step.value) : -1;
  if (!found || row < 0 || neuron >= found.count) return null;
  const at = row * found.count + neuron;
  return { frequency: found.frequency[at]!, share: found.share[at]! };
}

const FORMULAS: Record<string, (a: number, b: number, p: number) => number | null> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b, p) => {
    for (let x = 0; x < p; x++) if (b && (b * x) % p === a) return x;
    return null;
  },
  'x2+y2': (a, b) => a * a + b * b,
  'x2+xy+y2': (a, b) => a * a + a * b + b * b,
  'x3+xy': (a, b) => a * a * a + a * b,
};

/** The right answer to a pair; null where there is none, and where the page does not know the table. */
export function answerOf([a, b]: readonly [number, number]): number | null {
  const task = shown.value?.run.value?.task;
  if (!task || a >= task.modulus || b >= task.modulus) return null;
  const found = FORMULAS[task.operation]?.(a, b, task.modulus) ?? null;
  return found === null ? null : ((found % task.modulus) + task.modulus) % task.modulus;
}
