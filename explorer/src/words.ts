// Numbers and names as the page writes them.

const SUPERSCRIPT = '⁰¹²³⁴⁵⁶⁷⁸⁹';

/** A number in three digits, by powers of ten where it is small or large; a dash for none. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    const [digits, power] = value.toExponential(1).split('e') as [string, string];
    return `${digits} · ${powerOfTen(Number(power))}`;
  }
  return String(Number(value.toPrecision(3)));
}

/** 10 to a power, in superscript. */
export function powerOfTen(power: number): string {
  return `10${power < 0 ? '⁻' : ''}${[...String(Math.abs(power))].map((digit) => SUPERSCRIPT[Number(digit)]).join('')}`;
}

/** A share in per cent; a dash for none. */
export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  const all = value * 100;
  if (all < 1e-3) return `${short(all)} %`;
  return `${all < 100 && all > 99.9 ? '99.9' : Number(all.toPrecision(all >= 10 ? 3 : 2))} %`;
}

/** A whole number with thin spaces between thousands. */
export function whole(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

const SIGNS: Record<string, string> = {
  add: 'a + b',
  sub: 'a − b',
  mul: 'a · b',
  div: 'a / b',
  'x2+y2': 'a² + b²',
  'x2+xy+y2': 'a² + ab + b²',
  'x3+xy': 'a³ + ab',
  random: 'a random table',
};

/** An operation as a formula. */
export function formula(operation: string, modulus: number): string {
  return operation === 's5' ? 'a ∘ b in S₅' : `${SIGNS[operation] ?? operation} mod ${modulus}`;
}
