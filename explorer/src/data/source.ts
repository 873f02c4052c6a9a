// Where resources come from, and the one place where errors are met, put in words and tried again.
import { effect } from '@preact/signals';
import { forgetKey, key, refused } from './access';
import { embedded, Report } from './report';

/** Why there is no answer, in words for the reader; `status` is 0 where nothing came back. */
export class Lacking extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** How a request is done: told in words what it waits for, given up when `signal` says so. */
export interface Asking {
  signal?: AbortSignal;
  waiting?: (words: string | null) => void;
}

/** Answers by paths below /v1, such as `runs/quickstart`. A report has another than a service. */
export interface Source {
  json<T>(path: string, asking?: Asking): Promise<T>;
  bytes(path: string, asking?: Asking): Promise<ArrayBuffer>;
  /** The answer to a body of JSON. */
  post<T>(path: string, body: unknown, asking?: Asking): Promise<T>;
  /** A link to the resource, absolute, or null where there is none (in a report). */
  link(path: string): string | null;
  /** What the page cannot do with this source, for its reader; null where it can do all. */
  readonly note: string | null;
}

/** What is said of something that is no answer of the service, such as a proxy's page. */
export const NO_ANSWER = 'What came back is no answer of this service. Something between may have answered in its place.';

/** An answer, if it has these fields. Throws Lacking where something else came back. */
export function having<T extends object>(answer: T, ...names: (keyof T)[]): T {
  if (names.some((name) => typeof answer[name] !== 'object' || answer[name] === null)) throw new Lacking(NO_ANSWER, 0);
  return answer;
}

const AGAIN = new Set([408, 429, 502, 503, 504]);
const LONGEST_WAIT_S = 30;
const MOST_CUT = 5; // answers that break off, until that is told

/** The service that served this page, below whatever prefix the page is. */
export class Service implements Source {
  readonly note = null;

  constructor(private readonly root: URL) {}

  link(path: string): string {
    return new URL(`v1/${path}`, this.root).href;
  }

  json<T>(path: string, asking: Asking = {}): Promise<T> {
    return this.read(path, asking, {}, parsed<T>);
  }

  post<T>(path: string, body: unknown, asking: Asking = {}): Promise<T> {
    return this.read(path, asking, posted(body), parsed<T>);
  }

  bytes(path: string, asking: Asking = {}): Promise<ArrayBuffer> {
    return this.read(path, asking, {}, (response) => response.arrayBuffer());
  }

  /** An answer as a file; to a body of JSON where there is one. */
  blob(path: string, asking: Asking = {}, body?: unknown): Promise<Blob> {
    return this.read(path, asking, body === undefined ? {} : posted(body), (response) => response.blob());
  }

  /** What is read of a good response, asked for again where it breaks off. Throws as `ask`. */
  private async read<T>(path: string, asking: Asking, init: RequestInit, of: (response: Response) => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      const response = await this.ask(path, asking, init);
      try {
        return await of(response);
      } catch (error) {
        if (asking.signal?.aborted || error instanceof Lacking) throw error;
        if (tries === MOST_CUT) throw new Lacking('The answer broke off each time.', 0);
        asking.waiting?.('The answer broke off. Asking again.');
        await rest(pause(null, tries), asking.signal);
      }
    }
  }

  /** A good response. Throws Lacking for what asking again does not mend, AbortError when given up. */
  async ask(path: string, { signal, waiting }: Asking = {}, init: RequestInit = {}): Promise<Response> {
    for (let tries = 0; ; tries++) {
      const sent = key.peek();
      const response = await this.once(path, init, signal);
      if (response?.ok) {
        waiting?.(null);
        return response;
      }
      if (response?.status === 401) {
        const why = await words(response);
        if (key.peek() === sent) {
          forgetKey(why);
          waiting?.('An API key is needed.');
          await another(signal);
        }
        continue;
      }
      if (response && !AGAIN.has(response.status)) throw new Lacking(await words(response), response.status);
      const seconds = pause(response, tries);
      waiting?.(response ? await words(response) : 'The service does not answer. Asking again.');
      await rest(seconds, signal);
    }
  }

  private async once(path: string, init: RequestInit, signal?: AbortSignal): Promise<Response | null> {
    const headers = new Headers(init.headers);
    if (key.peek()) headers.set('Authorization', `Bearer ${key.peek()}`);
    try {
      return await fetch(this.link(path), { ...init, headers, ...(signal && { signal }) });
    } catch (error) {
      if (signal?.aborted) throw error;
      return null; // no connection: the service restarts, or the network is away
    }
  }
}

function posted(body: unknown): RequestInit {
  return { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
}

/** An object of JSON. Throws Lacking for what is none, and TypeError where it breaks off. */
async function parsed<T>(response: Response): Promise<T> {
  const text = await response.text();
  try {
    const found: unknown = JSON.parse(text);
    if (typeof found === 'object' && found !== null) return found as T;
  } catch {
    // said below
  }
  throw new Lacking(NO_ANSWER, 0);
}

/** What a problem document says, or the status where it is none. */
async function words(response: Response): Promise<string> {
  try {
    const problem = (await response.json()) as { detail?: string; title?: string; errors?: { message: string }[] };
    if (problem.errors?.length === 1) return problem.errors[0]!.message;
    return problem.detail ?? problem.title ?? `The service answered ${response.status}.`;
  } catch {
    return `The service answered ${response.status}.`;
  }
}

/** Seconds until asking again: as Retry-After says, else doubling from one. */
function pause(response: Response | null, tries: number): number {
  const asked = Number(response?.headers.get('Retry-After') ?? NaN);
  return Math.min(Number.isFinite(asked) ? Math.max(asked, 0.5) : 2 ** Math.min(tries, 5), LONGEST_WAIT_S);
}

function rest(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener('abort', () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}

/** Wait until the reader has given a key. */
function another(signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = effect(() => {
      if (refused.value === null) queueMicrotask(() => (stop(), resolve()));
    });
    signal?.addEventListener('abort', () => (stop(), reject(signal.reason)), { once: true });
  });
}

const held = embedded();

/** The source of this page: what it holds itself, or else the service, whose root the script knows, also where the page's address lacks its slash. */
export const source: Source = held ? new Report(held) : new Service(new URL('../..', import.meta.url));
