/** An array of a .npy file: its numbers in C order, and its shape. */
export interface NumpyArray {
  data: Float32Array | Float64Array | Uint8Array | Uint16Array | Int32Array;
  shape: number[];
}

const KINDS = {
  '<f4': Float32Array,
  '<f8': Float64Array,
  '|u1': Uint8Array,
  '|b1': Uint8Array,
  '<u2': Uint16Array,
  '<i4': Int32Array,
} as const;

/** Read what `numpy.save` wrote. Throws Error for what the service never sends. */
export function readNumpy(bytes: ArrayBuffer): NumpyArray {
  const view = new DataView(bytes);
  const long = view.getUint8(6) > 1;
  const start = long ? 12 : 10;
  const size = long ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = new TextDecoder('latin1').decode(new Uint8Array(bytes, start, size));
  const kind = /'descr': '([^']+)'/.exec(header)?.[1] ?? '';
  const shape = /'shape': \(([^)]*)\)/.exec(header)?.[1] ?? '';
  const Kind = KINDS[kind as keyof typeof KINDS];
  if (!Kind || header.includes("'fortran_order': True")) throw new Error(`cannot read npy: ${header}`);
  return { data: new Kind(bytes.slice(start + size)), shape: shape.split(',').filter((s) => s.trim()).map(Number) };
}
