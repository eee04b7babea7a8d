import { listAppointments, listDirections } from 'talon-sdk';
import type { PatientDirection } from 'talon-sdk';
import { talon } from '../api.js';
import { Heading, ReferralTitle, Status } from '../components.js';
import { FailureMessage } from '../failure.js';
import { t } from '../language.js';
import { WithReferral, WithVisit } from '../load.js';
import { useQuery } from '../queries.js';
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
  /** Returns the address of the cells of an institution. */
  address: (search: CellSearch) => string;
}

export function InstitutionList({ address }: InstitutionListProps) {
  const directions = useQuery((options) => listDirections(talon, { query: { limit: 100 } }, options), []);
  const visits = useQuery((options) => listAppointments(talon, { query: { limit: 100 } }, options), []);
  const failed = directions.failure ? directions : visits;
  if (failed.failure) return <FailureMessage failure={failed.failure} retry={failed.retry} />;
  if (!directions.data || !visits.data) return <Status>{t.loadingInstitutions}</Status>;
  const known = [
    ...directions.data.items.flatMap(({ lpuFrom, lpuTo }) => [lpuFrom, lpuTo]),
    ...visits.data.items.map(({ lpu }) => lpu),
  ];
  const lpus = new Map(known.flatMap((lpu) => (lpu ? [[lpu.guid, lpu.name] as const] : [])));
  return (
    <>
      <p>{t.institutionsLead}</p>
      <ul class="institutions">
        {[...lpus].map(([guid, name]) => (
          <li key={guid}>
            <a href={address({ lpu: guid })} lang="ru">
              {name}
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}
