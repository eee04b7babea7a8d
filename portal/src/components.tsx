// Components that several views use.
import type { LpuPlace, PatientAppointment, Resource } from 'talon-sdk';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { deviceOffset, formatVisitDay, formatVisitHours, zoneOf } from './format.js';
import { referralTitle, referralType } from './labels.js';
import { t } from './language.js';
import type { Pages } from './queries.js';
import { href } from './route.js';

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
    document.title = `${title} · ${t.brand}`;
  }, [title, t]);
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

/** A text of the service, which is Russian in each language of the page. */
export function Ru({ children }: { children: ComponentChildren }) {
  return <span lang="ru">{children}</span>;
}

/** Shows the title of a referral: «Консультация: Терапия». */
export function ReferralTitle({ of }: { of: Parameters<typeof referralTitle>[0] }) {
  const { name } = of.speciality;
  if (!name) return <>{referralTitle(of)}</>;
  return (
    <>
      {referralType(of.type)}: <Ru>{name}</Ru>
    </>
  );
}

/** Shows where to go: «Поликлиника, ул. Садовая, 1, кабинет 214». */
export function Place({ of: { lpu, resource } }: { of: { lpu: LpuPlace; resource: Resource } }) {
  return (
    <>
      <Ru>{[lpu.name, lpu.address].filter(Boolean).join(', ')}</Ru>
      {resource.room && `, ${t.room(resource.room)}`}
    </>
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

/** Shows that a change has succeeded. */
export function Success({ title, hint }: { title: string; hint: string }) {
  return (
    <div class="success">
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <circle cx="12" cy="12" r="12" />
        <path d="m6.5 12.5 3.75 3.75 7.25-8" />
      </svg>
      <p>
        <strong>{title}</strong> {hint}
      </p>
    </div>
  );
}

/** Whether the institution has cancelled a visit. */
export const isCancelledByInstitution = ({ cancellation }: PatientAppointment) =>
  cancellation?.initiator === 'institution';

/** Shows why the institution has cancelled a visit, and what the patient can do next. */
export function InstitutionsCancellation({ of }: { of: PatientAppointment }) {
  const { cancellation } = of;
  if (!cancellation || !isCancelledByInstitution(of)) return null;
  const { cause, reason } = cancellation;
  return (
    <div class="notice">
      <p>
        <strong>{t.cancelledByInstitution}</strong> {cause && t.cancelCause[cause]} {reason && <Ru>{reason}</Ru>}
      </p>
      {cause !== died && <p>{t.bookReferralAgain}</p>}
    </div>
  );
}

/** The cause after which nobody books again. */
const died = 'patient_died';

/** The link to the free cells of the referral of a cancelled visit. */
export function BookAgain({ of, describedBy }: { of: PatientAppointment; describedBy?: string }) {
  if (of.cancellation?.cause === died) return null;
  return (
    <a
      class="button"
      href={href({ view: 'cells', direction: of.direction.guid, search: {} })}
      aria-describedby={describedBy}
    >
      {t.bookAgain}
    </a>
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
        {pages.pending ? t.loading : t.more}
      </Button>
    </p>
  );
}

/** Shows the time of a visit in large letters. */
export function VisitTime({ visit }: { visit: { start: string; end: string } }) {
  return (
    <p class="ticket-when">
      <span>{formatVisitDay(visit)},</span> <span>{formatVisitHours(visit)}</span>
    </p>
  );
}

/** Shows the time zone of a time, if it differs from the zone of the device. */
export function ZoneNote({ time, timeZone }: { time: string; timeZone: string }) {
  const offset = deviceOffset(time);
  if (offset === undefined) return null;
  return <p class="zone">{t.localTime(zoneOf(time, timeZone), offset)}</p>;
}
