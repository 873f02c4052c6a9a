import { computed, effect, signal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { rest, visible } from '../data/live';
import { having, Lacking, source } from '../data/source';
import type { ListedRun, RunPage, TrajectoryAnswer } from '../data/types';
import { sentence } from '../parts/panel';
import { hrefOf, parameter, setParameters } from '../state';
import { formula, percent, whole } from '../words';

const FILTERS = ['operation', 'modulus', 'status', 'group'] as const;
const DEMOS = ['quickstart', 'narrow']; // runs of `grokprobe demo`: trained, or shipped
const PAGE = 100;
const AGAIN_MS = 3000;

/** The runs that were read so far, of those that the service has by these filters. */
class RunList {
  readonly runs = signal<ListedRun[]>([]);
  readonly words = signal<string | null>('Loading.');
  readonly next = signal<string | null>(null);
  private readonly stop = new AbortController();
  private pages = 0;

  constructor(private readonly filters: string) {}

  /** Read on: as many pages as are shown are read again every few seconds, while they are seen. */
  async follow(): Promise<void> {
    const { signal: stop } = this.stop;
    try {
      for (await this.more(); ; await rest(AGAIN_MS, stop)) {
        await visible(stop);
        await this.read(Math.max(this.pages, 1)); // also where the first has failed
      }
    } catch (error) {
      if (!stop.aborted) throw error;
    }
  }

  /** Read one page more. */
  async more(): Promise<void> {
    this.next.value = null;
    await this.read(this.pages + 1);
  }

  // What is unchanged costs a 304: the browser sends the ETag of what it has.
  private async read(pages: number): Promise<void> {
    const waiting = (words: string | null) => (this.words.value = words ? sentence(words) : this.pages ? null : 'Loading.');
    const query = new URLSearchParams({ ...Object.fromEntries(new URLSearchParams(this.filters)), limit: String(PAGE) });
    const found: ListedRun[] = [];
    let next: string | null = null;
    try {
      for (let page = 0; page < pages && (page === 0 || next !== null); page++) {
        if (next !== null) query.set('after', next);
        const answer: RunPage = having(await source.json<RunPage>(`runs?${query}`, { signal: this.stop.signal, waiting }), 'runs');
        found.push(...answer.runs);
        next = answer.next;
      }
      if (pages < this.pages) return; // somebody has read on in between
      this.pages = pages;
      if (JSON.stringify(found) !== JSON.stringify(this.runs.peek())) this.runs.value = found;
      this.next.value = next;
      this.words.value = null;
    } catch (error) {
      if (!(error instanceof Lacking)) {
        if (this.stop.signal.aborted) return;
        throw error;
      }
      this.words.value = sentence(error.message);
    }
  }

  close(): void {
    this.stop.abort();
  }
}

/** The list of runs: searched, filtered, groups folded. */
export function Runs() {
  const asked = useMemo(() => FILTERS.map((name) => [name, parameter(name)] as const), []);
  const search = useMemo(() => parameter('search'), []);
  const list = useMemo(() => signal<RunList | null>(null), []);
  useEffect(
    () =>
      effect(() => {
        const named = asked.flatMap(([name, value]) => (value.value ? [[name, value.value] as [string, string]] : []));
        const found = new RunList(new URLSearchParams(named).toString());
        list.value = found;
        void found.follow();
        return () => found.close();
      }),
    [],
  );
  const found = useMemo(
    () =>
      computed(() => {
        const words = (search.value ?? '').toLowerCase().split(/\s+/).filter(Boolean);
        const all = list.value?.runs.value ?? [];
        return all.filter((run) => {
          const text = `${run.run} ${run.group ?? ''} ${run.operation} ${run.modulus} ${run.architecture} ${run.status}`.toLowerCase();
          return words.every((word) => text.includes(word));
        });
      }),
    [],
  );
  const { alone, groups } = grouped(found.value);
  const runs = list.value;
  const options = choices(runs?.runs.value ?? []);
  const next = runs?.next.value ?? null;
  const words = runs?.words.value ?? null;
  const toured = DEMOS.find((name) => runs?.runs.value.some(({ run }) => run === name));
  const filtered = asked.some(([, value]) => value.value) || search.value;
  return (
    <main class="list">
      <h1>Runs</h1>
      <p class="lead">Small networks that learn to compute in modular arithmetic: first by heart, then by a rule. Pick one and drag through its training.</p>
      {toured && (
        <p class="lead">
          New here? <a href={hrefOf(toured, { tour: 1 })}>Take the tour of {toured}</a>: seven sentences.
        </p>
      )}
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <label>
          <span>search</span>
          <input type="search" value={search.value ?? ''} onInput={(event) => setParameters({ search: event.currentTarget.value })} />
        </label>
        {asked.map(([name, value]) => (
          <label key={name}>
            <span>{name}</span>
            <select value={value.value ?? ''} onChange={(event) => setParameters({ [name]: event.currentTarget.value })}>
              <option value="">any</option>
              {[...new Set([...options[name], ...(value.value ? [value.value] : [])])].map((one) => (
                <option key={one} value={one}>
                  {one}
                </option>
              ))}
            </select>
          </label>
        ))}
      </form>
      <ul class="runs">
        {alone.map((run) => (
          <Row key={run.run} run={run} />
        ))}
      </ul>
      {groups.map(([name, members]) => (
        <details key={name} class="group">
          <summary>
            <b>{name}</b> <span>{members.length} runs</span>
            <span>{generalised(members)}</span>
          </summary>
          <ul class="runs">
            {members.map((run) => (
              <Row key={run.run} run={run} />
            ))}
          </ul>
        </details>
      ))}
      <p class="words" role="status">
        {words ?? (found.value.length ? '' : filtered ? 'No run is like that.' : 'No run is published yet. Train one: grokprobe train quickstart.')}
      </p>
      {next !== null && (
        <button type="button" onClick={() => void runs!.more()}>
          More runs
        </button>
      )}
    </main>
  );
}

function grouped(runs: ListedRun[]): { alone: ListedRun[]; groups: [string, ListedRun[]][] } {
  const groups = new Map<string, ListedRun[]>();
  for (const run of runs) if (run.group !== null) groups.set(run.group, [...(groups.get(run.group) ?? []), run]);
  return { alone: runs.filter((run) => run.group === null), groups: [...groups] };
}

function generalised(members: ListedRun[]): string {
  const count = members.filter(({ test_accuracy: share }) => share !== null && share >= 0.99).length;
  return `${count} of them know 99 % of the test pairs`;
}

function choices(runs: ListedRun[]): Record<(typeof FILTERS)[number], string[]> {
  const of = (value: (run: ListedRun) => string | null) => [...new Set(runs.map(value).filter((one) => one !== null))];
  return {
    operation: of((run) => run.operation).sort(),
    modulus: of((run) => String(run.modulus)).sort((a, b) => Number(a) - Number(b)),
    status: of((run) => run.status).sort(),
    group: of((run) => run.group).sort(),
  };
}

function Row({ run }: { run: ListedRun }) {
  return (
    <li>
      <a href={hrefOf(run.run)}>
        <span class="name">{run.run}</span>
        <span class="task">{formula(run.operation, run.modulus)}</span>
        <span class="kind">
          {run.architecture}, seed {run.seed ?? '–'}
        </span>
        <Sparkline run={run} />
        <span class="accuracy" title="test accuracy at the last checkpoint">
          {percent(run.test_accuracy)}
        </span>
        <span class="far">
          <span class={`status ${run.status}`}>{run.status}</span> {whole(run.latest_step)} steps, {run.checkpoint_count} checkpoints
        </span>
      </a>
    </li>
  );
}

const WIDE = 120;
const TALL = 28;

/** Test accuracy over the run, asked for when it comes into sight. */
function Sparkline({ run }: { run: ListedRun }) {
  const place = useRef<SVGSVGElement>(null);
  const line = useMemo(() => signal(''), []);
  useEffect(() => {
    const stop = new AbortController();
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      seen.disconnect();
      source
        .json<TrajectoryAnswer>(`runs/${encodeURIComponent(run.run)}/trajectory?measures=test_accuracy`, { signal: stop.signal })
        .then(({ trajectory }) => (line.value = lineOf(trajectory.map((row) => [row.step, row['test_accuracy'] ?? null]))))
        .catch((error: unknown) => {
          if (!(error instanceof Lacking) && !stop.signal.aborted) console.warn(error);
        });
    });
    seen.observe(place.current!);
    return () => (seen.disconnect(), stop.abort());
  }, [run.run, run.latest_step]);
  return (
    <svg ref={place} class="sparkline" viewBox={`-1 -2 ${WIDE + 2} ${TALL + 4}`} aria-hidden="true">
      <path class="floor" d={`M0 ${TALL}H${WIDE}`} />
      <path d={line} />
    </svg>
  );
}

function lineOf(points: [step: number, share: number | null][]): string {
  const last = points.at(-1)?.[0] || 1;
  const known = points.filter((point): point is [number, number] => point[1] !== null);
  const at = known.map(([step, share]) => `${((step / last) * WIDE).toFixed(1)} ${((1 - share) * TALL).toFixed(1)}`);
  return at.length ? `M${at.join('L')}` : '';
}
