import { computed } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { lastAt } from '../data/series';
import { bitsAt, changesOf, countRight, GridImage, isRight, pairAt } from '../draw/grid';
import { drew } from '../drawn';
import { highlight, select } from '../highlight';
import { hovered, pickPair, pickedPair, type View } from '../state';
import { colours } from '../theme';
import { percent, whole } from '../words';
import { ofStep, panelId, pathAt, titleOf } from '../parts/common';
import { AskAgain, Panel } from '../parts/panel';
import { Picture } from '../parts/picture';

/** Every pair, right or wrong, at the step; train pairs carry a dot. */
export function Grid({ view, beside }: { view: View; beside?: View }) {
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
  const changes = useMemo(
    () =>
      computed(() => {
        const [found, other] = [grids.value, view.name === 'now' && beside ? beside.run.grids.value : null];
        const at = other && beside ? lastAt(other.steps, beside.step.value) : -1;
        if (!found || !other || at < 0 || row.value < 0 || other.modulus !== found.modulus) return null;
        const before = bitsAt(other, at);
        return { before, ...changesOf(before, bitsAt(found, row.value)) };
      }),
    [grids, row, beside],
  );
  const changed = () => {
    const found = changes.value;
    if (!found) return '';
    return ` Beside what is pinned ${whole(found.gained.length)} are newly right (green) and ${whole(found.lost.length)} newly wrong (purple).`;
  };
  const unknown = () => {
    const { state } = split.loaded.value;
    if (state === 'here') return ' Which were trained on is not known.';
    return state === 'lacking' ? ' Which were trained on could not be loaded.' : '';
  };
  const caption = useMemo(
    () =>
      computed(() => {
        const [found, all] = [grids.value, count.value];
        if (!found || !all) return '';
        const at = ofStep(found.steps[row.value]!, step.value);
        if (!all.train) return `Right are ${whole(all.right)} of ${whole(all.pairs)} pairs${at}${split.value ? '' : unknown()}${changed()}`;
        const test = all.pairs - all.train;
        return `Right are ${percent(all.trainRight / all.train)} of ${whole(all.train)} train pairs (dots) and ${percent((all.right - all.trainRight) / test)} of ${whole(test)} others${at}${changed()}`;
      }),
    [grids, count, changes],
  );
  const said = <>{caption} <AskAgain of={[split]} /></>;
  return (
    <Panel id={id} title={titleOf('Every pair', view)} path={pathAt(run, step, '/predictions')} needs={[grids]} caption={said} tools={<Legend train={!!split.value} />}>
      {() => (
        <Picture
          label="Grid of all pairs, a downwards and b across: answered rightly or wrongly"
          shape="square"
          watch={() => [grids.value, row.value, split.value, colours.value, highlight.value, pickedPair.value, changes.value]}
          paint={(surface) => {
            const found = grids.value;
            if (!found || row.value < 0) return;
            const { pair, residues } = highlight.value;
            const residue = pair ? null : (residues[0] ?? null);
            const asked = pickedPair.value;
            image!.draw(surface, found, row.value, split.value, colours.value, {
              pair,
              asked,
              residue,
              before: changes.value?.before ?? null,
            });
            const { lost = null, gained = null } = changes.value ?? {};
            const bits = bitsAt(found, row.value);
            drew(id, { step: found.steps[row.value], modulus: found.modulus, ...count.value, bits, split: split.value, pair, asked, residue, lost, gained });
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
            if (pair) pick(pair);
          }}
          onMove={(right, down) => {
            const p = grids.value!.modulus;
            const [a, b] = highlight.value.pair ?? pickedPair.value ?? [0, 0];
            const within = (one: number) => Math.min(Math.max(one, 0), p - 1);
            hovered.value = { pair: highlight.value.pair ? [within(a + down), within(b + right)] : [within(a), within(b)] };
            return true;
          }}
          onEnter={() => hovered.value?.pair && pick(hovered.value.pair)}
          onLeave={() => (hovered.value = null)}
        />
      )}
    </Panel>
  );
}

function pick(pair: readonly [number, number]): void {
  pickPair(pair);
  select({ pair: [...pair] });
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
