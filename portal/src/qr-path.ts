import { encode } from 'uqr';

/** Returns the dark modules of the QR code of a text as an SVG path, and the width of the code. */
export function pathOf(text: string): { modules: number; path: string } {
  const { data, size } = encode(text, { ecc: 'M', border: 0 });
  const path = data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  return { modules: size, path };
}
