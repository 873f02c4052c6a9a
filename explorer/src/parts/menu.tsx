import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { key } from '../data/access';
import { Lacking, Service, source } from '../data/source';
import { pageLink } from '../state';
import { theme } from '../theme';
import { sentence } from './panel';

const TABLES = ['csv', 'arrow'];
const PICTURES = ['svg', 'png', 'pdf', 'vega-lite'];
const DRAWN = /\/(embedding|spectrum|neurons|activations|predictions|spectra|trajectory|pairs|emergence)$|^compare$/;
const SUFFIX: Record<string, string> = { 'vega-lite': 'vl.json', arrow: 'arrows' };

/** What a resource can be had as, beside JSON: tables, and pictures where it is drawn. */
function formatsOf(path: string): string[] {
  const [place = ''] = path.split('?');
  if (/checkpoints\/[^/]+$|^runs\/[^/]+$/.test(place)) return [];
  return DRAWN.test(place) ? [...TABLES, ...PICTURES] : TABLES;
}

/** The same resource in a format; a picture in the page's theme. */
function inFormat(path: string, format: string): string {
  const picture = PICTURES.includes(format) ? `&theme=${theme.value}` : '';
  return `${path}${path.includes('?') ? '&' : '?'}format=${format}${picture}`;
}

const quoted = (url: string) => url.replace(/'/g, '%27');

/** The request for curl, with the body that is posted; the key is named, never contained. */
export function curlOf(url: string, needsKey: boolean, body?: unknown): string {
  const header = needsKey ? ` -H "Authorization: Bearer $API_KEY"` : '';
  const data = body === undefined ? '' : ` -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'`;
  return `${needsKey ? '# the service asks for a key: export API_KEY=...\n' : ''}curl -fsS${header} '${quoted(url)}'${data}\n`;
}

/** The same for Python, without any package. */
export function pythonOf(url: string, needsKey: boolean, body?: unknown): string {
  const data = body === undefined ? '' : `body = json.loads('${JSON.stringify(body)}')\n`;
  const fields = [
    `"${quoted(url)}"`,
    ...(body === undefined ? [] : ['json.dumps(body).encode()']),
    ...(needsKey || body !== undefined ? ['headers'] : []),
  ];
  const headers = [
    ...(body === undefined ? [] : ['"Content-Type": "application/json"']),
    ...(needsKey ? ['"Authorization": f"Bearer {key}"'] : []),
  ];
  if (fields.at(-1) === 'headers') fields[fields.length - 1] = `headers={${headers.join(', ')}}`;
  const key = needsKey ? '# the service asks for a key: export API_KEY=...\nkey = os.environ["API_KEY"]\n' : '';
  return `import json${needsKey ? ', os' : ''}, urllib.request

${key}${data}request = urllib.request.Request(${fields.join(', ')})
with urllib.request.urlopen(request) as answer:
    found = json.load(answer)
print(found.keys())
`;
}

/** Everything that can be had of a panel: its link, its request, its numbers and its picture as files. */
export function PanelMenu({ id, title, path, body }: { id: string; title: string; path: string; body?: unknown }) {
  const menu = useRef<HTMLDetailsElement>(null);
  const said = useSignal('');
  const byHand = useSignal<string | null>(null);
  useEffect(() => {
    const outside = (event: Event) => {
      if (!menu.current?.contains(event.target as Node)) menu.current!.open = false;
    };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, []);
  const link = source.link(path);
  if (link === null) return null;
  const needsKey = key.value !== '';
  const formats = body === undefined ? formatsOf(path) : []; // what is posted has no picture, and no link
  const copy = async (text: string) => {
    byHand.value = null;
    try {
      await navigator.clipboard.writeText(text);
      said.value = needsKey ? 'Copied. Whoever uses it needs the key, which it does not contain.' : 'Copied.';
    } catch {
      byHand.value = text; // no leave, or a page without https
      said.value = 'Your browser does not let the page copy: copy it from here.';
    }
  };
  const download = async (format: string) => {
    said.value = `Fetching ${format}.`;
    const waiting = (words: string | null) => words && (said.value = sentence(words));
    try {
      const file = await (source as Service).blob(inFormat(path, format), { waiting }, body);
      const url = URL.createObjectURL(file);
      const anchor = document.createElement('a');
      anchor.href = url;
      anchor.download = `${path.split('?')[0]!.replace(/^runs\/|checkpoints\//g, '').replace(/[^\w.-]+/g, '-')}.${SUFFIX[format] ?? format}`;
      anchor.click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      said.value = `${anchor.download} is downloaded.`;
    } catch (error) {
      if (!(error instanceof Lacking)) throw error;
      said.value = `There is no ${format} of it here. ${sentence(error.message)}`;
    }
  };
  const leave = (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || !menu.current!.open) return;
    event.stopPropagation();
    menu.current!.open = false;
    menu.current!.querySelector('summary')!.focus();
  };
  const picture = formats.includes('svg') ? source.link(inFormat(path, 'svg')) : null;
  return (
    <details class="menu" ref={menu} onKeyDown={leave} id={`menu-${id}`}>
      <summary aria-label={`Links and files of: ${title}`}>data</summary>
      <div class="sheet">
        <h3>Copy</h3>
        <button type="button" onClick={() => void copy(pageLink({ theme: theme.peek() }))}>link to this view</button>
        {picture !== null && <button type="button" onClick={() => void copy(picture)}>link to the picture</button>}
        <button type="button" onClick={() => void copy(curlOf(link, needsKey, body))}>as curl</button>
        <button type="button" onClick={() => void copy(pythonOf(link, needsKey, body))}>as Python</button>
        {byHand.value !== null && <textarea readOnly rows={4} aria-label="to be copied" value={byHand.value} onFocus={(event) => event.currentTarget.select()} />}
        <h3>Download</h3>
        {['json', ...formats].map((format) => (
          <button type="button" key={format} onClick={() => void download(format)}>{format}</button>
        ))}
        {needsKey && <p class="caption">Links and snippets need the key; they do not contain it.</p>}
        <p class="caption" role="status">{said}</p>
      </div>
    </details>
  );
}
