import { listDirections } from 'talon-sdk';
import type { PatientDirection } from 'talon-sdk';
import { talon } from '../api.js';
import { Badge, Heading, More, Status } from '../components.js';
import { FailureMessage } from '../failure.js';
import { count, formatDate, formatVisit } from '../format.js';
import { directionStatus, referralTitle } from '../labels.js';
import { usePages } from '../queries.js';
import { href } from '../route.js';

/** Shows the patient's referrals with their status. */
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
      {failure && <FailureMessage failure={failure} retry={pages.retry} />}
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
        <h2 id={name}>{referralTitle(direction)}</h2>
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
      <NextStep direction={direction} describedBy={name} />
    </article>
  );
}

interface NextStepProps {
  direction: PatientDirection;
  describedBy: string;
}

/** The link to the next step, which depends on the status of the referral. */
function NextStep({ direction: { guid, status, appointment }, describedBy }: NextStepProps) {
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
