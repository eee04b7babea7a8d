import { listDirections } from 'talon-sdk';
import type { PatientDirection } from 'talon-sdk';
import { talon } from '../api.js';
import { usePages } from '../queries.js';
import { count, formatDate, formatVisit } from '../format.js';
import { Badge, Heading, More, Status } from '../components.js';
import { href } from '../route.js';
import { Trouble } from '../failure.js';
import { directionStatus, purpose } from '../labels.js';

/** What the patient has been referred to, and what has become of it. */
export function Referrals() {
  const pages = usePages((cursor, options) => listDirections(talon, { query: { cursor } }, options), []);
  const { items, pending, failure, last } = pages;
  return (
    <>
      <Heading title="Направления">Направления</Heading>
      <Status>
        {pending && 'Загружаем направления…'}
        {!pending &&
          last &&
          (items.length > 0 ? count(items.length, 'направление', 'направления', 'направлений') : 'Направлений нет.')}
      </Status>
      {last && items.length === 0 && (
        <p>Направление выдаёт врач. Когда оно появится, здесь можно будет записаться на приём.</p>
      )}
      <ul class="cards">
        {items.map((direction) => (
          <li key={direction.guid}>
            <Referral direction={direction} />
          </li>
        ))}
      </ul>
      {failure && <Trouble failure={failure} again={pages.again} />}
      <More pages={pages} />
    </>
  );
}

function Referral({ direction }: { direction: PatientDirection }) {
  const { guid, number, status, date, dateEnd, urgent, lpuFrom, lpuTo, diagnosis, appointment } = direction;
  const name = `referral-${guid}`;
  return (
    <article class="card" aria-labelledby={name}>
      <header>
        <h2 id={name}>{purpose(direction)}</h2>
        <Badge status={status}>{directionStatus[status]}</Badge>
        {urgent && <Badge status="urgent">Срочно</Badge>}
      </header>
      <dl>
        <div>
          <dt>Номер</dt>
          <dd>
            № {number} от {formatDate(date)}
          </dd>
        </div>
        {diagnosis.code && (
          <div>
            <dt>Диагноз</dt>
            <dd>
              {diagnosis.code} {diagnosis.name}
            </dd>
          </div>
        )}
        <div>
          <dt>Откуда</dt>
          <dd>{lpuFrom.name}</dd>
        </div>
        <div>
          <dt>Куда</dt>
          <dd>{lpuTo?.name ?? 'любая медицинская организация'}</dd>
        </div>
        <div>
          <dt>Действует</dt>
          <dd>по {formatDate(dateEnd)}</dd>
        </div>
        {appointment && (
          <div>
            <dt>Приём</dt>
            <dd>{formatVisit(appointment)}</dd>
          </div>
        )}
      </dl>
      <Next direction={direction} describedBy={name} />
    </article>
  );
}

/** Where a referral leads. */
function Next({
  direction: { guid, status, appointment },
  describedBy,
}: {
  direction: PatientDirection;
  describedBy: string;
}) {
  const toCells = href({ view: 'cells', direction: guid, search: {} });
  switch (status) {
    case 'NotBooked':
      return (
        <p class="actions">
          <a class="button" href={toCells} aria-describedby={describedBy}>
            Выбрать время
          </a>
        </p>
      );
    case 'Expired':
      return (
        <p class="actions">
          <a href={toCells} aria-describedby={describedBy}>
            Можно ли ещё записаться?
          </a>
        </p>
      );
    case 'Booked':
    case 'Completed':
      return (
        appointment && (
          <p class="actions">
            <a
              class="button light"
              href={href({ view: 'ticket', appointment: appointment.guid })}
              aria-describedby={describedBy}
            >
              Открыть талон
            </a>
          </p>
        )
      );
    case 'Cancelled':
      return null;
  }
}
