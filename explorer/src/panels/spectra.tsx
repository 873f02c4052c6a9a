import { computed } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { drawHeat, heatAt, heatFrame, heatImage } from '../draw/heat';
import { drew } from '../drawn';
import { pinned } from '../pin';
import { highlight, select } from '../highlight';
import { goToStep, hovered, moveBy, pickFrequency, timeAxis, type View } from '../state';
import { colours, theme } from '../theme';
import { percent } from '../words';
import { axisOf, panelId } from '../parts/common';
import { Panel } from '../parts/panel';
import { Picture } from '../parts/picture';

/** The spectrum at every step, as a heat map on the axis of time of the trajectory. */
export function Spectra({ view }: { view: View }) {
  const { run, step } = view;
  const id = panelId('spectra', view);
  const { spectra } = run;
  useEffect(() => () => drew(id, null), [id]);
  const axis = useMemo(() => computed(() => axisOf(run.trajectory.value?.steps ?? spectra.value?.steps ?? new Float64Array())), [run]);
  const kept = useMemo(() => ({ image: null as HTMLCanvasElement | null, of: [] as unknown[] }), [run]);
  const imageOf = (columns: number) => {
    const of = [spectra.value, axis.value, columns, theme.value];
    if (!kept.image || of.some((one, i) => one !== kept.of[i])) {
      kept.image = heatImage(spectra.value!, axis.value, columns, colours.value);
      kept.of = of;
    }
    return kept.image;
  };
  return (
    <Panel id={id} title="Spectra over steps" path={`${run.path}/spectra`} needs={[spectra]} wide>
      {() => (
        <Picture
          label="Share of the embedding's power in each frequency at every step"
          shape="strip"
          watch={() => [pinned.value?.step.value, spectra.value, axis.value, step.value, colours.value, highlight.value, timeAxis.value, run.keys.value]}
          paint={(surface) => {
            const found = spectra.value;
            if (!found?.steps.length) return;
            const columns = Math.round(heatFrame(surface).width * surface.ratio);
            const marked = highlight.value.frequency;
            const options = { step: step.value, pinned: pinned.value?.step.value ?? null, keys: run.keys.value, marked };
            drawHeat(surface, imageOf(columns), found, axis.value, colours.value, options);
            drew(id, { step: step.value, steps: found.steps, frequencies: found.frequencies, shares: found.values, marked });
          }}
          describe={() => {
            const found = spectra.value;
            if (!found?.steps.length) return '';
            const n = found.frequencies.length;
            const last = found.values.subarray((found.steps.length - 1) * n);
            const ends = run.keys.value.map((key) => {
              const i = found.frequencies.indexOf(key);
              return `frequency ${key} from ${percent(found.values[i])} to ${percent(last[i])}`;
            });
            return `${found.steps.length} spectra of ${n} frequencies. ${ends.length ? `From the first to the last: ${ends.join(', ')}.` : ''}`;
          }}
          onHover={(point) => {
            const found = spectra.value;
            const frequency = point && found ? heatAt(point.surface, found, axis.value, point.x, point.y).frequency : null;
            hovered.value = typeof frequency === 'number' ? { frequency } : null;
          }}
          onPress={(point) => {
            const { step: at, frequency } = heatAt(point.surface, spectra.value!, axis.value, point.x, point.y);
            goToStep(at);
            if (typeof frequency === 'number') pick(frequency);
          }}
          onMove={(_, down) => {
            const names = spectra.value!.frequencies.filter((name) => typeof name === 'number');
            if (!down || !names.length) return false;
            const place = highlight.value.frequency === null ? -1 : names.indexOf(highlight.value.frequency);
            hovered.value = { frequency: names[Math.min(Math.max(place - down, 0), names.length - 1)]! };
            return true;
          }}
          onEnter={() => hovered.value?.frequency !== undefined && pick(hovered.value.frequency)}
          onLeave={() => (hovered.value = null)}
          onDrag={(point) => goToStep(heatAt(point.surface, spectra.value!, axis.value, point.x, point.y).step)}
          onWheel={moveBy}
        />
      )}
    </Panel>
  );
}

function pick(frequency: number): void {
  pickFrequency(frequency);
  select({ frequency });
}
