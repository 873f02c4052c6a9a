// A run that goes on is followed: its events are read as they come, and what is new is fetched.
import { signal, type ReadonlySignal } from '@preact/signals';
import { Lacking, Service, source, type Source } from './source';

/** How a run is followed: `live`; `away`, and why in words; null where there is nothing to follow. */
export type Following = { state: 'live' } | { state: 'away'; words: string } | null;

/** One event of the stream, as EventSource would tell it. */
export interface StreamEvent {
  event: string;
  data: string;
}

const COMES_BACK_MS = 1000;

/** What is done at each event of a run. */
export interface Listener {
  /** The stream stands: what came before it may have been missed. */
  opened(): void;
  event(kind: string): void;
  /** There is nothing more to wait for: the run has ended, or there is no such run. */
  ended(): void;
}

/** The events of a run by fetch, so that a key is sent; resumed where they broke off. */
export class Follower {
  private readonly now = signal<Following>(null);
  private readonly stop = new AbortController();
  private last: string | null = null;
  private pause = COMES_BACK_MS;

  constructor(
    private readonly path: string,
    private readonly listener: Listener,
  ) {}

  /** How it is followed now. */
  get following(): ReadonlySignal<Following> {
    return this.now;
  }

  /** Follow until the run ends or `close`. A report holds no run that goes on. */
  async follow(from: Source = source): Promise<void> {
    if (!(from instanceof Service)) return;
    try {
      while (!this.stop.signal.aborted) {
        await visible(this.stop.signal);
        if (await this.once(from)) break;
        this.away('The service has gone away. Asking again.');
        await rest(this.pause, this.stop.signal);
      }
      this.now.value = null;
    } catch (error) {
      this.now.value = null;
      if (!this.stop.signal.aborted && !(error instanceof Lacking)) throw error;
      if (error instanceof Lacking) this.listener.ended();
    }
  }

  /** Follow no more. */
  close(): void {
    this.stop.abort();
  }

  private away(words: string | null): void {
    if (words !== null && document.visibilityState !== 'hidden') this.now.value = { state: 'away', words };
  }

  /** Read one stream to its end; whether the run's end was told. */
  private async once(from: Service): Promise<boolean> {
    const stop = new AbortController();
    const give = () => stop.abort();
    // a hidden page gives its connection back, for a browser has six to a host; it then catches up
    const hide = () => document.visibilityState === 'hidden' && give();
    this.stop.signal.addEventListener('abort', give);
    document.addEventListener('visibilitychange', hide);
    try {
      const headers = { Accept: 'text/event-stream', ...(this.last !== null && { 'Last-Event-ID': this.last }) };
      const asking = { signal: stop.signal, waiting: (words: string | null) => this.away(words) };
      const answer = await from.ask(`${this.path}/events`, asking, { headers, cache: 'no-store' });
      if (answer.status === 204) {
        this.listener.ended();
        return true;
      }
      this.now.value = { state: 'live' };
      if (this.last === null) this.listener.opened();
      return await this.read(answer.body!);
    } catch (error) {
      if (error instanceof Lacking || this.stop.signal.aborted) throw error;
      return false; // cut off, or hidden
    } finally {
      this.stop.signal.removeEventListener('abort', give);
      document.removeEventListener('visibilitychange', hide);
    }
  }

  private async read(body: ReadableStream<Uint8Array>): Promise<boolean> {
    const text = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
    const parser = new Parser();
    for (;;) {
      const { done, value } = await text.read();
      if (done) return false;
      for (const { event, data } of parser.feed(value)) {
        this.last = parser.id;
        if (event === 'complete' || event === 'deleted') {
          this.listener.ended();
          return true;
        }
        if (data) this.listener.event(event);
      }
      this.last = parser.id ?? this.last;
      this.pause = parser.retry ?? this.pause;
    }
  }
}

/** Reads text/event-stream, however it is cut into pieces. */
export class Parser {
  id: string | null = null;
  retry: number | null = null;
  private rest = '';
  private fields: Record<string, string> = {};

  /** The events that a piece ends. An id holds once its event is whole. */
  *feed(piece: string): Generator<StreamEvent> {
    const lines = (this.rest + piece).split('\n');
    this.rest = lines.pop()!;
    for (const line of lines) {
      const [name, value] = split(line.replace(/\r$/, ''));
      if (name === null) {
        const { event = 'message', data = '', id } = this.fields;
        this.fields = {};
        if (id !== undefined) this.id = id;
        if (data) yield { event, data };
      } else if (name === 'retry') this.retry = Number(value) || this.retry;
      else if (name === 'data' && 'data' in this.fields) this.fields['data'] += `\n${value}`;
      else if (name) this.fields[name] = value;
    }
  }
}

/** A line's field and its value; '' for a comment, null for the empty line that ends an event. */
function split(line: string): [string | null, string] {
  if (!line) return [null, ''];
  const colon = line.indexOf(':');
  if (colon < 0) return [line, ''];
  return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
}

/** Wait until the page is seen. */
export function visible(stop: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (document.visibilityState === 'hidden') return;
      document.removeEventListener('visibilitychange', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    stop.addEventListener('abort', () => (document.removeEventListener('visibilitychange', look), reject(stop.reason)), { once: true });
    look();
  });
}

/** Wait; rejects when given up. */
export function rest(milliseconds: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    stop.addEventListener('abort', () => (clearTimeout(timer), reject(stop.reason)), { once: true });
  });
}
