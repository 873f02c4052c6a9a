import { computed, effect } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { RunData } from '../data/run';
import { Resource } from '../data/series';
import { source } from '../data/source';
import type { RunPage } from '../data/types';
import { pinAt, pinned, switchPin } from '../pin';
import { step } from '../state';
import { whole } from '../words';
import { typing } from './common';
import { sentence } from './panel';

/** Pins a step beside which everything is shown, or another run of the same task at a step. */
export function PinBar({ run }: { run: RunData }) {
  const others = useMemo(
    () =>
      new Resource(async (asking) => {
        const { operation, modulus } = (await run.run.get()).task;
        const query = new URLSearchParams({ operation, modulus: String(modulus), limit: '200' });
        const { runs } = await source.json<RunPage>(`runs?${query}`, asking);
        return runs.map((one) => one.run).filter((name) => name !== run.name);
      }),
    [run],
  );
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() === 'p' && !typing(event)) switchPin();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, []);
  useEffect(() => effect(() => void (pinned.value && others.need())), [others]);
  useEffect(() => () => others.close(), [others]);
  const view = pinned.value;
  const found = others.loaded.value;
  return (
    <div class="pinbar" role="group" aria-label="What is pinned">
      <button type="button" onClick={() => (view ? pinAt(null) : switchPin())} aria-keyshortcuts="P">
        {view ? 'Unpin' : 'Pin this step'}
      </button>
      {view ? (
        <>
          <label class="picker">
            beside{' '}
            <select value={view.run.name} onChange={(event) => pinAt(view.step.peek(), event.currentTarget.value)}>
              {[...new Set([run.name, view.run.name, ...(others.value ?? [])])].map((name) => (
                <option key={name} value={name}>
                  {name === run.name ? `${name}, this run` : name}
                </option>
              ))}
            </select>
          </label>
          <PinnedStep key={view.run.name} run={view.run} />
          {found.state === 'lacking' && <span class="words">Other runs: {sentence(found.words)}</span>}
          {found.state === 'here' && !found.value.length && <span class="words">No other run is of this task.</span>}
        </>
      ) : (
        <span class="words">or press P, to see before beside now.</span>
      )}
    </div>
  );
}

/** The step that is pinned, among the run's checkpoints. */
function PinnedStep({ run }: { run: RunData }) {
  const at = useMemo(() => computed(() => pinned.value?.step.value ?? NaN), []);
  const words = useMemo(() => computed(() => `step ${whole(at.value)}`), []);
  const place = useMemo(() => computed(() => Math.max(0, Array.from(run.trajectory.value?.steps ?? []).indexOf(at.value))), [run]);
  const steps = run.trajectory.value?.steps;
  return (
    <>
      <input
        type="range"
        class="slider"
        min={0}
        max={Math.max((steps?.length ?? 1) - 1, 0)}
        value={place}
        disabled={!steps || steps.length < 2}
        aria-label="pinned step"
        aria-valuetext={words}
        onInput={(event) => steps && pinAt(steps[Number(event.currentTarget.value)]!, run.name)}
      />
      <output class="step">
        <b>{words}</b>
      </output>
      <button type="button" onClick={() => pinAt(step.peek(), run.name)}>
        Pin at this step
      </button>
    </>
  );
}
