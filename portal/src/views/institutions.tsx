import { listDirectionInstitutions } from 'talon-sdk';
import type { InstitutionPage, PatientDirection, ServingInstitution } from 'talon-sdk';
import { talon } from '../api.js';
import { Heading, More, ReferralTitle, Ru, Status } from '../components.js';
import { FailureMessage } from '../failure.js';
import { deviceOffset, formatStart, offsetOf } from '../format.js';
import { t } from '../language.js';
import { WithReferral, WithVisit } from '../load.js';
import { useLoading, usePages } from '../queries.js';
import type { Pages } from '../queries.js';
import { href } from '../route.js';
import type { CellSearch } from '../route.js';

/** Lets the patient choose one of the institutions that can serve a referral. */
export function Institutions({ direction }: { direction: string }) {
  return (
    <>
      <Heading title={t.institutionsTitle}>{t.institutionsHeading}</Heading>
      <WithReferral guid={direction}>
        {(referral) => (
          <>
            <p class="lead">
              <ReferralTitle of={referral} />
            </p>
            <InstitutionList
              direction={referral}
              address={(search) => href({ view: 'cells', direction: referral.guid, search })}
            />
          </>
        )}
      </WithReferral>
    </>
  );
}

/** Lets the patient choose the institution to which a visit is moved. */
export function MoveInstitutions({ appointment }: { appointment: string }) {
  return (
    <>
      <Heading title={t.institutionsTitle}>{t.institutionsHeading}</Heading>
      <WithVisit guid={appointment}>
        {(visit) => (
          <>
            <p class="lead">
              <ReferralTitle of={visit.direction} />
            </p>
            <WithReferral guid={visit.direction.guid}>
              {(referral) => (
                <InstitutionList
                  direction={referral}
                  isMove
                  address={(search) => href({ view: 'move', appointment, search })}
                />
              )}
            </WithReferral>
          </>
        )}
      </WithVisit>
    </>
  );
}

interface InstitutionListProps {
  direction: PatientDirection;
  /** Whether a visit is moved. It blocks further bookings, but not its move. */
  isMove?: boolean;
  /** Returns the address of the cells of an institution. */
  address: (search: CellSearch) => string;
}

/** The number of institutions that are loaded without a request of the patient. */
const maxInstitutions = 200;

/** Shows the institutions that can serve a referral, those with the first free time first. */
export function InstitutionList({ direction, isMove = false, address }: InstitutionListProps) {
  const path = { directionGuid: direction.guid };
  const pages = usePages<ServingInstitution, InstitutionPage, 'listDirectionInstitutions'>(
    (cursor, options) => listDirectionInstitutions(talon, { path, query: { limit: 100, cursor } }, options),
    [direction.guid],
  );
  const { items, last, failure } = pages;
  const isLoading = useLoading(pages, maxInstitutions);
  const sorted = [...items].sort((a, b) => momentOf(a) - momentOf(b));
  return (
    <>
      <Status>
        {isLoading && t.loadingInstitutions}
        {!isLoading && last && (items.length > 0 ? t.institutionsLead : t.noInstitutions)}
      </Status>
      <ul class="institutions">
        {!isLoading &&
          sorted.map((institution) => (
            <li key={institution.lpu.guid}>
              <Institution institution={institution} isMove={isMove} address={address({ lpu: institution.lpu.guid })} />
            </li>
          ))}
      </ul>
      {failure && <FailureMessage failure={failure} retry={pages.retry} />}
      {!isLoading && <More pages={pages as Pages<unknown, unknown>} />}
      {direction.lpuTo && items.length > 1 && (
        <p class="actions">
          <a href={address({})}>{t.everywhere}</a>
        </p>
      )}
    </>
  );
}

/** Returns the first free time as a number. An institution without one comes last. */
const momentOf = ({ nextAvailable }: ServingInstitution) => (nextAvailable ? Date.parse(nextAvailable) : Infinity);

interface InstitutionProps {
  institution: ServingInstitution;
  isMove: boolean;
  address: string;
}

function Institution({ institution: { lpu, nextAvailable, blockedBy }, isMove, address }: InstitutionProps) {
  return (
    <a href={address}>
      <strong lang="ru">{lpu.name}</strong>
      <span lang="ru">{lpu.address}</span>
      {!isMove && (
        <span class="when">
          {nextAvailable ? (
            <>
              {t.nextAvailable} <strong>{formatStart(nextAvailable)}</strong>
              {deviceOffset(nextAvailable) && t.localOffset(offsetOf(nextAvailable))}
            </>
          ) : blockedBy ? (
            <Ru>{blockedBy.message}</Ru>
          ) : (
            t.noTime
          )}
        </span>
      )}
    </a>
  );
}
