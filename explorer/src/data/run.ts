// Everything the page knows of a run: each series asked for once, as typed arrays.
import { computed, type ReadonlySignal } from '@preact/signals';
import { readNumpy } from './npy';
import { Resource, type Column } from './series';
import { Lacking, source, type Asking } from './source';
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
  /** 1 for each train pair, 0 for each test pair, row a*p + b; null where the split is unknown. */
  readonly split: Resource<Uint8Array | null>;
  private readonly planes = new Map<number | null, Resource<Coordinates>>();

  constructor(readonly name: string) {
    this.path = `runs/${encodeURIComponent(name)}`;
    const json = <T>(of: string, asking: Asking) => source.json<T>(`${this.path}${of}`, asking);
    const array = async (of: string, asking: Asking) => readNumpy(await source.bytes(`${this.path}${of}`, asking));
    this.run = new Resource((asking) => json<RunAnswer>('', asking));
    this.emergence = new Resource((asking) => json<EmergenceAnswer>('/emergence', asking));
    this.trajectory = new Resource(async (asking) =>
      trajectoryOf(await json<TrajectoryAnswer>(`/trajectory?measures=${MEASURES.join(',')}`, asking)),
    );
    this.spectra = new Resource(async (asking) => spectraOf(await json<SpectraAnswer>('/spectra', asking)));
    this.grids = new Resource(async (asking) => {
      const [run, { steps }, { data, shape }] = await Promise.all([
        this.run.get(),
        this.trajectory.get(),
        array('/grids?of=correct&format=npy', asking),
      ]);
      const rows = Math.min(shape[0]!, steps.length); // a run that goes on may gain one in between
      return { steps: steps.subarray(0, rows), modulus: run.task.modulus, rowBytes: shape[1]!, bits: data as Uint8Array };
    });
    this.neurons = new Resource(async (asking) => {
      const [{ steps }, { data, shape }] = await Promise.all([
        this.trajectory.get(),
        array('/neurons?format=npy', asking),
      ]);
      const [rows, count, width] = shape as [number, number, number];
      const size = rows * count;
      const frequency = Uint16Array.from({ length: size }, (_, i) => data[i * width]!);
      const share = Float32Array.from({ length: size }, (_, i) => data[i * width + 1]!);
      return { steps: steps.subarray(0, rows), count, frequency, share };
    });
    this.split = new Resource(async (asking) => {
      try {
        if ((await this.run.get()).task.train_pairs === null) return null;
        const { train } = await json<{ train: (boolean | null)[] }>('/split', asking);
        return Uint8Array.from(train, (one) => (one === null ? NO_ANSWER : Number(one)));
      } catch (error) {
        if (error instanceof Lacking) return null;
        throw error;
      }
    });
  }

  /** The residues in the plane of a frequency; null is the run's strongest. Kept per frequency. */
  plane(frequency: number | null): Resource<Coordinates> {
    let plane = this.planes.get(frequency);
    if (!plane) {
      const of = frequency === null ? '' : `?frequency=${frequency}`;
      plane = new Resource(async (asking) => planeOf(await source.json(`${this.path}/coordinates${of}`, asking)));
      this.planes.set(frequency, plane);
    }
    return plane;
  }

  /** The key frequencies, as far as they are known. */
  readonly keys: ReadonlySignal<number[]> = computed(() => this.trajectory.value?.keys ?? []);

  /** Ask for what every panel needs; neurons are asked for by their panel when it is seen. */
  need(): void {
    this.run.get().then(
      () => [this.trajectory, this.emergence, this.spectra, this.grids, this.split].forEach((one) => one.need()),
      () => undefined, // the page says why there is no such run
    );
  }

  /** Ask anew for what was here: the run has gained a checkpoint. */
  async refresh(): Promise<void> {
    const all = [this.run, this.trajectory, this.emergence, this.spectra, this.grids, this.neurons];
    const here = [...all, ...this.planes.values()].filter((one) => one.loaded.peek().state === 'here');
    await Promise.all(here.map((one) => one.ask()));
  }

  /** Give up what is on its way. */
  close(): void {
    const all = [this.run, this.trajectory, this.emergence, this.spectra, this.grids, this.neurons, this.split];
    for (const one of [...all, ...this.planes.values()]) one.close();
  }
}

function trajectoryOf(answer: TrajectoryAnswer): Trajectory {
  const rows = answer.trajectory;
  const steps = Float64Array.from(rows, (row) => row.step);
  const column = (name: Measure): Column => ({ steps, values: Float64Array.from(rows, (row) => number(row, name)) });
  const columns = Object.fromEntries(MEASURES.map((name) => [name, column(name)])) as Record<Measure, Column>;
  return { steps, columns, keys: answer.keys?.frequencies ?? [], provisional: answer.provisional };
}

function number(row: TrajectoryRow, name: string): number {
  return row[name] ?? NaN;
}

function spectraOf({ spectra, frequencies }: SpectraAnswer): Spectra {
  const values = Float64Array.from(spectra.flatMap((row) => row.values.map((value) => value ?? NaN)));
  const greatest = values.reduce((most, value) => (value > most ? value : most), 0);
  return { steps: Float64Array.from(spectra, (row) => row.step), frequencies, values, greatest };
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
