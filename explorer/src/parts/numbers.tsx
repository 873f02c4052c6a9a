import { useEffect, useState } from 'preact/hooks';
import { onDrew, type Drawn } from '../drawn';

const AFTER_MS = 250; // scrubbing passes many steps
const MOST = 400;

/** What a picture draws as a table, behind a disclosure: for who does not see it, and for the curious. */
export function Numbers({ id, title }: { id: string; title: string }) {
  const [open, setOpen] = useState(false);
  const [, again] = useState({});
  useEffect(() => {
    if (!open) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = onDrew((panel) => {
      if (panel !== id) return;
      clearTimeout(timer);
      timer = setTimeout(() => again({}), AFTER_MS);
    });
    return () => (stop(), clearTimeout(timer));
  }, [open, id]);
  const numbers = open ? window.grokprobe.drawn[id] : undefined;
  return (
    <details class="numbers" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary aria-label={`Numbers of: ${title}`}>numbers</summary>
      {numbers && <Table numbers={numbers} title={title} />}
    </details>
  );
}

function Table({ numbers, title }: { numbers: Drawn; title: string }) {
  const { names, rows } = tableOf(numbers);
  const facts = Object.entries(numbers).filter(([, value]) => ['number', 'string'].includes(typeof value));
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`Table: ${title}`}>
      <p class="caption">{facts.map(([name, value]) => `${words(name)} ${String(value)}`).join(', ')}</p>
      {rows.length > 0 && (
        <table>
          <thead>
            <tr>{names.map((name) => <th key={name} scope="col">{words(name)}</th>)}</tr>
          </thead>
          <tbody>
            {rows.slice(0, MOST).map((row, i) => (
              <tr key={i}>{row.map((cell, j) => <td key={j}>{cell}</td>)}</tr>
            ))}
          </tbody>
        </table>
      )}
      {rows.length > MOST && <p class="caption">And {rows.length - MOST} more: download them.</p>}
    </div>
  );
}

const words = (name: string) => name.replace(/_/g, ' ');
const written = (value: unknown) =>
  typeof value === 'number' ? (Number.isNaN(value) ? '–' : String(Number(value.toPrecision(6)))) : String(value ?? '–');

/** The lists among a picture's numbers as columns: those as long as the first, and what has so many for each. */
function tableOf(numbers: Drawn): { names: string[]; rows: string[][] } {
  const lists = Object.entries(bitsAsRows(numbers)).flatMap(([name, value]) =>
    Array.isArray(value) || ArrayBuffer.isView(value) ? [[name, Array.from(value as ArrayLike<unknown>)] as const] : [],
  );
  const length = lists.find(([name]) => ['steps', 'residues', 'frequencies', 'frequency', 'a'].includes(name))?.[1].length ?? lists[0]?.[1].length ?? 0;
  const columns = lists.flatMap(([name, list]): [string, unknown[]][] => {
    if (!length || list.length % length || name === 'keys') return [];
    const width = list.length / length;
    if (width === 1) return [[name, list]];
    const each = name === 'xy' ? ['x', 'y'] : (lists.find(([, one]) => one.length === width)?.[1].map(String) ?? []);
    return each.length === width ? each.map((of, k) => [of, list.filter((_, i) => i % width === k)]) : [];
  });
  const rows = Array.from({ length }, (_, i) => columns.map(([, list]) => written(list[i])));
  return { names: columns.map(([name]) => name), rows };
}

/** Of a grid of pairs: how many of each row are right. */
function bitsAsRows(numbers: Drawn): Drawn {
  const { bits, modulus } = numbers as { bits?: Uint8Array; modulus?: number };
  if (!bits || !modulus) return numbers;
  const isRight = (cell: number) => (bits[cell >> 3]! >> (7 - (cell & 7))) & 1;
  const a = Array.from({ length: modulus }, (_, i) => i);
  return { a, right_of_the_row: a.map((row) => a.reduce((sum, b) => sum + isRight(row * modulus + b), 0)) };
}
