import { computed } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import { Following } from '../data/asked';
import { having, source } from '../data/source';
import type { CompareAnswer, ComparedPart } from '../data/types';
import { drew } from '../drawn';
import { pinned } from '../pin';
import { restedNow, restedPin } from '../rest';
import { step, type View } from '../state';
import { percent, short, whole } from '../words';
import { Panel, sentence } from '../parts/panel';

/** What differs between what is pinned and now, in numbers; asked for when both rest. */
export function Compare({ view, beside }: { view: View; beside: View }) {
  const id = 'compare';
  const path = useMemo(
    () =>
      computed(() => {
        const [a, b] = [restedPin.value, restedNow.value];
        return a && b ? `compare?${new URLSearchParams({ a, b })}` : null;
      }),
    [],
  );
  const comparison = useMemo(
    () => new Following(path, async (at, asking) => having(await source.json<CompareAnswer>(at, asking), 'parts')),
    [view.run, beside.run],
  );
  useEffect(() => () => comparison.close(), [comparison]);
  useEffect(() => () => drew(id, null), []);
  const caption = useMemo(
    () =>
      computed(() => {
        const found = comparison.value;
        if (!found) return '';
        const late = found.b.step !== step.value || found.a.step !== pinned.value?.step.value;
        const of = (one: CompareAnswer['a']) => `${one.run} at step ${whole(one.step)}`;
        return `Of ${of(found.a)} (before) and ${of(found.b)} (now).${late ? ' The steps have moved on: asked again when they rest.' : ''}`;
      }),
    [comparison],
  );
  const answer = comparison.value;
  useEffect(() => {
    if (answer) drew(id, { ...answer });
  }, [answer]);
  return (
    <Panel id={id} title="Before and now, in numbers" path={path.value} needs={[comparison]} wide caption={caption}>
      {() => <Numbers answer={comparison.value!} />}
    </Panel>
  );
}

function Numbers({ answer }: { answer: CompareAnswer }) {
  const { parts, identical, keys, planes, embedding, neurons, all_weights: all, weights, absent } = answer;
  const lacking = (name: string) => <span class="words">{sentence(absent[name] ?? 'not known')}</span>;
  const similar = (one: CompareAnswer['embedding'], name: string) =>
    one ? `${short(one.cka)} (${short(one.null_mean)} by chance)` : lacking(name);
  return (
    <div class="compare">
      <p>
        <b>{identical === 'bytes' ? 'Identical' : identical === 'weights' ? 'Identical weights' : 'Not identical'}</b>
        {identical === 'bytes' && ': the same file.'}
        {identical === 'weights' && ': every parameter is the same, in other files.'}
        {identical === null && `: ${changes(parts[0]!)}`}
      </p>
      <div class="scrolls" role="region" tabIndex={0} aria-label="What differs, as a table">
        <table class="figures">
          <caption class="unseen">What both answer, by part of the pairs</caption>
          <thead>
            <tr>
              <th scope="col">pairs</th>
              <th scope="col">other answer</th>
              <th scope="col">now wrong</th>
              <th scope="col">now right</th>
              <th scope="col">accuracy, before</th>
              <th scope="col">now</th>
              <th scope="col">loss, before</th>
              <th scope="col">now</th>
              <th scope="col">KL of now from before</th>
              <th scope="col">of before from now</th>
            </tr>
          </thead>
          <tbody>
            {parts.map((part, i) => (
              <tr key={i}>
                <th scope="row">
                  {partName(part)}, {whole(part.pairs)}
                </th>
                <td>{whole(part.changed)}</td>
                <td>{whole(part.right_to_wrong)}</td>
                <td>{whole(part.wrong_to_right)}</td>
                <td>{percent(part.accuracy_a)}</td>
                <td>{percent(part.accuracy_b)}</td>
                <td>{short(part.loss_a)}</td>
                <td>{short(part.loss_b)}</td>
                <td>{short(part.kl_a_b)}</td>
                <td>{short(part.kl_b_a)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <dl class="facts">
        <Fact name="Key frequencies">
          {keys === null ? lacking('keys') : keys.length ? (['kept', 'gained', 'lost'] as const).map((change) => keyWords(keys, change)).filter(Boolean).join('; ') : 'Neither has any.'}
        </Fact>
        <Fact name="Similarity of the embeddings (linear CKA)">{similar(embedding, 'embedding')}</Fact>
        <Fact name="of the neurons">{similar(neurons, 'neurons')}</Fact>
        <Fact name="Overlap of the strongest planes">
          {planes ? `${percent(planes.overlap)} (${percent(planes.chance)} by chance), frequencies ${planes.frequencies_a.join(', ')} and ${planes.frequencies_b.join(', ')}` : lacking('planes')}
        </Fact>
        <Fact name="Distance of all weights">{all ? distance(all) : lacking('all_weights')}</Fact>
      </dl>
      {weights === null ? (
        <p>Weights: {lacking('weights')}</p>
      ) : (
        <details>
          <summary>Each of {weights.length} parameters</summary>
          <table class="figures">
            <tbody>
              {weights.map((one) => (
                <tr key={one.name}>
                  <th scope="row">{one.name}</th>
                  <td>{one.identical ? 'the same' : distance(one)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
    </div>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function partName({ split_a: a, split_b: b }: ComparedPart): string {
  if (a === b) return a ?? 'all';
  return `${a ?? 'all'} before, ${b ?? 'all'} now`;
}

function changes({ pairs, changed, right_to_wrong: lost, wrong_to_right: gained }: ComparedPart): string {
  return `${whole(changed)} of ${whole(pairs)} pairs have another answer, of which ${whole(gained)} are right now and ${whole(lost)} were before.`;
}

function keyWords(keys: NonNullable<CompareAnswer['keys']>, change: string): string {
  const found = keys.filter((key) => key.change === change);
  return found.length ? `${change} ${found.map((key) => key.frequency).join(', ')}` : '';
}

function distance({ distance: far, cosine }: { distance: number | null; cosine: number | null }): string {
  if (far === null) return 'of different shapes';
  return `${short(far)}${cosine === null ? '' : `, cosine ${short(cosine)}`}`;
}
