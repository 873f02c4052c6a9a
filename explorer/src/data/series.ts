// A series of a run: rows by step. Whoever draws asks for the row at a step or the last before it.
import { signal, type ReadonlySignal } from '@preact/signals';
import { Lacking, NO_ANSWER, type Asking } from './source';

/** What is known of something asked for: on its way, here, or why not, in words. */
export type Loaded<T> =
  | { state: 'idle' }
  | { state: 'waiting'; words: string | null }
  | { state: 'here'; value: T }
  | { state: 'lacking'; words: string; status: number };

/** Something asked for once, when first needed, and again when `ask` is called anew. */
export class Resource<T> {
  private readonly found = signal<Loaded<T>>({ state: 'idle' });
  private stop: AbortController | null = null;
  private asked: Promise<void> | null = null;
  private readonly loadMore: (asking: Asking) => Promise<T>;

  /** `more` adds to a value what came after it; null where all of it must be asked for anew. */
  constructor(
    private readonly load: (asking: Asking) => Promise<T>,
    more?: (here: T, asking: Asking) => Promise<T | null>,
  ) {
    this.loadMore = async (asking) => {
      const here = this.peek();
      return (more && here !== null && (await more(here, asking))) || load(asking);
    };
  }

  /** What is known of it now. */
  get loaded(): ReadonlySignal<Loaded<T>> {
    return this.found;
  }

  /** Its value, or null while it is not here; reading it subscribes. */
  get value(): T | null {
    return this.found.value.state === 'here' ? this.found.value.value : null;
  }

  /** Its value as `value` has it, without subscribing. */
  peek(): T | null {
    const found = this.found.peek();
    return found.state === 'here' ? found.value : null;
  }

  /** Ask for it unless that was done. */
  need(): void {
    if (this.found.peek().state === 'idle') void this.ask();
  }

  /** Its value, asked for unless it is here or on its way. Throws Lacking where there is none. */
  async get(): Promise<T> {
    this.need();
    await this.asked;
    const found = this.found.peek();
    if (found.state === 'here') return found.value;
    throw new Lacking(found.state === 'lacking' ? found.words : 'It was given up.', 0);
  }

  /** Ask for it; what was here stays until the new answer comes. */
  ask(): Promise<void> {
    return (this.asked = this.once(this.load));
  }

  /** Ask for what came after what is here; anew for what cannot grow, or is not here. */
  async grow(): Promise<void> {
    if (this.found.peek().state === 'waiting') await this.asked;
    if (this.found.peek().state !== 'idle') await (this.asked = this.once(this.loadMore));
  }

  private async once(load: (asking: Asking) => Promise<T>): Promise<void> {
    this.stop?.abort();
    const stop = (this.stop = new AbortController());
    const set = (next: Loaded<T>) => {
      if (!stop.signal.aborted) this.found.value = next;
    };
    const waiting = (words: string | null) => {
      const { state } = this.found.peek();
      if (state !== 'here' && (state !== 'lacking' || words !== null)) set({ state: 'waiting', words });
    };
    waiting(null);
    window.grokprobe.asking++;
    try {
      set({ state: 'here', value: await load({ signal: stop.signal, waiting }) });
    } catch (error) {
      if (error instanceof Lacking) set({ state: 'lacking', words: error.message, status: error.status });
      else if (!stop.signal.aborted) {
        set({ state: 'lacking', words: NO_ANSWER, status: 0 });
        console.warn(error); // what could not be read in it
      }
    } finally {
      window.grokprobe.asking--;
    }
  }

  /** Give up what is on its way. */
  close(): void {
    this.stop?.abort();
  }
}

/** The index of the last of `steps`, which ascend, that is not after `step`; -1 before the first. */
export function lastAt(steps: ArrayLike<number>, step: number): number {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle]! <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The index of the one of `steps` that is nearest to `step`; -1 where there is none. */
export function nearestTo(steps: ArrayLike<number>, step: number): number {
  const before = lastAt(steps, step);
  if (before < 0) return steps.length ? 0 : -1;
  if (before + 1 >= steps.length) return before;
  return step - steps[before]! <= steps[before + 1]! - step ? before : before + 1;
}

/** A column of numbers by step, NaN for null. */
export interface Column {
  steps: Float64Array;
  values: Float64Array;
}

/** A column's value at a step, or its last before that, with the step it is of; null without any. */
export function valueAt(column: Column, step: number): { step: number; value: number } | null {
  for (let i = lastAt(column.steps, step); i >= 0; i--) {
    const value = column.values[i]!;
    if (!Number.isNaN(value)) return { step: column.steps[i]!, value };
  }
  return null;
}

/** The steps that come after all of `here`. */
export function after(here: Float64Array, steps: Float64Array): Float64Array {
  return steps.subarray(here.length ? lastAt(steps, here[here.length - 1]!) + 1 : 0);
}

/** Numbers, and those that follow them. */
export function joined<T extends Float64Array | Float32Array | Uint8Array | Uint16Array>(here: T, more: T): T {
  if (!more.length) return here;
  const all = new (here.constructor as new (length: number) => T)(here.length + more.length);
  all.set(here);
  all.set(more, here.length);
  return all;
}
