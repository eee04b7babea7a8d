// Components that load an object of the patient and show it.
import { getAppointment, getDirection } from 'talon-sdk';
import type { PatientAppointment, PatientDirection } from 'talon-sdk';
import type { ComponentChildren } from 'preact';
import { talon } from './api.js';
import { Status } from './components.js';
import { FailureMessage } from './failure.js';
import { t } from './language.js';
import { useQuery } from './queries.js';
import type { Query } from './queries.js';

interface WithProps<Data> {
  guid: string;
  children: (data: Data) => ComponentChildren;
}

/** Loads a referral of the patient. */
export function WithReferral({ guid, children }: WithProps<PatientDirection>) {
  const query = useQuery((options) => getDirection(talon, { path: { directionGuid: guid } }, options), [guid]);
  return show(query, t.loadingReferral, children);
}

/** Loads a visit of the patient. */
export function WithVisit({ guid, children }: WithProps<PatientAppointment>) {
  const query = useQuery((options) => getAppointment(talon, { path: { appointmentGuid: guid } }, options), [guid]);
  return show(query, t.loadingVisit, children);
}

/** Shows the data of a query, or why there are none. */
function show<Data>(query: Query<Data>, loading: string, children: WithProps<Data>['children']) {
  const { data, failure, retry } = query;
  if (failure) return <FailureMessage failure={failure} retry={retry} />;
  return <>{data ? children(data) : <Status>{loading}</Status>}</>;
}
