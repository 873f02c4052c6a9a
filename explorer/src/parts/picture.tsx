import { effect, signal } from '@preact/signals';
import { useEffect, useId, useMemo, useRef } from 'preact/hooks';
import type { Surface } from '../draw/surface';
import { never, soon } from './frames';

/** A point of a picture in CSS pixels, with the surface that it is of. */
export interface Point {
  x: number;
  y: number;
  surface: Surface;
}

interface Props {
  /** What the picture is, in a few words. */
  label: string;
  /** The class that gives the canvas its shape. */
  shape: string;
  /** Read every signal that the picture depends on. */
  watch: () => void;
  /** Draw, from these signals. */
  paint: (surface: Surface) => void;
  /** The picture's numbers as text, for who does not see it. */
  describe: () => string;
  onHover?: (point: Point | null) => void;
  onPress?: (point: Point) => void;
  /** The pointer moves with its button down; where it is not given a press does not drag. */
  onDrag?: (point: Point) => void;
  onWheel?: (checkpoints: number) => void;
  /** An arrow key was pressed in the picture: by how many to the right and downwards; false leaves it to the page. */
  onMove?: (right: number, down: number) => boolean;
  /** Enter was pressed in the picture. */
  onEnter?: () => void;
  /** The keyboard leaves the picture. */
  onLeave?: () => void;
}

const DESCRIBED_AFTER_MS = 400;

/** A canvas that is painted in an animation frame when a signal that it depends on has changed. */
export function Picture(props: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const id = useId();
  const words = useMemo(() => signal(''), []);

  useEffect(() => {
    const element = canvas.current!;
    const context = element.getContext('2d', { alpha: true })!;
    const surface: Surface = { context, width: 0, height: 0, ratio: 1 };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const paint = () => {
      if (surface.width && surface.height) latest.current.paint(surface);
    };
    const size = new ResizeObserver(() => {
      surface.ratio = Math.min(devicePixelRatio || 1, 2);
      surface.width = element.clientWidth;
      surface.height = element.clientHeight;
      element.width = Math.round(surface.width * surface.ratio);
      element.height = Math.round(surface.height * surface.ratio);
      paint();
    });
    size.observe(element);
    const stop = effect(() => {
      latest.current.watch();
      soon(paint);
      clearTimeout(timer);
      timer = setTimeout(() => (words.value = latest.current.describe()), DESCRIBED_AFTER_MS);
    });
    const leave = listen(element, surface, latest);
    return () => {
      stop();
      leave();
      never(paint);
      clearTimeout(timer);
      size.disconnect();
    };
  }, []);

  return (
    <>
      <canvas
        ref={canvas}
        class={`picture ${props.shape}`}
        role={props.onMove ? 'application' : 'img'}
        aria-label={props.onMove ? `${props.label}. Arrow keys move in it, Enter selects.` : props.label}
        aria-describedby={id}
        {...(props.onMove && { tabIndex: 0, onKeyDown: (event: KeyboardEvent) => press(event, props), onBlur: () => props.onLeave?.() })}
      />
      <p id={id} class="unseen">
        {words}
      </p>
    </>
  );
}

const ARROWS: Record<string, [right: number, down: number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

function press(event: KeyboardEvent, { onMove, onEnter }: Props): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  if (arrow ? !onMove?.(...arrow) : event.key !== 'Enter') return;
  if (!arrow) onEnter?.();
  event.preventDefault();
  event.stopPropagation();
}

function listen(element: HTMLCanvasElement, surface: Surface, latest: { current: Props }): () => void {
  const point = (event: PointerEvent): Point => ({ x: event.offsetX, y: event.offsetY, surface });
  let pressed = false;
  const handlers = {
    pointerdown: (event: PointerEvent) => {
      if (event.button) return;
      pressed = true;
      if (latest.current.onDrag) element.setPointerCapture(event.pointerId);
      (latest.current.onPress ?? latest.current.onDrag)?.(point(event));
    },
    pointermove: (event: PointerEvent) => {
      if (pressed && latest.current.onDrag) latest.current.onDrag(point(event));
      latest.current.onHover?.(point(event));
    },
    pointerup: () => (pressed = false),
    pointercancel: () => (pressed = false),
    pointerleave: () => latest.current.onHover?.(null),
  };
  for (const [name, handler] of Object.entries(handlers)) element.addEventListener(name, handler as EventListener);
  const wheel = wheelSteps((checkpoints) => latest.current.onWheel?.(checkpoints));
  if (latest.current.onWheel) element.addEventListener('wheel', wheel, { passive: false });
  return () => {
    for (const [name, handler] of Object.entries(handlers)) element.removeEventListener(name, handler as EventListener);
    element.removeEventListener('wheel', wheel);
  };
}

/** A listener that turns the wheel into checkpoints: one a notch, fewer of a touchpad's many. */
export function wheelSteps(move: (checkpoints: number) => void): (event: WheelEvent) => void {
  let rest = 0;
  return (event) => {
    if (event.ctrlKey) return; // zooms the page
    event.preventDefault();
    const turned = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.deltaY;
    const notch = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 40 : 1;
    rest += Math.max(-1, Math.min(1, turned / notch));
    const whole = Math.trunc(rest);
    rest -= whole;
    if (whole) move(whole);
  };
}
