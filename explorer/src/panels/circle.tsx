import { computed } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { lastAt } from '../data/series';
import { drawCircle, residueAt } from '../draw/circle';
import { drew } from '../drawn';
import { highlight, select } from '../highlight';
import { hovered, type View } from '../state';
import { colours } from '../theme';
import { percent, short } from '../words';
import { ofStep, panelId, pathAt, titleOf } from '../parts/common';
import { FrequencyPicker } from '../parts/frequency';
import { Panel } from '../parts/panel';
import { Picture } from '../parts/picture';

/** The residues in the plane of one frequency: the circle that the network makes of them. */
export function Circle({ view, beside }: { view: View; beside?: View }) {
  const { run, step, frequency } = view;
  const id = panelId('circle', view);
  const plane = run.plane(frequency.value);
  useEffect(() => plane.need(), [plane]);
  useEffect(() => () => drew(id, null), [id]);
  const row = useMemo(() => computed(() => lastAt(plane.value?.steps ?? [], step.value)), [plane, step]);
  const caption = useMemo(
    () =>
      computed(() => {
        const [found, at] = [plane.value, row.value];
        if (!found || at < 0) return '';
        const fit = found.rSquared[at]!;
        return `Frequency ${found.frequency} holds ${percent(found.explainedShare[at])} of the embedding; a circle explains ${percent(fit)} of it${ofStep(found.steps[at]!, step.value)}`;
      }),
    [plane, row],
  );
  const extent = () => Math.max(plane.value?.extent ?? 1, beside?.run.plane(beside.frequency.value).value?.extent ?? 0);
  const here = plane.value;
  const at = here?.frequency ?? frequency.value;
  return (
    <Panel
      id={id}
      title={titleOf('The circle', view)}
      path={pathAt(run, step, `/embedding?projection=frequency${at === null ? '' : `&frequency=${at}`}`)}
      needs={[plane]}
      lacks={here && !here.steps.length ? 'This run has no checkpoint yet.' : null}
      tools={view.name === 'now' && <FrequencyPicker view={view} />}
      caption={caption}
    >
      {() => (
        <Picture
          key={plane.value!.frequency}
          label={`Residues in the plane of frequency ${plane.value!.frequency}`}
          shape="square"
          watch={() => [plane.value, row.value, colours.value, highlight.value, extent()]}
          paint={(surface) => {
            const found = plane.value;
            if (!found || row.value < 0) return;
            const { residues: marked, answer } = highlight.value;
            drawCircle(surface, found, row.value, colours.value, { marked, answer, extent: extent() });
            const n = found.residues.length * 2;
            drew(id, {
              step: found.steps[row.value],
              frequency: found.frequency,
              residues: found.residues,
              xy: found.xy.subarray(row.value * n, (row.value + 1) * n),
              extent: extent(),
              r_squared: found.rSquared[row.value],
              explained_share: found.explainedShare[row.value],
              marked,
              answer,
            });
          }}
          describe={() => {
            const found = plane.value;
            if (!found || row.value < 0) return '';
            return `${caption.value} Mean distance from the middle ${short(found.radius[row.value])}.`;
          }}
          onHover={(point) => {
            const found = plane.value;
            const residue = point && found && residueAt(point.surface, found, row.value, point.x, point.y, extent());
            hovered.value = residue === null || residue === undefined ? null : { residue };
          }}
          onPress={() => hovered.value && select(hovered.value)}
          onMove={(right, down) => {
            // around the circle, once it has formed
            const { residues, order } = plane.value!;
            const place = order.findIndex((i) => residues[i] === highlight.value.residues[0]);
            const next = (place + right + down + order.length) % order.length;
            hovered.value = { residue: residues[order[place < 0 ? 0 : next]!]! };
            return true;
          }}
          onEnter={() => hovered.value && select(hovered.value)}
          onLeave={() => (hovered.value = null)}
        />
      )}
    </Panel>
  );
}
