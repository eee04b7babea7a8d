import { Heading, ReferralTitle, Ru } from '../components.js';
import { formatDate, formatVisit } from '../format.js';
import { t } from '../language.js';
import { WithReferral, WithVisit } from '../load.js';
import { href } from '../route.js';
import type { CellSearch } from '../route.js';
import { InstitutionList } from './institutions.js';
import { Search } from './search.js';

/** Shows the free cells for a referral. */
export function Cells({ direction, search }: { direction: string; search: CellSearch }) {
  const address = (of: CellSearch) => href({ view: 'cells', direction, search: of });
  return (
    <>
      <Heading title={t.cellsTitle}>{t.cellsHeading}</Heading>
      <WithReferral guid={direction}>
        {(referral) => (
          <>
            <p class="lead">
              <ReferralTitle of={referral} />
              <br />
              {t.referralLead(referral.number, formatDate(referral.dateEnd))}
            </p>
            {referral.lpuTo || search.lpu ? (
              <Search
                direction={referral}
                search={search}
                address={address}
                institutions={href({ view: 'institutions', direction })}
              />
            ) : (
              <InstitutionList direction={referral} address={address} />
            )}
          </>
        )}
      </WithReferral>
    </>
  );
}

/** Shows the cells to which a visit can be moved. */
export function Move({ appointment, search }: { appointment: string; search: CellSearch }) {
  return (
    <>
      <Heading title={t.moveTitle}>{t.moveHeading}</Heading>
      <WithVisit guid={appointment}>
        {(visit) => (
          <>
            <p class="lead">
              <ReferralTitle of={visit.direction} />
              <br />
              {t.now} {formatVisit(visit)},{' '}
              <Ru>
                {visit.resource.name}, {visit.lpu.name}
              </Ru>
            </p>
            <WithReferral guid={visit.direction.guid}>
              {(referral) => (
                <Search
                  direction={referral}
                  visit={visit}
                  search={{ ...search, lpu: search.lpu ?? (referral.lpuTo ? undefined : visit.lpu.guid) }}
                  address={(of) => href({ view: 'move', appointment, search: of })}
                  institutions={href({ view: 'moveInstitutions', appointment })}
                />
              )}
            </WithReferral>
          </>
        )}
      </WithVisit>
    </>
  );
}
