import { cancelAppointment, getAppointment, orThrow } from 'talon-sdk';
import type { PatientAppointment } from 'talon-sdk';
import { useState } from 'preact/hooks';
import { talon } from '../api.js';
import { useAnswer, useDeed } from '../queries.js';
import { formatVisit, zoneOf } from '../format.js';
import { Button, Heading, Status } from '../components.js';
import { go, href } from '../route.js';
import { Trouble } from '../failure.js';

/** The code of a reason that is told in words. What the others mean is the institution's own. */
const otherReason = 6;

/** Cancels a visit. */
export function Cancel({ appointment }: { appointment: string }) {
  const {
    data: visit,
    failure,
    again,
  } = useAnswer((options) => getAppointment(talon, { path: { appointmentGuid: appointment } }, options), [appointment]);
  return (
    <>
      <Heading title="Отмена записи">Отменить запись?</Heading>
      {!visit && !failure && <Status>Загружаем запись…</Status>}
      {failure && <Trouble failure={failure} again={again} />}
      {visit && <CancelOf visit={visit} />}
    </>
  );
}

function CancelOf({ visit: { guid, start, end, resource, lpu } }: { visit: PatientAppointment }) {
  const [reason, setReason] = useState('');
  const body = reason.trim() ? { ReasonCode: otherReason, Reason: reason.trim() } : undefined;
  const deed = useDeed(
    (options) => cancelAppointment(talon, { path: { appointmentGuid: guid }, body }, options),
    () => go({ view: 'ticket', appointment: guid, news: 'cancelled' }),
    async () => {
      const now = orThrow(await getAppointment(talon, { path: { appointmentGuid: guid } }));
      return now.status === 'Cancelled' ? { code: 200, message: '', message_code: '2000' } : undefined;
    },
    [body?.Reason],
  );
  return (
    <>
      <p>
        <strong>{formatVisit({ start, end })}</strong> ({zoneOf(start, lpu.timeZone)})
        <br />
        {resource.name}, {lpu.name}
      </p>
      <p>Время станет свободным для других. По направлению можно будет записаться снова.</p>
      <p class="field">
        <label for="reason">Причина (необязательно)</label>
        <textarea
          id="reason"
          rows={3}
          maxLength={1000}
          value={reason}
          onInput={(event) => setReason(event.currentTarget.value)}
        />
      </p>
      {deed.failure && <Trouble failure={deed.failure} again={deed.run} />}
      <p class="actions">
        <Button run={deed.run} pending={deed.pending} danger>
          {deed.pending ? 'Отменяем…' : 'Отменить запись'}
        </Button>
        <a class="button light" href={href({ view: 'ticket', appointment: guid })}>
          Оставить
        </a>
      </p>
    </>
  );
}
