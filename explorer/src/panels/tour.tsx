import { useEffect, useMemo, useRef } from 'preact/hooks';
import { lastAt, valueAt } from '../data/series';
import type { Measure, RunData } from '../data/run';
import { goToStep, parameter, setParameters } from '../state';
import { stillness } from '../theme';
import { percent, whole } from '../words';

/** A stop of the tour: the panel in focus, where the step goes, and one sentence; of a run's own numbers. */
interface Stop {
  panel: string;
  step: number;
  says: string;
}

/** Seven sentences on a run, by its labels; they say where it lacks one. */
export function stopsOf(run: RunData): Stop[] {
  const { steps, columns, keys } = run.trajectory.value!;
  const [first, last] = [steps[0] ?? 0, steps[steps.length - 1] ?? 0];
  const { memorised = null, generalised = null } = run.emergence.value ?? {};
  const from = memorised?.step ?? first;
  const to = generalised?.step ?? last;
  const share = (name: Measure, step: number) => percent(valueAt(columns[name], step)?.value);
  const late = to - from; // train accuracy that was lost again is held for good after test accuracy, or with it
  const after = !memorised
    ? 'without having memorised first'
    : late > 0
      ? `${whole(late)} steps after it had memorised`
      : 'before it held its train pairs for good';
  const between = (part: number) => steps[Math.max(lastAt(steps, from + (to - from) * part), 0)] ?? first;
  const [middle, later] = [between(0.5), between(0.75)];
  const plane = run.plane(null).value;
  const fit = plane ? (plane.rSquared[lastAt(plane.steps, to)] ?? NaN) : NaN;
  return [
    {
      panel: 'trajectory',
      step: from,
      says: memorised
        ? `Memorised: by step ${whole(from)} it answers its train pairs and ${share('test_accuracy', from)} of the others, for it has learnt them by heart.`
        : 'This run lacks the label “memorised”, for it never answered nearly all its train pairs, so the tour begins at its first checkpoint.',
    },
    {
      panel: 'grid',
      step: middle,
      says: `Then long nothing: at step ${whole(middle)} the train pairs, which carry a dot, are right, and of the others ${share('test_accuracy', middle)}.`,
    },
    {
      panel: 'spectra',
      step: later,
      says: `Look inside: while the answers hardly change, its key frequencies grow from ${share('key_share', from)} of the embedding to ${share('key_share', later)}.`,
    },
    {
      panel: 'circle',
      step: to,
      says:
        fit >= 0.8
          ? `A circle: in the plane of frequency ${plane!.frequency} the residues have come to lie in a ring, so that to compute is to turn.`
          : `Here a circle would form; in this run it explains ${percent(fit)} of the strongest plane at step ${whole(to)}.`,
    },
    {
      panel: 'spectrum',
      step: last,
      says: keys.length
        ? `Few frequencies: in the end ${keys.length} (${keys.join(', ')}) hold ${share('key_share', last)} of the embedding.`
        : 'This run lacks key frequencies, so its spectrum has no few that stand out.',
    },
    {
      panel: 'trajectory',
      step: to,
      says: generalised
        ? `When: between steps ${whole(generalised.previous_step ?? first)} and ${whole(to)} it generalised, ${after}.`
        : `This run lacks the label “generalised”: at its last checkpoint it knows ${share('test_accuracy', last)} of the pairs that it never saw.`,
    },
    {
      panel: document.getElementById('panel-ask') ? 'ask' : 'grid',
      step: to,
      says: 'Ask yourself: pick a pair, drag through the steps, and see when the network knows its answer.',
    },
  ];
}

const asked = parameter('tour');

/** The guided tour, where the address has it: a sentence, the panel that it is about, back, next, leave. */
export function Tour({ run }: { run: RunData }) {
  const count = 7;
  const at = Number(asked.value);
  const on = Number.isInteger(at) && at >= 1 && at <= count;
  if (!on || !run.trajectory.value?.steps.length) return null;
  const { state } = run.emergence.loaded.value;
  if (state === 'idle' || state === 'waiting') return null;
  return <Card run={run} at={at} count={count} />;
}

const leave = () => setParameters({ tour: null });

function Card({ run, at, count }: { run: RunData; at: number; count: number }) {
  const next = useRef<HTMLButtonElement>(null);
  const come = useRef(true);
  useEffect(() => run.plane(null).need(), [run]);
  const stops = stopsOf(run);
  const stop = stops[at - 1]!;
  const go = (to: number) => (to > count ? leave() : setParameters({ tour: to }));
  const stepAsked = useMemo(() => parameter('step'), []);
  useEffect(() => {
    // a link that names its own step keeps it
    if (!come.current || stepAsked.peek() === null) goToStep(stop.step);
    if (come.current) next.current!.focus({ preventScroll: true });
    come.current = false;
    const panel = document.getElementById(`panel-${stop.panel}`);
    if (!panel) return;
    panel.dataset['toured'] = '';
    const tall = panel.offsetHeight > innerHeight / 2; // no room around it beside the card
    panel.scrollIntoView({ block: tall ? 'start' : 'center', behavior: stillness.peek() ? 'auto' : 'smooth' });
    return () => delete panel.dataset['toured'] as unknown as void;
  }, [at]);
  useEffect(() => {
    const escape = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) leave();
    };
    document.addEventListener('keydown', escape);
    return () => {
      document.removeEventListener('keydown', escape);
      const title = document.querySelector('h1');
      if (!title) return;
      title.tabIndex = -1; // its buttons are gone, the focus is not
      title.focus({ preventScroll: true });
    };
  }, []);
  return (
    <aside class="tour" aria-label="Guided tour">
      <p aria-live="polite">
        <span class="quiet">{at} of {count}.</span> {stop.says}
      </p>
      <div>
        <button type="button" class="quiet" onClick={leave}>Leave</button>
        <button type="button" disabled={at === 1} onClick={() => (go(at - 1), at === 2 && next.current!.focus())}>Back</button>
        <button type="button" ref={next} onClick={() => go(at + 1)}>{at === count ? 'Finish' : 'Next'}</button>
      </div>
    </aside>
  );
}
