import { listDirections } from 'talon-sdk';
import type { PatientDirection } from 'talon-sdk';
import { talon } from '../api.js';
import { Badge, Heading, More, ReferralTitle, Ru, Status } from '../components.js';
import { FailureMessage } from '../failure.js';
import { formatDate, formatVisit } from '../format.js';
import { labelOf } from '../labels.js';
import { t } from '../language.js';
import { usePages } from '../queries.js';
import { href } from '../route.js';

/** Shows the patient's referrals with their status. */
export function Referrals() {
  const pages = usePages((cursor, options) => listDirections(talon, { query: { cursor } }, options), []);
  const { items, pending, failure, last } = pages;
  return (
    <>
      <Heading title={t.referrals}>{t.referrals}</Heading>
      <Status>
        {pending && t.loadingReferrals}
        {!pending && last && (items.length > 0 ? t.referralCount(items.length) : t.noReferrals)}
      </Status>
      {last && items.length === 0 && <p>{t.noReferralsHint}</p>}
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
        <h2 id={name}>
          <ReferralTitle of={direction} />
        </h2>
        <Badge status={status}>{labelOf(t.directionStatus, status)}</Badge>
        {urgent && <Badge status="urgent">{t.urgent}</Badge>}
      </header>
      <dl>
        <div>
          <dt>{t.number}</dt>
          <dd>{t.numberOf(number, formatDate(date))}</dd>
        </div>
        {diagnosis.code && (
          <div>
            <dt>{t.diagnosis}</dt>
            <dd>
              {diagnosis.code} <Ru>{diagnosis.name}</Ru>
            </dd>
          </div>
        )}
        <div>
          <dt>{t.from}</dt>
          <dd lang="ru">{lpuFrom.name}</dd>
        </div>
        <div>
          <dt>{t.to}</dt>
          <dd>{lpuTo ? <Ru>{lpuTo.name}</Ru> : t.anyInstitution}</dd>
        </div>
        <div>
          <dt>{t.valid}</dt>
          <dd>{t.until(formatDate(dateEnd))}</dd>
        </div>
        {appointment && (
          <div>
            <dt>{t.visit}</dt>
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
            {t.chooseTime}
          </a>
        </p>
      );
    case 'Expired':
      return (
        <p class="actions">
          <a href={toCells} aria-describedby={describedBy}>
            {t.canStillBook}
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
              {t.openTicket}
            </a>
          </p>
        )
      );
    default:
      return null;
  }
}
