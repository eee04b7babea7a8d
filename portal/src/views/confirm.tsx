import { createAppointment, listAppointments, moveAppointment, orThrow } from 'talon-sdk';
import type { AppointmentResult, NearestSlot, PatientAppointment } from 'talon-sdk';
import { useEffect, useRef } from 'preact/hooks';
import { talon } from '../api.js';
import type { Cell, ReferralRef } from '../cell.js';
import { Button } from '../components.js';
import { FailureMessage } from '../failure.js';
import { deviceOffset, formatHour, formatVisit, zoneOf } from '../format.js';
import { useHold } from '../hold.js';
import type { CellHold } from '../hold.js';
import { restriction } from '../labels.js';
import { useMutation } from '../queries.js';
import { go } from '../route.js';

interface ConfirmProps {
  referral: ReferralRef;
  cell: Cell;
  /** The visit to move to the cell. Without it the cell is booked. */
  visit?: PatientAppointment;
  /** Chooses another cell instead. */
  choose: (slot: NearestSlot) => void;
  /** Returns to the list of cells. After a failure the list is outdated. */
  close: (outdated: boolean) => void;
}

/** Holds the cell, asks for a confirmation, and then books the cell or moves the visit to it. */
export function Confirm({ referral, cell, visit, choose, close }: ConfirmProps) {
  const hold = useHold(referral, cell, visit?.guid);
  const booking = useMutation<string, 'createAppointment' | 'moveAppointment'>(
    async (options) => {
      const place = { LpuToGuid: cell.lpu.guid, SlotGuid: cell.guid };
      const source = {
        DirectionGuid: referral.directionGuid,
        DirectionType: referral.directionType,
        LpuFromGuid: referral.holderLpuGuid,
      };
      const outcome = visit
        ? await moveAppointment(talon, { path: { appointmentGuid: visit.guid }, body: place }, options)
        : await createAppointment(talon, { body: { ...source, ...place } }, options);
      return outcome.ok ? { ...outcome, data: guidOf(outcome.data) } : outcome;
    },
    (appointment) => {
      hold.markUsed();
      go({ view: 'ticket', appointment, news: visit ? 'moved' : 'booked' });
    },
    async () => {
      const { items } = orThrow(
        await listAppointments(talon, { query: { directionGuid: referral.directionGuid, status: ['Booked'] } }),
      );
      return items.find(({ start, resource }) => start === cell.start && resource.guid === cell.resource.guid)?.guid;
    },
  );

  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
    heading.current?.focus();
  }, []);

  const failure = hold.failure ?? booking.failure;
  const tooManyHolds = failure && 'refusal' in failure && failure.refusal.rule === 'too_many_holds';
  const retry = hold.failure || tooManyHolds ? hold.retry : booking.run;
  const isHolding = !hold.heldUntil && !hold.failure;
  const offset = deviceOffset(cell.start);
  const back = () => {
    dialog.current?.close();
    close(failure !== undefined);
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby="confirm"
      onCancel={(event) => {
        event.preventDefault();
        if (!booking.pending) back();
      }}
    >
      <h2 id="confirm" ref={heading} tabIndex={-1}>
        {visit ? 'Перенести запись?' : 'Записаться на приём?'}
      </h2>
      {visit && <p>Сейчас: {formatVisit(visit)}</p>}
      <p class="ticket-when">{formatVisit(cell)}</p>
      <p class="zone">
        Время: {zoneOf(cell.start, cell.lpu.timeZone)}
        {offset && `. На вашем устройстве ${offset}`}
      </p>
      <p>
        {cell.resource.name}
        <br />
        {cell.lpu.name}
        {cell.restriction && cell.restriction !== 'none' && (
          <>
            <br />
            Время только {restriction[cell.restriction]}
          </>
        )}
      </p>
      <p class="status" role="status">
        {booking.pending ? (visit ? 'Переносим запись…' : 'Записываем…') : !failure && <HoldStatus hold={hold} />}
      </p>
      {failure && !booking.pending && <FailureMessage failure={failure} retry={retry} choose={choose} />}
      <p class="actions">
        {!failure && (
          <Button onPress={booking.run} pending={booking.pending || isHolding}>
            {visit ? 'Перенести' : 'Записаться'}
          </Button>
        )}
        <Button onPress={back} pending={booking.pending} light>
          Назад
        </Button>
      </p>
    </dialog>
  );
}

function HoldStatus({ hold }: { hold: CellHold }) {
  if (hold.heldUntil === undefined) return <>Удерживаем это время за вами…</>;
  if (hold.expired) return <>Удержание закончилось: время могли занять. Ещё можно попробовать.</>;
  return <>Время удерживается за вами до {formatHour(hold.heldUntil)}.</>;
}

const guidOf = ({ consultDirection, laboratoryDirection }: AppointmentResult) =>
  (consultDirection ?? laboratoryDirection)!.appointment.guid;
