import { computed, signal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { Following } from '../data/asked';
import { having, Lacking, source } from '../data/source';
import type { Prediction, PredictionAnswer } from '../data/types';
import { clear, type Frame, type Surface } from '../draw/surface';
import { placeOf, stepAt, TIME_LEFT, TIME_RIGHT } from '../draw/time';
import { drew } from '../drawn';
import { answerOf, select } from '../highlight';
import { restedNow } from '../rest';
import { goToStep, moveBy, pickedPair, pickPair, step, type View } from '../state';
import { colours } from '../theme';
import { percent, short, whole } from '../words';
import { axisOf } from '../parts/common';
import { Panel } from '../parts/panel';
import { Picture } from '../parts/picture';

const TOP = 5;

/** Ask the network for (a, b): its answer now with what it looks at, and its answers at every step. */
export function Ask({ view }: { view: View }) {
  const { run } = view;
  const path = useMemo(
    () =>
      computed(() => {
        const [at, pair, modulus] = [restedNow.value, pickedPair.value, run.run.value?.task.modulus ?? 0];
        if (!at || !pair || Math.max(...pair) >= modulus) return null;
        const [name, number] = at.split('/') as [string, string];
        return `runs/${encodeURIComponent(name)}/checkpoints/${number}/predictions?pair=${pair.join(',')}`;
      }),
    [run],
  );
  const asked = useMemo(
    () =>
      new Following(path, async (at, asking) => {
        const [place, query = ''] = at.split('?pair=');
        const body = { pairs: [query.split(',').map(Number)], top: Math.min(TOP, run.run.peek()!.task.modulus) };
        try {
          return having(await source.post<PredictionAnswer>(place!, { ...body, include: ['attention'] }, asking), 'predictions');
        } catch (error) {
          // a network without attention answers all the same
          if (!(error instanceof Lacking) || error.status !== 404) throw error;
          return having(await source.post<PredictionAnswer>(place!, body, asking), 'predictions');
        }
      }),
    [run],
  );
  const pair = pickedPair.value;
  useEffect(() => {
    if (pair) run.predicted.need();
  }, [pair]);
  useEffect(() => () => asked.close(), [asked]);
  useEffect(() => () => drew('ask', null), []);
  const p = run.run.value?.task.modulus ?? 0;
  const outside = pair && Math.max(...pair) >= p;
  const found = asked.value;
  const said = found?.predictions[0];
  const current = pair && said && said.a === pair[0] && said.b === pair[1];
  useEffect(() => {
    if (current) drew('ask', { step: found.step, ...said });
  }, [found, pair]);
  // as it was asked: a network without attention is not asked for it
  const body = current && { pairs: [pair], top: Math.min(TOP, p), ...(said.attention && { include: ['attention'] }) };
  return (
    <Panel id="ask" title="Ask the network" path={body ? path.value!.split('?')[0]! : null} body={body || undefined} needs={pair && !outside ? [asked, run.predicted] : []} wide tools={<Inputs key={p} modulus={p} />}>
      {() => {
        if (outside) return <p class="words">The pair ({pair.join(', ')}) is not of this task: a and b are 0 to {p - 1}.</p>;
        if (!pair) return <p class="words">Give a and b, or pick a pair in the grid.</p>;
        return (
          <>
            {current ? <Said said={said} at={found.step} /> : <p class="words waiting">Asking.</p>}
            <Strip key={pair.join()} view={view} pair={pair} />
          </>
        );
      }}
    </Panel>
  );
}

function Inputs({ modulus }: { modulus: number }) {
  const words = useMemo(() => signal(''), []);
  const pair = pickedPair.value;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const [a, b] = [Number(form.get('a') || NaN), Number(form.get('b') || NaN)];
    const right = [a, b].every((one) => Number.isInteger(one) && one >= 0 && one < modulus);
    words.value = right ? '' : `a and b are whole numbers from 0 to ${modulus - 1}.`;
    if (!right) return;
    pickPair([a, b]);
    select({ pair: [a, b] });
  };
  return (
    <form class="asks" onSubmit={submit} noValidate>
      {(['a', 'b'] as const).map((name, i) => (
        <label key={name}>
          {name} <input type="number" name={name} min={0} max={modulus - 1} step={1} value={pair?.[i] ?? ''} required />
        </label>
      ))}
      <button type="submit">Ask</button>
      <span role="status">{words}</span>
    </form>
  );
}

function Said({ said, at }: { said: Prediction; at: number }) {
  const { a, b, predicted, answer, correct, loss, split, top, attention } = said;
  const late = step.value === at ? '' : ' The step has moved on: asked again when it rests.';
  const part = split === 'train' ? 'It was trained on this pair.' : split === 'test' ? 'It was not trained on this pair.' : '';
  return (
    <div class="said">
      <p>
        At step {whole(at)} it answers <b>{predicted}</b> to ({a}, {b}):{' '}
        {answer === null ? 'this pair has no right answer in this task, so it is neither right nor wrong.' : correct ? 'right.' : `wrong, ${answer} is right.`}{' '}
        {loss !== null && `Loss ${short(loss)} nats. `}
        {part}
        {late}
      </p>
      <div class="two">
        <table class="figures">
          <caption>Likeliest answers</caption>
          <tbody>
            {top.map((one) => (
              <tr key={one.residue}>
                <th scope="row">{one.residue === answer ? `${one.residue}, right` : one.residue}</th>
                <td>
                  <meter min={0} max={1} value={one.probability} aria-hidden="true" /> {percent(one.probability)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {attention ? (
          <table class="figures">
            <caption>What each head looks at</caption>
            <thead>
              <tr>
                <th scope="col">head</th>
                {attention[0]!.map((_, i) => (
                  <th key={i} scope="col">
                    {['a', 'b', '='][i] ?? i}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {attention.map((weights, head) => (
                <tr key={head}>
                  <th scope="row">{head}</th>
                  {weights.map((weight, i) => (
                    <td key={i}>{percent(weight)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        ) : (
          <p class="words">This network has no attention.</p>
        )}
      </div>
    </div>
  );
}

/** Its answers to the pair at every step: a dot each, at the residue that it answers. */
function Strip({ view, pair }: { view: View; pair: readonly [number, number] }) {
  const { run, step: at } = view;
  const p = run.run.value!.task.modulus;
  const answer = answerOf(pair);
  const i = pair[0] * p + pair[1];
  const axis = useMemo(() => computed(() => axisOf(run.trajectory.value?.steps ?? new Float64Array())), [run]);
  const all = useMemo(
    () =>
      computed(() => {
        const [said, grids] = [run.predicted.value, run.grids.value];
        const rows = Math.min(said?.steps.length ?? 0, grids?.steps.length ?? 0);
        return Array.from({ length: rows }, (_, row) => ({
          step: said!.steps[row]!,
          answer: said!.answers[row * said!.pairs + i]!,
          right: (grids!.bits[row * grids!.rowBytes + (i >> 3)]! & (128 >> (i & 7))) !== 0,
        }));
      }),
    [run, i],
  );
  useEffect(() => () => drew('answers', null), []);
  return (
    <Picture
      label={`Answers to (${pair.join(', ')}) at every step`}
      shape="strip"
      watch={() => [all.value, axis.value, at.value, colours.value]}
      paint={(surface) => {
        const context = clear(surface);
        const { left, top, width, height } = frameOf(surface);
        const y = (residue: number) => top + height * (1 - (residue + 0.5) / p);
        const x = (of: number) => left + width * placeOf(axis.value, of);
        const hues = colours.value;
        context.textAlign = 'right';
        context.textBaseline = 'middle';
        context.fillStyle = hues.quiet;
        for (const one of answer === null ? [0, p - 1] : [0, answer, p - 1]) context.fillText(String(one), left - 6, y(one));
        if (answer !== null) {
          context.fillStyle = hues.grid;
          context.fillRect(left, y(answer) - 1, width, 2);
        }
        for (const one of all.value) {
          context.fillStyle = one.right ? hues.test : answer === null ? hues.quiet : hues.wrong;
          context.beginPath();
          if (one.right) context.arc(x(one.step), y(one.answer), 3.5, 0, 2 * Math.PI);
          else context.rect(x(one.step) - 2, y(one.answer) - 2, 4, 4);
          context.fill();
        }
        context.fillStyle = hues.ink;
        context.fillRect(x(at.value) - 0.75, top - 4, 1.5, height + 8);
        const each = (of: 'step' | 'answer' | 'right') => all.value.map((one) => one[of]);
        drew('answers', { step: at.value, pair, answer, steps: each('step'), answers: each('answer'), right: each('right') });
      }}
      describe={() => {
        const right = all.value.filter((one) => one.right);
        const last = all.value.findLastIndex((one) => !one.right);
        const since = all.value[last + 1];
        return `Right at ${right.length} of ${all.value.length} checkpoints${since ? `, always from step ${whole(since.step)} on` : ''}.`;
      }}
      onPress={(point) => goToStep(stepUnder(point.surface, point.x))}
      onDrag={(point) => goToStep(stepUnder(point.surface, point.x))}
      onWheel={moveBy}
    />
  );
  function stepUnder(surface: Surface, x: number): number {
    const { left, width } = frameOf(surface);
    return stepAt(axis.value, Math.min(Math.max((x - left) / width, 0), 1));
  }
}

function frameOf({ width, height }: Surface): Frame {
  return { left: TIME_LEFT, top: 12, width: width - TIME_LEFT - TIME_RIGHT, height: height - 24 };
}
