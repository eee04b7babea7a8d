// Components that several views use.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { deviceOffset, zoneOf } from './format.js';
import type { Pages } from './queries.js';

interface ButtonProps {
  onPress: () => void;
  /** Whether the action runs: clicks have no effect. Unlike `disabled`, this keeps the focus. */
  pending?: boolean;
  light?: boolean;
  danger?: boolean;
  id?: string;
  children: ComponentChildren;
}

export function Button({ onPress, pending = false, light = false, danger = false, id, children }: ButtonProps) {
  const kind = ['button', light && 'light', danger && 'danger'].filter(Boolean).join(' ');
  return (
    <button id={id} type="button" class={kind} aria-disabled={pending} onClick={() => pending || onPress()}>
      {children}
    </button>
  );
}

/** Whether a view has been shown since the page was loaded. The first does not take the focus. */
let hasShownView = false;

/** The heading of a view. It sets the title of the document and takes the focus. */
export function Heading({ children, title }: { children: ComponentChildren; title: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Талон`;
  }, [title]);
  useEffect(() => {
    if (hasShownView) heading.current?.focus();
    hasShownView = true;
  }, []);
  return (
    <h1 ref={heading} tabIndex={-1}>
      {children}
    </h1>
  );
}

/** Shows a status. Screen readers announce its changes. */
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

/** The button that loads the next page of a list, if there is one. */
export function More({ pages }: { pages: Pages<unknown, unknown> }) {
  if (!pages.loadMore && !(pages.pending && pages.items.length > 0)) return null;
  return (
    <p class="actions">
      <Button onPress={() => pages.loadMore?.()} pending={pages.pending} light>
        {pages.pending ? 'Загружаем…' : 'Показать ещё'}
      </Button>
    </p>
  );
}

/** Shows the time zone of a time, if it differs from the zone of the device. */
export function ZoneNote({ time, timeZone }: { time: string; timeZone: string }) {
  const offset = deviceOffset(time);
  if (offset === undefined) return null;
  return (
    <p class="zone">
      Время местное: {zoneOf(time, timeZone)}. На вашем устройстве {offset}.
    </p>
  );
}
