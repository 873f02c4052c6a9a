import { computed, effect, type ReadonlySignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { RunData, Trajectory as Series } from '../data/run';
import { valueAt } from '../data/series';
import { CHARTS, dataOf, dataOfBoth, linesOf, optionsOf, type Chart, type Line } from '../draw/lines';
import { placeOf, stepAt } from '../draw/time';
import { drew } from '../drawn';
import { pinned } from '../pin';
import { goToStep, moveBy, setParameters, timeAxis, type View } from '../state';
import { colours } from '../theme';
import { whole } from '../words';
import { axisOf, panelId } from '../parts/common';
import { soon } from '../parts/frames';
import { AskAgain, Panel, sentence } from '../parts/panel';
import { wheelSteps } from '../parts/picture';

/** Losses, accuracies and the weight norm over all steps, with phases, brackets and the fob. */
export function Trajectory({ view }: { view: View }) {
  const { run, step } = view;
  const id = panelId('trajectory', view);
  const { trajectory, emergence } = run;
  useEffect(() => () => drew(id, null), [id]);
  useEffect(
    () =>
      effect(() => {
        const found = trajectory.value;
        if (!found) return;
        const { memorised, generalised, phases } = emergence.value ?? {};
        const series = Object.fromEntries(Object.entries(found.columns).map(([name, column]) => [name, column.values]));
        drew(id, { step: step.value, steps: found.steps, ...series, memorised, generalised, phases, pinned: pinnedOf(view) });
      }),
    [run, step],
  );
  const here = trajectory.value;
  const log = timeAxis.value === 'log';
  return (
    <Panel
      id={id}
      title="Training"
      path={`${run.path}/trajectory`}
      needs={[trajectory]}
      lacks={here && !here.steps.length ? 'This run has no checkpoint yet.' : null}
      wide
      tools={
        <label class="picker">
          <input type="checkbox" checked={log} onChange={() => setParameters({ time: log ? null : 'log' })} /> steps by
          their logarithm
        </label>
      }
      caption={<Story view={view} />}
    >
      {() => {
        const charts = CHARTS.filter((chart) => linesOf(chart, trajectory.value!).length);
        return charts.map((chart) => <Lines key={chart.name} chart={chart} view={view} last={chart === charts.at(-1)} />);
      }}
    </Panel>
  );
}

/** The step that is pinned, and another run's lines. */
function pinnedOf({ run }: View) {
  const other = pinned.value;
  if (!other) return null;
  const found = other.run === run ? null : other.run.trajectory.value;
  const series = found && Object.fromEntries(Object.entries(found.columns).map(([name, column]) => [name, column.values]));
  return { run: other.run.name, step: other.step.value, ...(found && { steps: found.steps, ...series }) };
}

/** When it memorised and generalised, and between which steps, in words. */
function Story({ view }: { view: View }) {
  const { emergence, run } = view.run;
  const found = emergence.value;
  const status = run.value?.status;
  if (emergence.loaded.value.state === 'lacking') return <>When it generalised is not known: {sentence(emergence.loaded.value.words)} <AskAgain of={[emergence]} /></>;
  if (!found) return null;
  const when = (bracket: { step: number; previous_step: number | null }) =>
    bracket.previous_step === null
      ? `at its first checkpoint, step ${whole(bracket.step)}`
      : `between steps ${whole(bracket.previous_step)} and ${whole(bracket.step)}`;
  if (run.value?.task.train_pairs === null) return <>Which pairs it was trained on is not known, so neither is when it generalised.</>;
  const yet = status === 'running' ? 'has not yet' : 'never';
  return (
    <>
      {found.memorised ? `Memorised ${when(found.memorised)}` : `It ${yet} memorised its train pairs`}
      {found.generalised ? `, generalised ${when(found.generalised)}.` : `; it ${yet} generalised to the others.`}
      {found.lost.length > 0 && ` It lost that again ${when(found.lost[0]!)}.`}
    </>
  );
}

/** One chart of lines, by uPlot; the fob and the values at the step are moved without drawing anew. */
function Lines({ chart, view, last }: { chart: Chart; view: View; last: boolean }) {
  const place = useRef<HTMLDivElement>(null);
  const { run, step } = view;
  const lines = linesOf(chart, run.trajectory.value!);
  const other = pinned.value?.run.trajectory.value ? pinned.value : null;

  useEffect(() => {
    const element = place.current!;
    let plot: uPlot | null = null;
    const fob = document.createElement('div');
    fob.className = 'fob';
    const pin = document.createElement('div');
    pin.className = 'fob pin';
    const axis = computed(() => axisOf(run.trajectory.value?.steps ?? new Float64Array()));
    const move = () => {
      if (!plot) return;
      const at = plot.over.clientWidth * placeOf(axis.peek(), step.peek());
      fob.style.transform = `translateX(${at}px)`;
      const there = pinned.peek()?.step.peek() ?? NaN;
      pin.hidden = Number.isNaN(there);
      if (!pin.hidden) pin.style.transform = `translateX(${plot.over.clientWidth * placeOf(axis.peek(), there)}px)`;
    };
    const draw = () => {
      const found = run.trajectory.peek();
      if (!found || !element.clientWidth) return;
      plot?.destroy();
      const other = besideOf(run);
      const options = optionsOf(chart, linesOf(chart, found), last, element.clientWidth, axis.peek(), colours.peek(), () => run.emergence.value, other ? linesOf(chart, other) : []);
      plot = new uPlot(options, other ? dataOfBoth(chart, found, other) : dataOf(chart, found), element);
      plot.over.append(pin, fob);
      const stepOf = (event: PointerEvent) => {
        const box = plot!.over.getBoundingClientRect();
        goToStep(stepAt(axis.peek(), Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1)));
      };
      plot.over.addEventListener('pointerdown', (event) => {
        if (event.button) return;
        plot!.over.setPointerCapture(event.pointerId);
        stepOf(event);
      });
      plot.over.addEventListener('pointermove', (event) => {
        if (plot!.over.hasPointerCapture(event.pointerId)) stepOf(event);
      });
      plot.over.addEventListener('wheel', wheelSteps(moveBy), { passive: false });
      move();
    };
    const size = new ResizeObserver(() => {
      if (plot && plot.width !== element.clientWidth) plot.setSize({ width: element.clientWidth, height: plot.height });
      else if (!plot) draw();
      soon(move); // uPlot has its new size a moment later
    });
    size.observe(element);
    const stopDrawing = effect(() => {
      void [run.trajectory.value, run.emergence.value, colours.value, axis.value, besideOf(run)];
      soon(draw);
    });
    const stopMoving = effect(() => {
      void [step.value, pinned.value?.step.value];
      soon(move);
    });
    return () => {
      stopDrawing();
      stopMoving();
      size.disconnect();
      plot?.destroy();
      plot = null;
    };
  }, [run, step, chart, last]);

  return (
    <div class="chart">
      <ul class="legend" aria-label={`${chart.unit} at the step`}>
        {lines.map((line) => (
          <Value key={line.name} line={line} chart={chart} view={view} />
        ))}
      </ul>
      {other && (
        <ul class="legend pin" aria-label={`${chart.unit} of what is pinned`}>
          <li>pinned</li>
          {linesOf(chart, other.run.trajectory.value!).map((line) => (
            <Value key={line.name} line={line} chart={chart} view={other} />
          ))}
        </ul>
      )}
      <div ref={place} class={`lines ${chart.name}`} role="img" aria-label={`${lines.map(({ title }) => title).join(', ')} at every step`} />
    </div>
  );
}

/** The series of another run that is pinned beside this one. */
function besideOf(run: RunData): Series | null {
  const other = pinned.value?.run;
  return other && other !== run ? other.trajectory.value : null;
}

/** A line's name and its value at the step, or its last before that. */
function Value({ line, chart, view }: { line: Line; chart: Chart; view: View }) {
  const { run, step } = view;
  const words: ReadonlySignal<string> = useMemo(
    () =>
      computed(() => {
        const column = run.trajectory.value?.columns[line.name];
        const at = column ? valueAt(column, step.value) : null;
        if (!at) return '–';
        return `${chart.write(at.value)}${at.step === step.value ? '' : ` (at ${whole(at.step)})`}`;
      }),
    [run, step, line],
  );
  return (
    <li class={`of-${line.colour}`}>
      <i class="swatch" aria-hidden="true" />
      {line.title} <b>{words}</b>
    </li>
  );
}
