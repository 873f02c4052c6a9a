import { effect, signal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Measure } from '../data/run';
import { valueAt } from '../data/series';
import { playing, type View } from '../state';
import { percent, whole } from '../words';

const QUIET_MS = 800;
const SAID: [Measure, string][] = [
  ['train_accuracy', 'train accuracy'],
  ['test_accuracy', 'test accuracy'],
];

/** Says the step and its accuracies to a screen reader, once the step rests. */
export function Announcer({ view }: { view: View }) {
  const said = useMemo(() => signal(''), []);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = effect(() => {
      const [step, columns, moves] = [view.step.value, view.run.trajectory.value?.columns, playing.value];
      clearTimeout(timer);
      if (!columns || moves || Number.isNaN(step)) return;
      const each = SAID.map(([name, title]) => `${title} ${percent(valueAt(columns[name], step)?.value)}`);
      timer = setTimeout(() => (said.value = `Step ${whole(step)}: ${each.join(', ')}.`), QUIET_MS);
    });
    return () => (stop(), clearTimeout(timer));
  }, [view]);
  return <p class="unseen" role="status" id="announced">{said}</p>;
}
