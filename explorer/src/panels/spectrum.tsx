import { computed } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { lastAt } from '../data/series';
import { barAt, drawBars } from '../draw/bars';
import { drew } from '../drawn';
import { highlight, select } from '../highlight';
import { hovered, pickFrequency, type View } from '../state';
import { colours } from '../theme';
import { percent } from '../words';
import { ofStep, panelId, pathAt, titleOf } from '../parts/common';
import { Panel } from '../parts/panel';
import { Picture } from '../parts/picture';

/** The shares of the embedding's power in each frequency, at the step. */
export function Spectrum({ view, beside }: { view: View; beside?: View }) {
  const { run, step, frequency } = view;
  const id = panelId('spectrum', view);
  const { spectra } = run;
  useEffect(() => () => drew(id, null), [id]);
  const row = useMemo(() => computed(() => lastAt(spectra.value?.steps ?? [], step.value)), [spectra, step]);
  const keys = useMemo(() => computed(() => new Set<number | string>(run.keys.value)), [run]);
  const strongest = useMemo(
    () =>
      computed(() => {
        const [found, at] = [spectra.value, row.value];
        if (!found || at < 0) return [];
        const n = found.frequencies.length;
        const shares = found.frequencies.map((name, i) => ({ name, share: found.values[at * n + i]! }));
        return shares.sort((a, b) => b.share - a.share).slice(0, 3);
      }),
    [spectra, row],
  );
  const caption = useMemo(
    () =>
      computed(() => {
        const found = spectra.value;
        if (!found || row.value < 0) return '';
        const each = strongest.value.map(({ name, share }) => `${name} with ${percent(share)}`);
        return `Strongest: ${each.join(', ')}${ofStep(found.steps[row.value]!, step.value)}`;
      }),
    [spectra, row],
  );
  const picked = () => frequency.value ?? run.plane(null).value?.frequency ?? null;
  const greatest = () => Math.max(spectra.value?.greatest ?? 0, beside?.run.spectra.value?.greatest ?? 0);
  return (
    <Panel id={id} title={titleOf('Spectrum of the embedding', view)} path={pathAt(run, step, '/spectrum')} needs={[spectra]} caption={caption}>
      {() => (
        <Picture
          label="Share of the embedding's power in each frequency"
          shape="square"
          watch={() => [spectra.value, row.value, colours.value, highlight.value, picked(), keys.value, greatest()]}
          paint={(surface) => {
            const found = spectra.value;
            if (!found || row.value < 0) return;
            const marked = highlight.value.frequency;
            const n = found.frequencies.length;
            const bars = { names: found.frequencies, values: found.values, from: row.value * n, greatest: greatest() };
            drawBars(surface, bars, colours.value, { keys: keys.value, picked: picked(), marked });
            drew(id, {
              step: found.steps[row.value],
              frequencies: found.frequencies,
              shares: found.values.subarray(row.value * n, (row.value + 1) * n),
              keys: run.keys.value,
              marked,
            });
          }}
          describe={() => {
            const found = run.keys.value;
            return `${caption.value} ${found.length ? `Key frequencies: ${found.join(', ')}.` : ''}`;
          }}
          onHover={(point) => {
            const found = spectra.value;
            const i = point && found ? barAt(point.surface, found.frequencies.length, point.x) : null;
            const name = i === null ? null : found!.frequencies[i];
            hovered.value = typeof name === 'number' ? { frequency: name } : null;
          }}
          onPress={(point) => {
            const found = spectra.value;
            const i = found ? barAt(point.surface, found.frequencies.length, point.x) : null;
            const name = i === null ? null : found!.frequencies[i];
            if (typeof name === 'number') pick(name);
          }}
          onMove={(right) => {
            const names = spectra.value!.frequencies.filter((name) => typeof name === 'number');
            if (!right || !names.length) return false;
            const place = highlight.value.frequency === null ? -1 : names.indexOf(highlight.value.frequency);
            hovered.value = { frequency: names[Math.min(Math.max(place + right, 0), names.length - 1)]! };
            return true;
          }}
          onEnter={() => hovered.value?.frequency !== undefined && pick(hovered.value.frequency)}
          onLeave={() => (hovered.value = null)}
        />
      )}
    </Panel>
  );
}

function pick(frequency: number): void {
  pickFrequency(frequency);
  select({ frequency });
}
