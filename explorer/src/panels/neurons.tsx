import { computed } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { lastAt } from '../data/series';
import { clustersOf, CLUSTERED, drawNeurons, neuronAt } from '../draw/neurons';
import { drew } from '../drawn';
import { highlight, select } from '../highlight';
import { hovered, pickFrequency, type View } from '../state';
import { colours } from '../theme';
import { percent, whole } from '../words';
import { ofStep, panelId, pathAt, titleOf } from '../parts/common';
import { Panel } from '../parts/panel';
import { Picture } from '../parts/picture';

/** Which frequency each neuron computes with, and how much of it that explains, at the step. */
export function Neurons({ view, beside }: { view: View; beside?: View }) {
  const { run, step } = view;
  const id = panelId('neurons', view);
  const { neurons, spectra } = run;
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // every pair of every checkpoint goes into it: asked for when it comes into sight
    const seen = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) neurons.need();
      },
      { rootMargin: '100px' },
    );
    seen.observe(place.current!);
    return () => seen.disconnect();
  }, [neurons]);
  useEffect(() => () => drew(id, null), [id]);
  const row = useMemo(() => computed(() => lastAt(neurons.value?.steps ?? [], step.value)), [neurons, step]);
  const clusters = useMemo(
    () => computed(() => (neurons.value && row.value >= 0 ? clustersOf(neurons.value, row.value) : null)),
    [neurons, row],
  );
  const caption = useMemo(
    () =>
      computed(() => {
        const [found, all] = [neurons.value, clusters.value];
        if (!found || !all) return '';
        const clustered = [...all.clusters.values()].reduce((sum, size) => sum + size, 0);
        const largest = [...all.clusters].sort((a, b) => b[1] - a[1]).slice(0, 5);
        const each = largest.map(([k, size]) => `${size} of ${k}`).join(', ');
        if (!clustered) return `Of ${whole(all.alive)} live neurons none has ${percent(CLUSTERED)} explained by one frequency${ofStep(found.steps[row.value]!, step.value)}`;
        return `One frequency explains at least ${percent(CLUSTERED)} of ${whole(clustered)} of ${whole(all.alive)} live neurons${each && ` (${each})`}${ofStep(found.steps[row.value]!, step.value)}`;
      }),
    [neurons, clusters],
  );
  const most = () => {
    const all = [...(spectra.value?.frequencies ?? []), ...(beside?.run.spectra.value?.frequencies ?? [])];
    const numbers = all.filter((name) => typeof name === 'number');
    return Math.max(1, ...(numbers.length ? numbers : (neurons.value?.frequency ?? [])));
  };
  const keys = useMemo(() => computed(() => new Set(run.keys.value)), [run]);
  const none = neurons.value && !neurons.value.count ? 'This network gives out no neurons.' : null;
  return (
    <div class="cell" ref={place}>
      <Panel id={id} title={titleOf('Neurons', view)} path={pathAt(run, step, '/neurons')} needs={[neurons]} lacks={none} caption={caption}>
        {() => (
          <Picture
            label="Each neuron by its frequency and the share of it that the frequency explains"
            shape="square"
            watch={() => [neurons.value, row.value, keys.value, colours.value, highlight.value, spectra.value]}
            paint={(surface) => {
              const found = neurons.value;
              if (!found || row.value < 0) return;
              const { frequency: marked, neuron } = highlight.value;
              drawNeurons(surface, found, row.value, most(), colours.value, { keys: keys.value, marked, neuron });
              const [from, to] = [row.value * found.count, (row.value + 1) * found.count];
              drew(id, {
                step: found.steps[row.value],
                frequency: found.frequency.subarray(from, to),
                share: found.share.subarray(from, to),
                alive: clusters.value?.alive,
                clusters: Object.fromEntries(clusters.value?.clusters ?? []),
                marked,
                neuron,
              });
            }}
            describe={() => caption.value}
            onHover={(point) => {
              const found = neurons.value;
              const neuron = point && found ? neuronAt(point.surface, found, row.value, most(), point.x, point.y) : null;
              if (neuron === null || !found) hovered.value = null;
              else hovered.value = { neuron, frequency: found.frequency[row.value * found.count + neuron]! };
            }}
            onPress={() => {
              const frequency = hovered.value?.frequency;
              if (frequency) pickFrequency(frequency);
              if (hovered.value) select(hovered.value);
            }}
            onMove={(right, down) => {
              const found = neurons.value!;
              const from = row.value * found.count;
              const alive = Array.from({ length: found.count }, (_, i) => i).filter((i) => found.frequency[from + i]);
              if (!alive.length) return false;
              // by frequency, as they stand
              alive.sort((a, b) => found.frequency[from + a]! - found.frequency[from + b]! || a - b);
              const place = alive.indexOf(highlight.value.neuron ?? -1);
              const neuron = alive[Math.min(Math.max(place + right + 10 * down, 0), alive.length - 1)]!;
              hovered.value = { neuron, frequency: found.frequency[from + neuron]! };
              return true;
            }}
            onEnter={() => hovered.value && select(hovered.value)}
            onLeave={() => (hovered.value = null)}
          />
        )}
      </Panel>
    </div>
  );
}
