import { useEffect, useState } from 'preact/hooks';

/** The width of the empty margin in modules. A scanner needs it to find the code. */
const margin = 4;

/** Shows a QR code, or nothing if its library, which the first code loads, is missing. */
export function QrCode({ text, label }: { text: string; label: string }) {
  const [code, setCode] = useState({ modules: 0, path: '' });
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    import('./qr-path.js').then(
      ({ pathOf }) => setCode(pathOf(text)),
      (error) => {
        console.error(error);
        setFailed(true);
      },
    );
  }, [text]);
  if (failed) return null;
  const size = code.modules + 2 * margin;
  return (
    <svg
      class="qr"
      role="img"
      aria-label={label}
      viewBox={`${-margin} ${-margin} ${size} ${size}`}
      shape-rendering="crispEdges"
    >
      <rect x={-margin} y={-margin} width={size} height={size} fill="#fff" />
      <path d={code.path} fill="#000" />
    </svg>
  );
}
