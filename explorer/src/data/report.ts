// A report: one file that holds the page and the answers of one run. Nothing is asked of anybody.
import { Lacking, type Asking, type Source } from './source';

/** What `grokprobe report` writes beside the page: answers by path below /v1, gzip in base64. */
interface Embedded {
  run: string;
  resources: Record<string, string>;
  /** Why the service had no such answer, in its words. */
  lacking: Record<string, string>;
}

/** The answers in the page itself. */
export class Report implements Source {
  readonly note =
    'This page is a report: it holds what one run answered and asks nobody. It cannot ask the model, switch parts off ' +
    'or follow the run, and shows circles of the key frequencies alone.';

  constructor(private readonly held: Embedded) {
    if (!location.hash) history.replaceState(null, '', `#/runs/${encodeURIComponent(held.run)}`);
  }

  link(): null {
    return null;
  }

  async json<T>(path: string, asking: Asking = {}): Promise<T> {
    return JSON.parse(new TextDecoder().decode(await this.bytes(path, asking))) as T;
  }

  async post<T>(): Promise<T> {
    throw new Lacking('A report cannot ask the network.', 404);
  }

  async bytes(path: string, { signal }: Asking = {}): Promise<ArrayBuffer> {
    signal?.throwIfAborted();
    const found = this.held.resources[path.startsWith('runs?') ? 'runs' : path];
    if (found === undefined) throw new Lacking(this.held.lacking[path] ?? 'This report does not hold that.', 404);
    const packed = Uint8Array.from(atob(found), (letter) => letter.charCodeAt(0));
    const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Response(plain).arrayBuffer();
  }
}

/** What the page holds of a run, where it is a report. */
export function embedded(): Embedded | null {
  const text = document.getElementById('resources')?.textContent;
  return text ? (JSON.parse(text) as Embedded) : null;
}
