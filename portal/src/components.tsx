// The small parts that views are made of.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Pages } from './queries.js';
import { otherOffset, zoneOf } from './format.js';

interface ButtonProps {
  run: () => void;
  /** What it does is under way: a click does nothing then. It keeps the focus, which `disabled` would take. */
  pending?: boolean;
  light?: boolean;
  danger?: boolean;
  id?: string;
  children: ComponentChildren;
}

export function Button({ run, pending = false, light = false, danger = false, id, children }: ButtonProps) {
  const kind = ['button', light && 'light', danger && 'danger'].filter(Boolean).join(' ');
  return (
    <button id={id} type="button" class={kind} aria-disabled={pending} onClick={() => pending || run()}>
      {children}
    </button>
  );
}

/** The heading of a view: it is the document's title, and where the focus goes when the view appears. */
export function Heading({ children, title }: { children: ComponentChildren; title: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Талон`;
  }, [title]);
  useEffect(() => {
    if (!isFirst()) heading.current?.focus();
  }, []);
  return (
    <h1 ref={heading} tabIndex={-1}>
      {children}
    </h1>
  );
}

/** Where the page has just been loaded the focus is left where the browser puts it. */
let first = true;
function isFirst(): boolean {
  const answer = first;
  first = false;
  return answer;
}

/** Tells what has come, also to those who do not see it. */
export function Status({ children }: { children: ComponentChildren }) {
  return (
    <p class="status" role="status">
      {children}
    </p>
  );
}

export function Badge({ status, children }: { status: string; children: ComponentChildren }) {
  return <span class={`badge badge-${status}`}>{children}</span>;
}

/** «Показать ещё», where there is more. */
export function More({ pages }: { pages: Pages<unknown, unknown> }) {
  if (!pages.more && !(pages.pending && pages.items.length > 0)) return null;
  return (
    <p class="actions">
      <Button run={() => pages.more?.()} pending={pages.pending} light>
        {pages.pending ? 'Загружаем…' : 'Показать ещё'}
      </Button>
    </p>
  );
}

/** Says whose clocks show a time, where they are others than the patient's. */
export function ZoneNote({ time, timeZone }: { time: string; timeZone: string }) {
  const other = otherOffset(time);
  if (other === undefined) return null;
  return (
    <p class="zone">
      Время местное: {zoneOf(time, timeZone)}. На вашем устройстве {other}.
    </p>
  );
}
