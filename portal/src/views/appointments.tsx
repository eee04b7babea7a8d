import { listAppointments } from 'talon-sdk';
import { talon } from '../api.js';
import { Badge, Heading, More, Status, ZoneNote } from '../components.js';
import { FailureMessage } from '../failure.js';
import { count, formatVisit } from '../format.js';
import { appointmentStatus, referralTitle } from '../labels.js';
import { usePages } from '../queries.js';
import { href } from '../route.js';

/** Shows the patient's visits, future and past. */
export function Appointments() {
  const pages = usePages((cursor, options) => listAppointments(talon, { query: { cursor } }, options), []);
  const { items, pending, failure, last } = pages;
  return (
    <>
      <Heading title="Записи">Записи на приём</Heading>
      <Status>
        {pending && 'Загружаем записи…'}
        {!pending && last && (items.length > 0 ? count(items.length, 'запись', 'записи', 'записей') : 'Записей нет.')}
      </Status>
      {last && items.length === 0 && (
        <p>
          Записаться можно по направлению: <a href={href({ view: 'referrals' })}>выберите его</a>.
        </p>
      )}
      <ul class="cards">
        {items.map((visit) => (
          <li key={visit.guid}>
            <article class="card" aria-labelledby={`visit-${visit.guid}`}>
              <header>
                <h2 id={`visit-${visit.guid}`}>{formatVisit(visit)}</h2>
                <Badge status={visit.status}>{appointmentStatus[visit.status]}</Badge>
              </header>
              <p>
                {referralTitle(visit.direction)}
                <br />
                {visit.resource.name}, {visit.lpu.name}
              </p>
              <ZoneNote time={visit.start} timeZone={visit.lpu.timeZone} />
              <p class="actions">
                <a
                  class="button light"
                  href={href({ view: 'ticket', appointment: visit.guid })}
                  aria-describedby={`visit-${visit.guid}`}
                >
                  Открыть талон
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
