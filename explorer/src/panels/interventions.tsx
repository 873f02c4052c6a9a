import { signal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { Resource } from '../data/series';
import { having, source } from '../data/source';
import type { InterventionAnswer } from '../data/types';
import { drew } from '../drawn';
import { parameter, setParameters, step, type View } from '../state';
import { percent, short, whole } from '../words';
import { pathAt } from '../parts/common';
import { Panel, sentence } from '../parts/panel';

const OF: Record<string, string> = {
  logits: 'frequencies of the logits',
  activations: 'frequencies of the neurons’ activations',
  embedding: 'frequencies of the embedding',
  neurons: 'neurons',
  heads: 'attention heads',
};
const METHODS: Record<string, string> = {
  logits: 'taken out of the logits themselves',
  neuron_logit_map: 'through the map from neurons to logits',
  model: 'the network run anew without them',
};
const CONTROLS = 100;

/** Take a part out of the network, or keep it alone, and see what is lost beside random parts of equal size. */
export function Interventions({ view }: { view: View }) {
  const { run } = view;
  const chosen = useMemo(() => parameter('cut'), []);
  const asked = useMemo(() => signal<Resource<InterventionAnswer> | null>(null), [run]);
  const request = useMemo(() => signal<{ path: string; body: unknown } | null>(null), [run]);
  const words = useMemo(() => signal(''), []);
  const names = (run.spectra.value?.frequencies ?? []).filter((name) => typeof name === 'number');
  const keys = run.keys.value.filter((key) => names.includes(key));
  const { verb, of, members } = choice(chosen.value, names.length ? 'logits' : 'neurons');
  const choose = (next: Partial<Choice>) => {
    const cut = { verb, of, members, ...next };
    setParameters({ cut: `${cut.verb}:${cut.of}:${cut.members}` });
  };
  const byFrequency = names.length > 0 && !['neurons', 'heads'].includes(of);
  const set = new Set(numbers(members) ?? []);
  useEffect(() => () => asked.peek()?.close(), [asked]);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const list = numbers(members);
    words.value = list?.length ? '' : `Choose at least one: numbers such as 3, 17, 20-25.`;
    if (!list?.length) return;
    asked.peek()?.close();
    const path = pathAt(run, step, '/interventions');
    const body = { of, [verb]: list, controls: CONTROLS };
    request.value = { path, body };
    asked.value = new Resource(async (asking) => having(await source.post<InterventionAnswer>(path, body, asking), 'parts'));
    asked.value.need();
  };
  const toggle = (one: number) => {
    if (set.has(one)) set.delete(one);
    else set.add(one);
    choose({ members: [...set].sort((a, b) => a - b).join(',') });
  };
  const box = (one: number) => (
    <label key={one}>
      <input type="checkbox" checked={set.has(one)} onChange={() => toggle(one)} /> {one}
    </label>
  );
  const others = names.filter((name) => !keys.includes(name));
  return (
    <Panel id="interventions" title="Switch parts off" {...request.value} needs={[run.run, run.spectra]} wide>
      {() => (
        <>
          <form class="cuts" onSubmit={submit}>
            <label>
              <select aria-label="what happens to them" value={verb} onChange={(event) => choose({ verb: event.currentTarget.value as 'remove' })}>
                <option value="remove">take out</option>
                <option value="keep">keep alone</option>
              </select>
            </label>
            <label>
              <select aria-label="parts of the network" value={of} onChange={(event) => choose({ of: event.currentTarget.value, members: '' })}>
                {Object.entries(OF)
                  .filter(([name]) => names.length || ['neurons', 'heads'].includes(name))
                  .map(([name, title]) => (
                    <option key={name} value={name}>
                      {title}
                    </option>
                  ))}
              </select>
            </label>
            {byFrequency ? (
              <>
                {keys.length > 0 && (
                  <fieldset>
                    <legend>keys</legend>
                    {keys.map(box)}
                  </fieldset>
                )}
                <details open={!keys.length}>
                  <summary>{keys.length ? 'other frequencies' : 'frequencies'}</summary>
                  <fieldset>
                    <legend class="unseen">other frequencies</legend>
                    {others.map(box)}
                  </fieldset>
                </details>
              </>
            ) : (
              <label>
                numbers, from 0 <input type="text" value={members} placeholder="3, 17, 20-25" onInput={(event) => choose({ members: event.currentTarget.value })} />
              </label>
            )}
            <button type="submit" disabled={asked.value?.loaded.value.state === 'waiting'}>
              Compute
            </button>
          </form>
          {!names.length && <p class="words">This task has no frequencies that could be taken out; neurons and heads can be.</p>}
          <p class="words" role="status">
            {words.value || progress(asked.value)}
          </p>
          {asked.value?.value && <Outcome answer={asked.value.value} />}
        </>
      )}
    </Panel>
  );
}

interface Choice {
  verb: 'remove' | 'keep';
  of: string;
  members: string;
}

/** What `cut=remove:logits:12,18` chooses. */
function choice(text: string | null, of: string): Choice {
  const found = /^(remove|keep):([a-z]+):(.*)$/.exec(text ?? '');
  if (!found || !OF[found[2]!]) return { verb: 'remove', of, members: '' };
  return { verb: found[1] as 'remove', of: found[2]!, members: found[3]! };
}

/** The numbers of `3, 17, 20-25`; null where it is not such a list. */
function numbers(text: string): number[] | null {
  const found = new Set<number>();
  for (const one of text.split(/[,\s]+/).filter(Boolean)) {
    const range = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(one);
    if (!range) return null;
    for (let i = Number(range[1]); i <= Number(range[2] ?? range[1]); i++) found.add(i);
  }
  return [...found];
}

function progress(asked: Resource<InterventionAnswer> | null): string {
  const found = asked?.loaded.value;
  if (found?.state === 'lacking') return sentence(found.words);
  if (found?.state !== 'waiting') return '';
  return found.words ? sentence(found.words) : `Computing, with ${CONTROLS} random parts beside it.`;
}

function Outcome({ answer }: { answer: InterventionAnswer }) {
  useEffect(() => {
    drew('interventions', { ...answer });
    return () => drew('interventions', null);
  }, [answer]);
  const { of, verb, members, method, missed, controls, p_value, parts } = answer;
  const what = `${OF[of] ?? of} ${members.length > 12 ? `${members.slice(0, 12).join(', ')} and ${members.length - 12} more` : members.join(', ')}`;
  const sets = controls.every ? `every one of the ${whole(controls.sets)} other choices` : `${whole(controls.sets)} random choices`;
  const late = step.value === answer.step ? '' : ` The page is at step ${whole(step.value)} now: compute again for that.`;
  const strip = (spread: { q05: number; q50: number; q95: number } | undefined, write: (one: number) => string) =>
    spread ? `${write(spread.q50)} (${write(spread.q05)} to ${write(spread.q95)})` : '–';
  return (
    <div class="outcome">
      <p>
        At step {whole(answer.step)}, {verb === 'remove' ? 'without' : 'with nothing but'} {what}, beside {sets} of as many.{' '}
        {p_value === null ? 'Without random choices there is no p-value.' : `By chance the loss would be ${controls.tail} this in ${percent(p_value)} of choices (p = ${short(p_value)}).`}{' '}
        Method: {METHODS[method] ?? method}
        {missed !== null && `, which misses a logit by ${short(missed)} at most`}.{late}
      </p>
      <div class="scrolls" role="region" tabIndex={0} aria-label="What is lost, as a table">
        <table class="figures">
          <caption class="unseen">Before, after, and of the random choices the median with 5 % to 95 %</caption>
          <thead>
            <tr>
              {['pairs', 'accuracy, before', 'after', 'random: median (5 % to 95 %)', 'loss, before', 'after', 'random: median (5 % to 95 %)', 'p'].map((name, i) => (
                <th key={i} scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {parts.map((part) => (
              <tr key={part.part}>
                <th scope="row">
                  {part.part}, {whole(part.pairs)}
                </th>
                <td>{percent(part.before.accuracy)}</td>
                <td>{percent(part.after.accuracy)}</td>
                <td>
                  <Controls part={part} /> {strip(part.controls?.accuracy, percent)}
                </td>
                <td>{short(part.before.loss)}</td>
                <td>{short(part.after.loss)}</td>
                <td>{strip(part.controls?.loss, short)}</td>
                <td>{short(part.p_value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

/** Accuracies from 0 to 100 %: a line each random choice, the tall one this choice. */
function Controls({ part }: { part: InterventionAnswer['parts'][number] }) {
  const x = (share: number) => (share * 100 + 2).toFixed(1);
  return (
    <svg class="controls" viewBox="0 0 104 16" aria-hidden="true">
      <path class="of-controls" d={(part.controls?.accuracies ?? []).map((one) => `M${x(one)} 5v6`).join('')} />
      <path class="of-this" d={`M${x(part.after.accuracy)} 0v16`} />
    </svg>
  );
}
