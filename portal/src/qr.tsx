import qrcode from 'qrcode-generator';

/** How wide the empty edge has to be, in modules, so that readers find the code. */
const edge = 4;

export function QrCode({ text, label }: { text: string; label: string }) {
  const code = qrcode(0, 'M');
  code.addData(text);
  code.make();
  const modules = code.getModuleCount();
  let path = '';
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      if (code.isDark(row, column)) path += `M${column} ${row}h1v1h-1z`;
    }
  }
  const size = modules + 2 * edge;
  return (
    <svg
      class="qr"
      role="img"
      aria-label={label}
      viewBox={`${-edge} ${-edge} ${size} ${size}`}
      shape-rendering="crispEdges"
    >
      <rect x={-edge} y={-edge} width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
