// Answers that are asked for when the step rests, not at every frame.
import { effect, type ReadonlySignal } from '@preact/signals';
import { Resource } from './series';
import type { Asking } from './source';

/** A resource that is asked for anew whenever `of` names something else; what was here stays until then. */
export class Following<T> extends Resource<T> {
  private readonly stopFollowing: () => void;

  constructor(of: ReadonlySignal<string | null>, load: (path: string, asking: Asking) => Promise<T>) {
    super((asking) => load(of.peek()!, asking));
    this.stopFollowing = effect(() => {
      if (of.value !== null) void this.ask();
    });
  }

  override close(): void {
    this.stopFollowing();
    super.close();
  }
}
