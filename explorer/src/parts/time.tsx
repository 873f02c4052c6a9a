import { computed } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { goToIndex, index, moveBy, play, playing, shown, speed, step, steps } from '../state';
import { whole } from '../words';
import { Live } from './live';
import { wheelSteps } from './picture';

const SPEEDS = [4, 12, 30, 60];

/** The one step of every picture: slider, play, and where that is. */
export function TimeBar() {
  const bar = useRef<HTMLDivElement>(null);
  const place = useMemo(() => computed(() => `step ${whole(step.value)}`), []);
  const phase = useMemo(() => computed(() => phaseOf(step.value)), []);
  const count = steps.value.length;
  useEffect(() => {
    const element = bar.current!;
    const wheel = wheelSteps(moveBy);
    element.addEventListener('wheel', wheel, { passive: false });
    return () => element.removeEventListener('wheel', wheel);
  }, []);
  useEffect(() => {
    document.addEventListener('keydown', keys);
    return () => document.removeEventListener('keydown', keys);
  }, []);
  return (
    <div class="timebar" ref={bar} role="group" aria-label="The step of every picture">
      <button
        type="button"
        class="play"
        disabled={count < 2}
        aria-label={playing.value ? 'Pause' : 'Play'}
        onClick={() => (playing.value ? (playing.value = false) : play())}
      >
        {playing.value ? '❚❚' : '▶'}
      </button>
      <Slider last={Math.max(count - 1, 0)} />
      <span class="step">
        <b>{place}</b> <span class="phase">{phase}</span>
      </span>
      {shown.value && <Live run={shown.value} />}
      <label class="picker">
        <span class="unseen">checkpoints in a second</span>
        <select value={speed.value} onChange={(event) => (speed.value = Number(event.currentTarget.value))}>
          {SPEEDS.map((one) => (
            <option key={one} value={one}>
              {one} a second
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

function Slider({ last }: { last: number }) {
  return (
    <input
      type="range"
      class="slider"
      min={0}
      max={last}
      step={1}
      value={index}
      disabled={last < 1}
      aria-label="step"
      aria-valuetext={useMemo(() => computed(() => `step ${whole(step.value)}`), [])}
      onInput={(event) => goToIndex(Number(event.currentTarget.value))}
    />
  );
}

/** Which phase of grokking a step is in, in words; empty where that is not known. */
function phaseOf(at: number): string {
  const found = shown.value?.emergence.value;
  if (!found) return '';
  const phase = Object.entries(found.phases ?? {}).find(
    ([, one]) => one && one.start !== null && one.end !== null && at >= one.start && at < one.end,
  );
  if (phase) return phase[0].replace(/_/g, ' ');
  return found.generalised && at >= found.generalised.step ? 'generalised' : '';
}

const LEAP = 10;

function keys(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest('input:not([type=range]), select, textarea, dialog')) return;
  const moves: Record<string, () => void> = {
    ArrowRight: () => moveBy(1),
    ArrowLeft: () => moveBy(-1),
    PageUp: () => moveBy(-LEAP),
    PageDown: () => moveBy(LEAP),
    Home: () => goToIndex(0),
    End: () => goToIndex(Infinity),
  };
  const move = moves[event.key];
  if (move) {
    event.preventDefault();
    move();
  } else if (event.key === ' ' && !target.closest('button, a, summary')) {
    event.preventDefault();
    if (playing.peek()) playing.value = false;
    else play();
  }
}
