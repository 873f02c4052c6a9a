// One animation frame for all pictures: each is painted once, however many things it depends on changed.

const due = new Set<() => void>();
let asked = 0;

/** Paint in the next animation frame. */
export function soon(paint: () => void): void {
  due.add(paint);
  asked ||= requestAnimationFrame(() => {
    asked = 0;
    const all = [...due];
    due.clear();
    for (const one of all) one();
  });
}

/** Paint no more. */
export function never(paint: () => void): void {
  due.delete(paint);
}
