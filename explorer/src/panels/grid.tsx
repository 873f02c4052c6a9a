import { computed } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { lastAt } from '../data/series';
import { countRight, GridImage, isRight, pairAt } from '../draw/grid';
import { drew } from '../drawn';
import { hovered, pickPair, pickedPair, type View } from '../state';
import { colours } from '../theme';
import { percent, whole } from '../words';
import { ofStep, panelId, pathAt } from '../parts/common';
import { Panel } from '../parts/panel';
import { Picture } from '../parts/picture';

/** Every pair, right or wrong, at the step; train pairs carry a dot. */
export function Grid({ view }: { view: View }) {
  const { run, step } = view;
  const id = panelId('grid', view);
  const { grids, split } = run;
  useEffect(() => () => drew(id, null), [id]);
  const row = useMemo(() => computed(() => lastAt(grids.value?.steps ?? [], step.value)), [grids, step]);
  const image = useMemo(() => (grids.value ? new GridImage(grids.value.modulus) : null), [grids.value?.modulus]);
  const count = useMemo(
    () =>
      computed(() => (grids.value && row.value >= 0 ? countRight(grids.value, row.value, split.value) : null)),
    [grids, row],
  );
  const caption = useMemo(
    () =>
      computed(() => {
        const [found, all] = [grids.value, count.value];
        if (!found || !all) return '';
        const at = ofStep(found.steps[row.value]!, step.value);
        if (!all.train) return `Right are ${whole(all.right)} of ${whole(all.pairs)} pairs${at}${split.value ? '' : ' Which were trained on is not known.'}`;
        const test = all.pairs - all.train;
        return `Right are ${percent(all.trainRight / all.train)} of ${whole(all.train)} train pairs (dots) and ${percent((all.right - all.trainRight) / test)} of ${whole(test)} others${at}`;
      }),
    [grids, count],
  );
  return (
    <Panel id={id} title="Every pair" path={pathAt(run, step, '/predictions')} needs={[grids]} caption={caption} tools={<Legend train={!!split.value} />}>
      {() => (
        <Picture
          label="Grid of all pairs, a downwards and b across: answered rightly or wrongly"
          shape="square"
          watch={() => [grids.value, row.value, split.value, colours.value, hovered.value, pickedPair.value]}
          paint={(surface) => {
            const found = grids.value;
            if (!found || row.value < 0) return;
            const pair = hovered.value?.pair ?? pickedPair.value;
            image!.draw(surface, found, row.value, split.value, colours.value, {
              pair,
              residue: hovered.value?.residue ?? null,
            });
            const bits = found.bits.subarray(row.value * found.rowBytes, (row.value + 1) * found.rowBytes);
            drew(id, { step: found.steps[row.value], modulus: found.modulus, ...count.value, bits, split: split.value, pair });
          }}
          describe={() => {
            const pair = pickedPair.value;
            const found = grids.value;
            const about = pair && found ? ` The pair (${pair.join(', ')}) is ${isRight(found, row.value, pair[0] * found.modulus + pair[1]) ? 'right' : 'wrong'}.` : '';
            return caption.value + about;
          }}
          onHover={(point) => {
            const pair = point && grids.value ? pairAt(point.surface, grids.value.modulus, point.x, point.y) : null;
            hovered.value = pair ? { pair } : null;
          }}
          onPress={(point) => {
            const pair = grids.value && pairAt(point.surface, grids.value.modulus, point.x, point.y);
            if (pair) pickPair(pair);
          }}
        />
      )}
    </Panel>
  );
}

function Legend({ train }: { train: boolean }) {
  return (
    <span class="key">
      <i class="cell-right" aria-hidden="true" /> right <i class="cell-wrong" aria-hidden="true" /> wrong
      {train && (
        <>
          {' '}
          <i class="cell-train" aria-hidden="true" /> train
        </>
      )}
    </span>
  );
}
