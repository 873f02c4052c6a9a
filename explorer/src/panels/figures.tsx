import { computed } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Measure } from '../data/run';
import { valueAt } from '../data/series';
import { drew } from '../drawn';
import type { View } from '../state';
import { percent, short, whole } from '../words';
import { panelId, pathAt } from '../parts/common';
import { Panel } from '../parts/panel';

const ROWS: [Measure, string, (value: number) => string][] = [
  ['train_accuracy', 'accuracy, train', percent],
  ['test_accuracy', 'accuracy, test', percent],
  ['train_loss', 'loss, train', short],
  ['test_loss', 'loss, test', short],
  ['restricted_loss', 'loss with the keys alone', short],
  ['excluded_loss', 'train loss without the keys', short],
  ['restricted_accuracy', 'accuracy with the keys alone', percent],
  ['key_share', 'embedding in the keys', percent],
  ['gini_embedding', 'sparseness of the spectrum (Gini)', short],
  ['neurons_clustered', 'neurons of one frequency', percent],
  ['weight_norm', 'weight norm (sum of squares)', short],
];

/** The step's measures in numbers; what it lacks is the last earlier, and says so. */
export function Figures({ view }: { view: View }) {
  const { run, step } = view;
  const id = panelId('figures', view);
  useEffect(() => () => drew(id, null), [id]);
  const found = useMemo(
    () =>
      computed(() => {
        const columns = run.trajectory.value?.columns;
        const all = ROWS.map(([name, title, write]) => {
          const at = columns ? valueAt(columns[name], step.value) : null;
          return { name, title, at, words: at ? write(at.value) : '–' };
        });
        drew(id, { step: step.value, ...Object.fromEntries(all.map(({ name, at }) => [name, at])) });
        return all;
      }),
    [run, step],
  );
  return (
    <Panel id={id} title="In numbers" path={pathAt(run, step, '')} needs={[run.trajectory]}>
      {() => (
        <table class="figures">
          <tbody>
            {ROWS.map(([name, title], i) => (
              <Figure key={name} title={title} of={() => found.value[i]!} asked={() => step.value} />
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

interface Shown {
  words: string;
  at: { step: number } | null;
}

/** A row whose cells change as text alone, for scrubbing passes many of them. */
function Figure({ title, of, asked }: { title: string; of: () => Shown; asked: () => number }) {
  const words = useMemo(() => computed(() => of().words), []);
  const earlier = useMemo(
    () =>
      computed(() => {
        const at = of().at;
        return at && at.step !== asked() ? `at ${whole(at.step)}` : '';
      }),
    [],
  );
  return (
    <tr>
      <th scope="row">{title}</th>
      <td>{words}</td>
      <td class="earlier">{earlier}</td>
    </tr>
  );
}
