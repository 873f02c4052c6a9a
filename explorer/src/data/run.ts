// Everything the page knows of a run: each series asked for once, as typed arrays.
import { computed, type ReadonlySignal } from '@preact/signals';
import { readNumpy } from './npy';
import { Follower, rest, visible } from './live';
import { after, joined, Resource, type Column } from './series';
import { having, Lacking, source, type Asking } from './source';
import type { EmergenceAnswer, RunAnswer, SpectraAnswer, TrajectoryAnswer, TrajectoryRow } from './types';

/** The measures that the page shows, in the order of its legend. */
export const MEASURES = [
  'loss',
  'accuracy',
  'train_loss',
  'test_loss',
  'restricted_loss',
  'excluded_loss',
  'train_accuracy',
  'test_accuracy',
  'restricted_accuracy',
  'key_share',
  'weight_norm',
  'gini_embedding',
  'neurons_clustered',
] as const;
export type Measure = (typeof MEASURES)[number];

const BEGINS_MS = 3000; // until asking again for a run that is not there

// While a run goes on these are of its latest keys, at every step.
const OF_KEYS: Measure[] = ['key_share'];

export interface Trajectory {
  steps: Float64Array;
  columns: Record<Measure, Column>;
  keys: number[];
  provisional: boolean;
}

/** Shares of the embedding's power, row after row; `values[i * frequencies.length + k]`. */
export interface Spectra {
  steps: Float64Array;
  frequencies: (number | string)[];
  values: Float64Array;
  greatest: number;
}

/** The residues in the plane of a frequency at every checkpoint. */
export interface Coordinates {
  steps: Float64Array;
  frequency: number;
  /** The residues, in the order of their coordinates. */
  residues: number[];
  /** Their places, in the order in which the frequency passes them: a circle, once it has formed. */
  order: number[];
  of: string;
  /** x and y of each residue, checkpoint after checkpoint. */
  xy: Float32Array;
  radius: Float64Array;
  rSquared: Float64Array;
  explainedShare: Float64Array;
  /** The greatest distance from the middle over the run. */
  extent: number;
}

/** In a split: a pair that has no answer, such as a / 0. */
export const NO_ANSWER = 2;

/** Which pairs are answered rightly, a bit each, row a*p + b, the first the highest of its byte. */
export interface Grids {
  steps: Float64Array;
  modulus: number;
  rowBytes: number;
  bits: Uint8Array;
}

/** The answer to each pair, row a*p + b, checkpoint after checkpoint. */
export interface Predicted {
  steps: Float64Array;
  pairs: number;
  answers: Uint8Array | Uint16Array;
}

/** Each neuron's frequency (0: none) and the share it explains, checkpoint after checkpoint. */
export interface Neurons {
  steps: Float64Array;
  count: number;
  frequency: Uint16Array;
  share: Float32Array;
}

interface CoordinatesAnswer {
  of: string;
  basis: { order: number; generator: number | null };
  frequency: number;
  residues: number[];
  coordinates: {
    step: number;
    radius: number | null;
    r_squared: number | null;
    explained_share: number | null;
    x: (number | null)[];
    y: (number | null)[];
  }[];
}

/** A run and its series. */
export class RunData {
  readonly path: string;
  readonly run: Resource<RunAnswer>;
  readonly trajectory: Resource<Trajectory>;
  readonly emergence: Resource<EmergenceAnswer>;
  readonly spectra: Resource<Spectra>;
  readonly grids: Resource<Grids>;
  readonly neurons: Resource<Neurons>;
  /** What is answered to each pair, asked for when one is asked. */
  readonly predicted: Resource<Predicted>;
  /** 1 for each train pair, 0 for each test pair, row a*p + b; null where nobody knows the split. */
  readonly split: Resource<Uint8Array | null>;
  private readonly planes = new Map<number | null, Resource<Coordinates>>();
  /** What happens to the run while it goes on. */
  readonly follower: Follower;
  private readonly stop = new AbortController();

  /** `first` is the frequency whose plane is shown first, as `plane` takes it. */
  constructor(
    readonly name: string,
    private readonly first: number | null,
  ) {
    this.path = `runs/${encodeURIComponent(name)}`;
    const json = <T>(of: string, asking: Asking) => source.json<T>(`${this.path}${of}`, asking);
    const array = async (of: string, asking: Asking) => readNumpy(await source.bytes(`${this.path}${of}`, asking));
    this.follower = new Follower(this.path, {
      opened: () => void this.catchUp('grow'), // a checkpoint may have come before the stream stood
      event: (kind) => void this.catchUp(kind === 'checkpoint' ? 'grow' : 'refresh'),
      ended: () => void this.catchUp('refresh'),
    });
    this.run = new Resource(async (asking) => {
      const found = having(await json<RunAnswer>('', asking), 'task', 'architecture');
      // now, not when the page has drawn itself of it, which takes longer than their answers
      [this.trajectory, this.emergence, this.spectra, this.grids, this.plane(this.first), this.split].forEach((one) => one.need());
      return found;
    });
    this.emergence = new Resource(async (asking) => having(await json<EmergenceAnswer>('/emergence', asking), 'lost'));
    const measures = (names: readonly Measure[], from: string, asking: Asking) =>
      json<TrajectoryAnswer>(`/trajectory?measures=${names.join(',')}${from}`, asking).then((found) => trajectoryOf(having(found, 'trajectory')));
    this.trajectory = new Resource(
      (asking) => measures(MEASURES, '', asking),
      async (here, asking) => {
        const more = await measures(MEASURES, from(here, '&'), asking);
        if (String(more.keys) === String(here.keys)) return trajectoryAnd(here, more);
        // with other keys the shares in them are others at every step
        const { columns, steps, keys } = await measures(OF_KEYS, '', asking);
        const grown = trajectoryAnd(here, more);
        if (String(steps) !== String(grown.steps) || String(keys) !== String(more.keys)) return null;
        for (const name of OF_KEYS) grown.columns[name] = columns[name];
        return grown;
      },
    );
    this.spectra = new Resource(
      async (asking) => spectraOf(await json<SpectraAnswer>('/spectra', asking)),
      async (here, asking) => spectraAnd(here, spectraOf(await json<SpectraAnswer>(`/spectra${from(here)}`, asking))),
    );
    // rows of an array are of the steps that the trajectory has; a run that goes on may gain one in between
    const stepsAfter = async (here: { steps: Float64Array } | null, rows: number) => {
      const { steps } = await this.trajectory.get();
      return here ? after(here.steps, steps).subarray(0, rows) : steps.subarray(0, rows);
    };
    const grids = async (here: Grids | null, asking: Asking): Promise<Grids> => {
      const [run, { data, shape }] = await Promise.all([
        this.run.get(),
        array(`/grids?of=correct&format=npy${here ? from(here, '&') : ''}`, asking),
      ]);
      const [rows, rowBytes] = shape as [number, number];
      const steps = await stepsAfter(here, rows);
      return { steps, modulus: run.task.modulus, rowBytes, bits: (data as Uint8Array).subarray(0, steps.length * rowBytes) };
    };
    this.grids = new Resource(
      (asking) => grids(null, asking),
      async (here, asking) => {
        const more = await grids(here, asking);
        return { ...here, steps: joined(here.steps, more.steps), bits: joined(here.bits, more.bits) };
      },
    );
    const neurons = async (here: Neurons | null, asking: Asking): Promise<Neurons> => {
      const { data, shape } = await array(`/neurons?format=npy${here ? from(here, '&') : ''}`, asking);
      const [rows, count, width] = shape as [number, number, number];
      const steps = await stepsAfter(here, rows);
      const size = steps.length * count;
      const frequency = Uint16Array.from({ length: size }, (_, i) => data[i * width]!);
      const share = Float32Array.from({ length: size }, (_, i) => data[i * width + 1]!);
      return { steps, count, frequency, share };
    };
    this.neurons = new Resource(
      (asking) => neurons(null, asking),
      async (here, asking) => {
        const more = await neurons(here, asking);
        if (more.steps.length && more.count !== here.count) return null;
        return {
          ...here,
          steps: joined(here.steps, more.steps),
          frequency: joined(here.frequency, more.frequency),
          share: joined(here.share, more.share),
        };
      },
    );
    const predicted = async (here: Predicted | null, asking: Asking): Promise<Predicted> => {
      const { data, shape } = await array(`/grids?format=npy${here ? from(here, '&') : ''}`, asking);
      const steps = await stepsAfter(here, shape[0]!);
      return { steps, pairs: shape[1]!, answers: (data as Uint8Array | Uint16Array).subarray(0, steps.length * shape[1]!) };
    };
    this.predicted = new Resource(
      (asking) => predicted(null, asking),
      async (here, asking) => {
        const more = await predicted(here, asking);
        return { ...here, steps: joined(here.steps, more.steps), answers: joined(here.answers, more.answers) };
      },
    );
    this.split = new Resource(async (asking) => {
      try {
        if ((await this.run.get()).task.train_pairs === null) return null;
        const { train } = await json<{ train: (boolean | null)[] }>('/split', asking);
        return Uint8Array.from(train, (one) => (one === null ? NO_ANSWER : Number(one)));
      } catch (error) {
        if (error instanceof Lacking && error.status === 404) return null;
        throw error;
      }
    });
  }

  /** The residues in the plane of a frequency; null is the run's strongest. Kept per frequency. */
  plane(frequency: number | null): Resource<Coordinates> {
    let plane = this.planes.get(frequency);
    if (!plane) {
      const of = frequency === null ? '' : `?frequency=${frequency}`;
      plane = new Resource(
        async (asking) => planeOf(await source.json(`${this.path}/coordinates${of}`, asking)),
        async (here, asking) => {
          const path = `${this.path}/coordinates${of}${from(here, of ? '&' : '?')}`;
          return planeAnd(here, planeOf(await source.json(path, asking)));
        },
      );
      this.planes.set(frequency, plane);
    }
    return plane;
  }

  /** The key frequencies, as far as they are known. */
  readonly keys: ReadonlySignal<number[]> = computed(() => this.trajectory.value?.keys ?? []);

  /** Ask for what every panel needs; neurons are asked for by their panel when it is seen. */
  need(): void {
    this.run.get().then(
      ({ status }) => {
        if (status === 'running') void this.follower.follow();
      },
      () => void this.retry(), // the page says why there is no such run, which may yet begin
    );
  }

  private async retry(): Promise<void> {
    try {
      await rest(BEGINS_MS, this.stop.signal);
      await visible(this.stop.signal);
      await this.run.ask();
    } catch {
      return; // the page shows something else
    }
    this.need();
  }

  /** What may change while the run goes on. */
  private get growing(): Resource<unknown>[] {
    const series = [this.trajectory, this.spectra, this.grids, this.neurons, this.predicted, ...this.planes.values()];
    return [this.run, this.emergence, ...series];
  }

  /** Ask for what a new checkpoint has brought: of series for their new rows alone. */
  async grow(): Promise<void> {
    await this.trajectory.grow(); // it names the steps of the others
    await Promise.all(this.growing.filter((one) => one !== this.trajectory).map((one) => one.grow()));
  }

  /** Ask anew for what was asked for: it may be another now. */
  async refresh(): Promise<void> {
    const asked = this.growing.filter((one) => one.loaded.peek().state !== 'idle');
    await Promise.all(asked.map((one) => one.ask()));
  }

  // What events ask for, one after another; many that come while it is done are one.
  private due: 'grow' | 'refresh' | null = null;
  private busy = false;
  private async catchUp(what: 'grow' | 'refresh'): Promise<void> {
    if (this.due !== 'refresh') this.due = what;
    if (this.busy) return;
    this.busy = true;
    while (this.due) {
      const now = this.due;
      this.due = null;
      await this[now]();
    }
    this.busy = false;
  }

  /** Give up what is on its way. */
  close(): void {
    this.stop.abort();
    this.follower.close();
    for (const one of [...this.growing, this.split]) one.close();
  }
}

function trajectoryOf(answer: TrajectoryAnswer): Trajectory {
  const rows = answer.trajectory;
  const steps = Float64Array.from(rows, (row) => row.step);
  const column = (name: Measure): Column => ({ steps, values: Float64Array.from(rows, (row) => number(row, name)) });
  const columns = Object.fromEntries(MEASURES.map((name) => [name, column(name)])) as Record<Measure, Column>;
  return { steps, columns, keys: answer.keys?.frequencies ?? [], provisional: answer.provisional };
}

function trajectoryAnd(here: Trajectory, more: Trajectory): Trajectory {
  const steps = joined(here.steps, more.steps);
  const column = (name: Measure) => ({ steps, values: joined(here.columns[name].values, more.columns[name].values) });
  const columns = Object.fromEntries(MEASURES.map((name) => [name, column(name)])) as Record<Measure, Column>;
  return { ...more, steps, columns };
}

function number(row: TrajectoryRow, name: string): number {
  return row[name] ?? NaN;
}

function spectraOf({ spectra, frequencies }: SpectraAnswer): Spectra {
  const values = Float64Array.from(spectra.flatMap((row) => row.values.map((value) => value ?? NaN)));
  const greatest = values.reduce((most, value) => (value > most ? value : most), 0);
  return { steps: Float64Array.from(spectra, (row) => row.step), frequencies, values, greatest };
}

/** The part of a path that leaves out what is here; all of a run starts at its first step. */
function from({ steps }: { steps: Float64Array }, sign = '?'): string {
  return steps.length ? `${sign}from_step=${steps[steps.length - 1]! + 1}` : '';
}

function spectraAnd(here: Spectra, more: Spectra): Spectra {
  const [steps, values] = [joined(here.steps, more.steps), joined(here.values, more.values)];
  return { ...here, steps, values, greatest: Math.max(here.greatest, more.greatest) };
}

/** Null where the strongest frequency is another now. */
function planeAnd(here: Coordinates, more: Coordinates): Coordinates | null {
  if (more.frequency !== here.frequency || more.residues.length !== here.residues.length) return null;
  return {
    ...here,
    steps: joined(here.steps, more.steps),
    xy: joined(here.xy, more.xy),
    radius: joined(here.radius, more.radius),
    rSquared: joined(here.rSquared, more.rSquared),
    explainedShare: joined(here.explainedShare, more.explainedShare),
    extent: Math.max(here.extent, more.steps.length ? more.extent : 0),
  };
}

function planeOf({ of, basis, frequency, residues, coordinates }: CoordinatesAnswer): Coordinates {
  const n = residues.length;
  const xy = new Float32Array(coordinates.length * n * 2);
  coordinates.forEach(({ x, y }, row) => {
    for (let i = 0; i < n; i++) {
      xy[(row * n + i) * 2] = x[i] ?? NaN;
      xy[(row * n + i) * 2 + 1] = y[i] ?? NaN;
    }
  });
  let extent = 0;
  for (let i = 0; i < xy.length; i += 2) extent = Math.max(extent, Math.hypot(xy[i]!, xy[i + 1]!) || 0);
  const each = (value: (row: (typeof coordinates)[number]) => number | null) =>
    Float64Array.from(coordinates, (row) => value(row) ?? NaN);
  return {
    steps: each((row) => row.step),
    frequency,
    residues,
    order: orderOf(residues, frequency, basis.order, basis.generator),
    of,
    xy,
    radius: each((row) => row.radius),
    rSquared: each((row) => row.r_squared),
    explainedShare: each((row) => row.explained_share),
    extent: extent || 1,
  };
}

/** The places of residues in the order k e = 0, 1, 2, ... of their elements e; of products, of their logarithms. */
function orderOf(residues: number[], frequency: number, order: number, generator: number | null): number[] {
  const element = new Map<number, number>();
  let power = 1;
  for (let e = 0; e < order; e++) {
    element.set(generator === null ? e : power, e);
    if (generator !== null) power = (power * generator) % (order + 1);
  }
  const turn = residues.map((residue) => ((element.get(residue) ?? 0) * frequency) % order);
  return residues.map((_, place) => place).sort((a, b) => turn[a]! - turn[b]! || a - b);
}
