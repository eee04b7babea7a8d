import { cancelAppointment, getAppointment, orThrow } from 'talon-sdk';
import type { PatientAppointment } from 'talon-sdk';
import { useState } from 'preact/hooks';
import { talon } from '../api.js';
import { Button, Heading, Ru } from '../components.js';
import { FailureMessage } from '../failure.js';
import { formatVisit, zoneOf } from '../format.js';
import { t } from '../language.js';
import { WithVisit } from '../load.js';
import { useMutation } from '../queries.js';
import { go, href } from '../route.js';

/** The code of a reason in words. The meaning of the other codes depends on the institution. */
const otherReason = 6;

/** Asks for the reason and cancels a visit. */
export function Cancel({ appointment }: { appointment: string }) {
  return (
    <>
      <Heading title={t.cancelTitle}>{t.cancelHeading}</Heading>
      <WithVisit guid={appointment}>{(visit) => <CancelForm visit={visit} />}</WithVisit>
    </>
  );
}

function CancelForm({ visit: { guid, start, end, resource, lpu } }: { visit: PatientAppointment }) {
  const [reason, setReason] = useState('');
  const body = reason.trim() ? { ReasonCode: otherReason, Reason: reason.trim() } : undefined;
  const cancellation = useMutation(
    (options) => cancelAppointment(talon, { path: { appointmentGuid: guid }, body }, options),
    () => go({ view: 'ticket', appointment: guid, news: 'cancelled' }),
    async () => {
      const current = orThrow(await getAppointment(talon, { path: { appointmentGuid: guid } }));
      return current.status === 'Cancelled' ? { code: 200, message: '', message_code: '2000' } : undefined;
    },
    [body?.Reason],
  );
  return (
    <>
      <p>
        <strong>{formatVisit({ start, end })}</strong> ({zoneOf(start, lpu.timeZone)})
        <br />
        <Ru>
          {resource.name}, {lpu.name}
        </Ru>
      </p>
      <p>{t.cancelHint}</p>
      <p class="field">
        <label for="reason">{t.reason}</label>
        <textarea
          id="reason"
          rows={3}
          maxLength={1000}
          value={reason}
          onInput={(event) => setReason(event.currentTarget.value)}
        />
      </p>
      {cancellation.failure && <FailureMessage failure={cancellation.failure} retry={cancellation.run} />}
      <p class="actions">
        <Button onPress={cancellation.run} pending={cancellation.pending} danger>
          {cancellation.pending ? t.cancelling : t.cancelVisit}
        </Button>
        <a class="button light" href={href({ view: 'ticket', appointment: guid })}>
          {t.keepVisit}
        </a>
      </p>
    </>
  );
}
