import { useEffect, useMemo } from 'preact/hooks';
import { Activations } from '../panels/activations';
import { Ask } from '../panels/ask';
import { Circle } from '../panels/circle';
import { Compare } from '../panels/compare';
import { Figures } from '../panels/figures';
import { Grid } from '../panels/grid';
import { Interventions } from '../panels/interventions';
import { Neurons } from '../panels/neurons';
import { Announcer } from '../parts/announcer';
import { AskAgain, sentence } from '../parts/panel';
import { Tour } from '../panels/tour';
import { Spectra } from '../panels/spectra';
import { Spectrum } from '../panels/spectrum';
import { HighlightBar } from '../parts/highlight';
import { PinBar } from '../parts/pin';
import { TimeBar } from '../parts/time';
import { Trajectory } from '../panels/trajectory';
import type { RunData } from '../data/run';
import { pinned } from '../pin';
import { hrefOf, pickedFrequency, step, type View } from '../state';
import { formula, whole } from '../words';

/** A run: its training on top, one step for everything, and what the network is at that step. */
export function Run({ run }: { run: RunData }) {
  useEffect(() => {
    document.title = `${run.name} · grokprobe`;
  }, [run]);
  const about = run.run.loaded.value;
  if (about.state === 'lacking') {
    return (
      <main>
        <h1>{run.name}</h1>
        <p class="words">
          {sentence(about.words)} <a href="#/">All runs</a>
        </p>
        <AskAgain of={[run.run]} />
      </main>
    );
  }
  return (
    <main class="run">
      <div class="title">
        <h1>{run.name}</h1>
        <About run={run} />
        <p class="lead"><a href={hrefOf(run.name, { tour: 1 })}>A tour of this run in seven sentences</a></p>
      </div>
      {about.state === 'here' && <Panels run={run} />}
    </main>
  );
}

/** Panels that show what is pinned beside now. */
const BOTH = [Circle, Spectrum, Grid, Neurons];

/** What is seen of a run that is known to exist. */
function Panels({ run }: { run: RunData }) {
  const view: View = useMemo(() => ({ name: 'now', run, step, frequency: pickedFrequency }), [run]);
  const other = pinned.value;
  return (
    <>
      <TimeBar />
      <Announcer view={view} />
      <PinBar run={run} />
      <HighlightBar />
      <div class={other ? 'panels paired' : 'panels'}>
        <Trajectory view={view} />
        {BOTH.map((Both, i) => [
          other && <Both key={`${i}-${other.run.name}`} view={other} beside={view} />,
          <Both key={`${i}-now-${other?.run.name ?? ''}`} view={view} {...(other && { beside: other })} />,
          Both === Grid && !other && <Spectra key="spectra" view={view} />,
        ])}
        {other && <Compare key={`compare-${other.run.name}`} view={view} beside={other} />}
        {other && <Spectra key="spectra" view={view} />}
        <Ask view={view} />
        <Interventions view={view} />
        <Activations view={view} />
        <Figures view={view} />
      </div>
      <Tour run={run} />
    </>
  );
}

function About({ run }: { run: RunData }) {
  const about = run.run.loaded.value;
  if (about.state !== 'here') return <p class="lead">{(about.state === 'waiting' && about.words && sentence(about.words)) || 'Loading.'}</p>;
  const { task, architecture, optimiser, status, checkpoint_count: count } = about.value;
  const trained = task.train_pairs === null ? 'trained on pairs that are not known' : `trained on ${whole(task.train_pairs)} of ${whole((task.train_pairs ?? 0) + (task.test_pairs ?? 0))} pairs`;
  const by = optimiser?.name && `${optimiser.name}${optimiser['weight_decay'] === undefined ? '' : `, weight decay ${String(optimiser['weight_decay'])}`}`;
  return (
    <p class="lead">
      <b>{formula(task.operation, task.modulus)}</b>, {architecture.family}, {trained}
      {by && `, ${by}`}; {status === 'complete' ? '' : `${status}, `}
      {count === 1 ? '1 checkpoint' : `${whole(count)} checkpoints`}.
    </p>
  );
}
