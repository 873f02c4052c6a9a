import { computed } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { Following } from '../data/asked';
import { readNumpy } from '../data/npy';
import { source } from '../data/source';
import { diverging, pixel } from '../draw/colours';
import { gridFrame, pairAt } from '../draw/grid';
import { clear, hidden } from '../draw/surface';
import { drew } from '../drawn';
import { highlight, select } from '../highlight';
import { restedNow } from '../rest';
import { hovered, parameter, pickPair, setParameters, step, type View } from '../state';
import { colours, theme } from '../theme';
import { short, whole } from '../words';
import { Panel } from '../parts/panel';
import { Picture } from '../parts/picture';

const OF = { neurons: 'neuron', attention: 'attention, head × tokens + token', logits: 'logit of answer' };

interface Unit {
  path: string;
  step: number;
  modulus: number;
  values: ArrayLike<number>;
  most: number;
}

/** One unit over all pairs: a neuron, an attention weight, a logit; asked for when the step rests. */
export function Activations({ view }: { view: View }) {
  const { run } = view;
  const asked = useMemo(() => parameter('unit'), []);
  const [of, index] = (/^(neurons|attention|logits):(\d+)$/.exec(asked.value ?? '')?.slice(1) ?? ['neurons', '']) as [keyof typeof OF, string];
  const path = useMemo(
    () =>
      computed(() => {
        const [at, unit] = [restedNow.value, /^(neurons|attention|logits):(\d+)$/.exec(asked.value ?? '')];
        if (!at || !unit) return null;
        const [name, number] = at.split('/') as [string, string];
        return `runs/${encodeURIComponent(name)}/checkpoints/${number}/activations?of=${unit[1]}&index=${unit[2]}`;
      }),
    [],
  );
  const unit = useMemo(
    () =>
      new Following<Unit>(path, async (at, asking) => {
        const { data, shape } = readNumpy(await source.bytes(`${at}&format=npy`, asking));
        let most = 0;
        for (const value of data) most = Math.max(most, Math.abs(value));
        return { path: at, step: Number(/checkpoints\/(\d+)/.exec(at)![1]), modulus: shape[0]!, values: data, most };
      }),
    [run],
  );
  useEffect(() => () => unit.close(), [unit]);
  useEffect(() => () => drew('activations', null), []);
  const choose = (kind: string, at: string) => setParameters({ unit: /^\d+$/.test(at) ? `${kind}:${Number(at)}` : null });
  const marked = highlight.value.neuron;
  const caption = useMemo(
    () =>
      computed(() => {
        const found = unit.value;
        if (!found) return '';
        const late = found.step === step.value ? '' : ' The step has moved on: asked again when it rests.';
        const pair = highlight.value.pair;
        const here = pair && Math.max(...pair) < found.modulus ? ` At (${pair.join(', ')}): ${short(found.values[pair[0] * found.modulus + pair[1]])}.` : '';
        return `At step ${whole(found.step)}; orange to ${short(found.most)}, blue to −${short(found.most)}, no colour is 0.${here}${late}`;
      }),
    [unit],
  );
  const tools = (
    <>
      <label class="picker">
        <span class="unseen">kind of unit</span>
        <select value={of} onChange={(event) => choose(event.currentTarget.value, index || '0')}>
          {Object.entries(OF).map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <label class="picker">
        number <input type="number" min={0} step={1} value={index} onChange={(event) => choose(of, event.currentTarget.value)} />
      </label>
      {marked !== null && `${of}:${index}` !== `neurons:${marked}` && (
        <button type="button" onClick={() => choose('neurons', String(marked))}>
          neuron {marked}
        </button>
      )}
    </>
  );
  return (
    <Panel id="activations" title="One unit, every pair" path={path.value} needs={path.value ? [unit] : []} tools={tools} caption={path.value && caption}>
      {() =>
        path.value === null ? (
          <p class="words">Give a unit’s number to see it over all pairs.</p>
        ) : (
          <Picture
            label="One unit at all pairs, a downwards and b across"
            shape="square"
            watch={() => [unit.value, theme.value, highlight.value]}
            paint={(surface) => {
              const found = unit.value;
              if (!found) return;
              const { modulus: p, values, most } = found;
              const context = clear(surface);
              const { left, top, side } = gridFrame(surface, p);
              const cells = hidden(p, p);
              const image = cells.createImageData(p, p);
              const pixels = new Uint32Array(image.data.buffer);
              const ramp = Uint32Array.from({ length: 257 }, (_, i) => pixel(diverging(colours.value, i / 128 - 1)));
              for (let i = 0; i < pixels.length; i++) pixels[i] = ramp[Math.round((values[i]! / (most || 1) + 1) * 128)]!;
              cells.putImageData(image, 0, 0);
              context.imageSmoothingEnabled = false;
              context.drawImage(cells.canvas, left, top, side, side);
              const { pair } = highlight.value;
              context.strokeStyle = colours.value.ink;
              const cell = side / p;
              if (pair) context.strokeRect(left + pair[1] * cell - 1, top + pair[0] * cell - 1, cell + 2, cell + 2);
              drew('activations', { path: found.path, step: found.step, values, most });
            }}
            describe={() => caption.value}
            onHover={(point) => {
              const pair = point && unit.value ? pairAt(point.surface, unit.value.modulus, point.x, point.y) : null;
              hovered.value = pair ? { pair } : null;
            }}
            onPress={(point) => {
              const pair = unit.value && pairAt(point.surface, unit.value.modulus, point.x, point.y);
              if (!pair) return;
              pickPair(pair);
              select({ pair });
            }}
          />
        )
      }
    </Panel>
  );
}
