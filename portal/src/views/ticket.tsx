import { getAppointment } from 'talon-sdk';
import type { PatientAppointment } from 'talon-sdk';
import { useEffect, useState } from 'preact/hooks';
import { talon } from '../api.js';
import { Badge, Button, Heading, Status } from '../components.js';
import { FailureMessage } from '../failure.js';
import { deviceOffset, formatHour, formatStart, formatVisit, zoneOf } from '../format.js';
import { calendar } from '../ics.js';
import { appointmentStatus, referralTitle, resourceKind } from '../labels.js';
import { QrCode } from '../qr.js';
import { useQuery } from '../queries.js';
import { href } from '../route.js';
import type { News } from '../route.js';
import { host } from '../session.js';

const newsText: Record<News, string> = {
  booked: 'Вы записаны на приём.',
  moved: 'Запись перенесена.',
  cancelled: 'Запись отменена.',
};

/** Shows the ticket (талон) of a visit and its actions. */
export function Ticket({ appointment, news }: { appointment: string; news?: News }) {
  const {
    data: visit,
    failure,
    retry,
  } = useQuery((options) => getAppointment(talon, { path: { appointmentGuid: appointment } }, options), [appointment]);
  return (
    <>
      <Heading title="Талон">Талон на приём</Heading>
      <Status>{visit || failure ? news && newsText[news] : 'Загружаем талон…'}</Status>
      {failure && <FailureMessage failure={failure} retry={retry} />}
      {visit && <TicketDetails visit={visit} />}
    </>
  );
}

function TicketDetails({ visit }: { visit: PatientAppointment }) {
  const { guid, status, start, lpu, resource, direction, comment, isCito, cancellation } = visit;
  const offset = deviceOffset(start);
  return (
    <>
      <article class="ticket" aria-label="Талон">
        <div>
          <p class="ticket-when">{formatVisit(visit)}</p>
          <p class="zone">
            Время: {zoneOf(start, lpu.timeZone)}
            {offset && `. На вашем устройстве ${offset}`}
          </p>
          <dl>
            {host.patientName && (
              <div>
                <dt>Пациент</dt>
                <dd>{host.patientName}</dd>
              </div>
            )}
            <div>
              <dt>Куда</dt>
              <dd>{lpu.name}</dd>
            </div>
            <div>
              <dt>{resourceKind[resource.kind]}</dt>
              <dd>{resource.name}</dd>
            </div>
            <div>
              <dt>Направление</dt>
              <dd>
                № {direction.number}, {referralTitle(direction)}
              </dd>
            </div>
            {comment && (
              <div>
                <dt>Комментарий</dt>
                <dd>{comment}</dd>
              </div>
            )}
            <div>
              <dt>Состояние</dt>
              <dd>
                <Badge status={status}>{appointmentStatus[status]}</Badge>
                {isCito && <Badge status="urgent">Срочно</Badge>}
                {cancellation && (
                  <>
                    {' '}
                    {formatStart(cancellation.time)}
                    {cancellation.reason && `: ${cancellation.reason}`}
                  </>
                )}
              </dd>
            </div>
          </dl>
        </div>
        <figure>
          <QrCode text={`${guid}\n${start}`} label="QR-код записи: её номер и время" />
          <figcaption>
            <code>{guid}</code>
          </figcaption>
        </figure>
      </article>
      {status === 'Booked' && (
        <p class="actions">
          <Button onPress={() => print()}>Напечатать</Button>
          <SaveToCalendar visit={visit} />
          <a class="button light" href={href({ view: 'move', appointment: guid, search: {} })}>
            Перенести
          </a>
          <a class="button light danger" href={href({ view: 'cancel', appointment: guid })}>
            Отменить
          </a>
        </p>
      )}
      {status === 'Cancelled' && (
        <p class="actions">
          <a class="button" href={href({ view: 'cells', direction: direction.guid, search: {} })}>
            Записаться снова
          </a>
        </p>
      )}
    </>
  );
}

function SaveToCalendar({ visit }: { visit: PatientAppointment }) {
  const [address, setAddress] = useState<string>();
  useEffect(() => {
    const url = URL.createObjectURL(new Blob([calendar(visit)], { type: 'text/calendar;charset=utf-8' }));
    setAddress(url);
    return () => URL.revokeObjectURL(url);
  }, [visit]);
  const name = `talon-${visit.start.slice(0, 10)}-${formatHour(visit.start).replace(':', '')}.ics`;
  return (
    <a class="button light" href={address} download={name}>
      Сохранить в календарь
    </a>
  );
}
