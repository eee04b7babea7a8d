import { getAppointment } from 'talon-sdk';
import type { PatientAppointment } from 'talon-sdk';
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { talon } from '../api.js';
import {
  Badge,
  BookAgain,
  Button,
  Heading,
  InstitutionsCancellation,
  isCancelledByInstitution,
  ReferralTitle,
  Ru,
  Success,
  VisitTime,
} from '../components.js';
import { FailureMessage } from '../failure.js';
import { deviceOffset, formatHour, formatStart, zoneOf } from '../format.js';
import { calendar } from '../ics.js';
import { labelOf } from '../labels.js';
import { language, t } from '../language.js';
import { QrCode } from '../qr.js';
import { useQuery } from '../queries.js';
import { href } from '../route.js';
import type { News } from '../route.js';
import { host } from '../session.js';

/** Shows the ticket (талон) of a visit and its actions. */
export function Ticket({ appointment, news }: { appointment: string; news?: News }) {
  const {
    data: visit,
    failure,
    retry,
  } = useQuery((options) => getAppointment(talon, { path: { appointmentGuid: appointment } }, options), [appointment]);
  // The address keeps the news, which a later change makes outdated.
  const isNews = visit && visit.status === (news === 'cancelled' ? 'Cancelled' : 'Booked');
  const [title, hint] = (isNews && news && t.news[news]) || [];
  return (
    <>
      <Heading title={t.ticketTitle}>{t.ticketHeading}</Heading>
      <div role="status">
        {!visit && !failure && <p class="status">{t.loadingTicket}</p>}
        {title && hint && <Success title={title} hint={hint} />}
      </div>
      {failure && <FailureMessage failure={failure} retry={retry} />}
      {visit && <TicketDetails visit={visit} />}
    </>
  );
}

function TicketDetails({ visit }: { visit: PatientAppointment }) {
  const { guid, status, start, lpu, resource, preparation, direction, comment, isCito, cancellation } = visit;
  const offset = deviceOffset(start);
  return (
    <>
      <InstitutionsCancellation of={visit} />
      <article class="ticket" aria-label={t.ticketTitle}>
        <div>
          <VisitTime visit={visit} />
          <p class="zone">
            {t.inZone(zoneOf(start, lpu.timeZone))}
            {offset && t.onDevice(offset)}
          </p>
          <dl>
            {host.patientName && (
              <Row label={t.patient}>
                <Ru>{host.patientName}</Ru>
              </Row>
            )}
            <Row label={t.where}>
              <Ru>
                {lpu.name}
                {lpu.address && (
                  <>
                    <br />
                    {lpu.address}
                  </>
                )}
              </Ru>
            </Row>
            <Row label={labelOf(t.resourceKind, resource.kind)}>
              <Ru>{resource.name}</Ru>
            </Row>
            {resource.room && <Row label={t.roomLabel}>{resource.room}</Row>}
            {lpu.phone && (
              <Row label={t.phone}>
                <a href={`tel:${lpu.phone.replace(/[^\d+]/g, '')}`}>{lpu.phone}</a>
              </Row>
            )}
            <Row label={t.referral}>
              {t.numberSign} {direction.number}, <ReferralTitle of={direction} />
            </Row>
            {comment && (
              <Row label={t.comment}>
                <Ru>{comment}</Ru>
              </Row>
            )}
            <Row label={t.state}>
              <Badge status={status}>{labelOf(t.appointmentStatus, status)}</Badge>
              {isCito && <Badge status="urgent">{t.urgent}</Badge>}
              {cancellation && (
                <>
                  {' '}
                  {formatStart(cancellation.time)}
                  {cancellation.reason && !isCancelledByInstitution(visit) && (
                    <>
                      : <Ru>{cancellation.reason}</Ru>
                    </>
                  )}
                </>
              )}
            </Row>
          </dl>
          {preparation && (
            <section class="preparation">
              <h2>{t.preparation}</h2>
              <p lang="ru">{preparation}</p>
            </section>
          )}
        </div>
        <figure>
          <QrCode text={`${guid}\n${start}`} label={t.qrLabel} />
          <figcaption>
            <code>{guid}</code>
          </figcaption>
        </figure>
      </article>
      {status === 'Booked' && (
        <p class="actions">
          <Button onPress={() => print()}>{t.print}</Button>
          <SaveToCalendar visit={visit} />
          <a class="button light" href={href({ view: 'move', appointment: guid, search: {} })}>
            {t.move}
          </a>
          <a class="button light danger" href={href({ view: 'cancel', appointment: guid })}>
            {t.cancel}
          </a>
        </p>
      )}
      {status === 'Cancelled' && (
        <p class="actions">
          <BookAgain of={visit} />
        </p>
      )}
    </>
  );
}

function Row({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function SaveToCalendar({ visit }: { visit: PatientAppointment }) {
  const [address, setAddress] = useState<string>();
  useEffect(() => {
    const url = URL.createObjectURL(new Blob([calendar(visit)], { type: 'text/calendar;charset=utf-8' }));
    setAddress(url);
    return () => URL.revokeObjectURL(url);
  }, [visit, language]);
  const name = `talon-${visit.start.slice(0, 10)}-${formatHour(visit.start).replace(':', '')}.ics`;
  return (
    <a class="button light" href={address} download={name}>
      {t.saveToCalendar}
    </a>
  );
}
