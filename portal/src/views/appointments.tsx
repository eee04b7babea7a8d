import { listAppointments } from 'talon-sdk';
import { talon } from '../api.js';
import {
  Badge,
  BookAgain,
  Heading,
  InstitutionsCancellation,
  isCancelledByInstitution,
  More,
  ReferralTitle,
  Ru,
  Status,
  ZoneNote,
} from '../components.js';
import { FailureMessage } from '../failure.js';
import { formatVisit } from '../format.js';
import { labelOf } from '../labels.js';
import { t } from '../language.js';
import { usePages } from '../queries.js';
import { href } from '../route.js';

/** Shows the patient's visits, future and past. */
export function Appointments() {
  const pages = usePages((cursor, options) => listAppointments(talon, { query: { cursor } }, options), []);
  const { items, pending, failure, last } = pages;
  return (
    <>
      <Heading title={t.visits}>{t.visitsHeading}</Heading>
      <Status>
        {pending && t.loadingVisits}
        {!pending && last && (items.length > 0 ? t.visitCount(items.length) : t.noVisits)}
      </Status>
      {last && items.length === 0 && (
        <p>
          {t.noVisitsHint}
          <a href={href({ view: 'referrals' })}>{t.noVisitsLink}</a>.
        </p>
      )}
      <ul class="cards">
        {items.map((visit) => (
          <li key={visit.guid}>
            <article class="card" aria-labelledby={`visit-${visit.guid}`}>
              <header>
                <h2 id={`visit-${visit.guid}`}>{formatVisit(visit)}</h2>
                <Badge status={visit.status}>{labelOf(t.appointmentStatus, visit.status)}</Badge>
              </header>
              <p>
                <ReferralTitle of={visit.direction} />
                <br />
                <Ru>
                  {visit.resource.name}, {visit.lpu.name}
                </Ru>
              </p>
              <ZoneNote time={visit.start} timeZone={visit.lpu.timeZone} />
              <InstitutionsCancellation of={visit} />
              <p class="actions">
                {isCancelledByInstitution(visit) && <BookAgain of={visit} describedBy={`visit-${visit.guid}`} />}
                <a
                  class="button light"
                  href={href({ view: 'ticket', appointment: visit.guid })}
                  aria-describedby={`visit-${visit.guid}`}
                >
                  {t.openTicket}
                </a>
              </p>
            </article>
          </li>
        ))}
      </ul>
      {failure && <FailureMessage failure={failure} retry={pages.retry} />}
      <More pages={pages} />
    </>
  );
}
