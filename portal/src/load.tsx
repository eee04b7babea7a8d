// Components that load an object of the patient and show it.
import { getAppointment, getDirection } from 'talon-sdk';
import type { PatientAppointment, PatientDirection } from 'talon-sdk';
import type { ComponentChildren } from 'preact';
import { talon } from './api.js';
import { Status } from './components.js';
import { FailureMessage } from './failure.js';
import { t } from './language.js';
import { useQuery } from './queries.js';

interface WithProps<Data> {
  guid: string;
  children: (data: Data) => ComponentChildren;
}

/** Loads a referral of the patient. */
export function WithReferral({ guid, children }: WithProps<PatientDirection>) {
  const { data, failure, retry } = useQuery(
    (options) => getDirection(talon, { path: { directionGuid: guid } }, options),
    [guid],
  );
  if (failure) return <FailureMessage failure={failure} retry={retry} />;
  return <>{data ? children(data) : <Status>{t.loadingReferral}</Status>}</>;
}

/** Loads a visit of the patient. */
export function WithVisit({ guid, children }: WithProps<PatientAppointment>) {
  const { data, failure, retry } = useQuery(
    (options) => getAppointment(talon, { path: { appointmentGuid: guid } }, options),
    [guid],
  );
  if (failure) return <FailureMessage failure={failure} retry={retry} />;
  return <>{data ? children(data) : <Status>{t.loadingVisit}</Status>}</>;
}
