import type { ComponentChildren } from 'preact';
import type { Loaded, Resource } from '../data/series';
import { PanelMenu } from './menu';
import { Numbers } from './numbers';

interface Props {
  /** Its name, also in `window.grokprobe.drawn`. */
  id: string;
  title: string;
  /** The resource that it shows, below /v1; null where it shows none of its own. */
  path?: string | null;
  /** What is posted to it, as JSON, where it is asked so. */
  body?: unknown;
  /** What must be here before it draws. */
  needs: Resource<unknown>[];
  /** Why it cannot be drawn although everything is here, in words. */
  lacks?: string | null;
  wide?: boolean;
  tools?: ComponentChildren;
  /** The line under the picture. */
  caption?: ComponentChildren;
  children: () => ComponentChildren;
}

/** A panel: its title, its tools, its picture or why there is none, in words. */
export function Panel({ id, title, path = null, body, needs, lacks = null, wide = false, tools, caption, children }: Props) {
  const words = lacks ?? reason(needs.map((one) => one.loaded.value));
  const waits = needs.some(({ loaded }) => ['idle', 'waiting'].includes(loaded.value.state));
  return (
    <section class={`panel${wide ? ' wide' : ''}`} id={`panel-${id}`} aria-labelledby={`title-${id}`} aria-busy={waits}>
      <header>
        <h2 id={`title-${id}`}>{title}</h2>
        <div class="tools">
          {tools}
          {path !== null && <PanelMenu id={id} title={title} path={path} body={body} />}
        </div>
      </header>
      {words === null ? children() : <p class={waits ? 'words waiting' : 'words'}>{words}</p>}
      <AskAgain of={needs} />
      {words === null && caption && <p class="caption">{caption}</p>}
      {words === null && !id.startsWith('figures') && <Numbers id={id} title={title} />}
    </section>
  );
}

/** Asks once more for what failed: not for what the run never has, which is 400 or 404. */
export function AskAgain({ of }: { of: Resource<unknown>[] }) {
  const failed = of.filter(({ loaded: { value } }) => value.state === 'lacking' && ![400, 404].includes(value.status));
  if (!failed.length) return null;
  return (
    <button type="button" onClick={() => failed.forEach((one) => void one.ask())}>
      Ask again
    </button>
  );
}

/** Why not everything is here, in words; null where it is. */
function reason(all: Loaded<unknown>[]): string | null {
  const lacking = all.find((one) => one.state === 'lacking');
  if (lacking) return sentence(lacking.words);
  const waiting = all.find((one) => one.state !== 'here');
  if (!waiting) return null;
  return (waiting.state === 'waiting' && waiting.words && sentence(waiting.words)) || 'Loading.';
}

/** Words of the service as a sentence. */
export function sentence(words: string): string {
  const said = words.trim();
  return said.charAt(0).toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? '' : '.');
}
