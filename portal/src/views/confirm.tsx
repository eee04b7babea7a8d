import { createAppointment, listAppointments, moveAppointment, orThrow } from 'talon-sdk';
import type { AppointmentResult, NearestSlot, PatientAppointment } from 'talon-sdk';
import { useEffect, useRef } from 'preact/hooks';
import { talon } from '../api.js';
import type { Cell, ReferralRef } from '../cell.js';
import { useDeed } from '../queries.js';
import { formatHour, formatVisit, otherOffset, zoneOf } from '../format.js';
import { useHold } from '../hold.js';
import type { CellHold } from '../hold.js';
import { Button } from '../components.js';
import { go } from '../route.js';
import { Trouble } from '../failure.js';
import { restriction } from '../labels.js';

interface ConfirmProps {
  referral: ReferralRef;
  cell: Cell;
  /** What is to be moved to the cell; without it the cell is booked. */
  visit?: PatientAppointment;
  /** Another cell is wanted instead. */
  take: (slot: NearestSlot) => void;
  /** Back to the cells, which are no longer as they were listed where something failed. */
  close: (stale: boolean) => void;
}

/** Asks whether this cell is the one, and books it or moves the visit to it. Meanwhile the cell is held. */
export function Confirm({ referral, cell, visit, take, close }: ConfirmProps) {
  const hold = useHold(referral, cell, visit?.guid);
  const deed = useDeed<string, 'createAppointment' | 'moveAppointment'>(
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
      return outcome.ok ? { ...outcome, data: appointmentOf(outcome.data) } : outcome;
    },
    (appointment) => {
      hold.used();
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

  const failure = hold.failure ?? deed.failure;
  const again = hold.failure
    ? hold.again
    : deed.failure && 'refusal' in deed.failure && deed.failure.refusal.rule === 'too_many_holds'
      ? hold.again
      : deed.run;
  const holding = !hold.until && !hold.failure;
  const other = otherOffset(cell.start);
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
        if (!deed.pending) back();
      }}
    >
      <h2 id="confirm" ref={heading} tabIndex={-1}>
        {visit ? 'Перенести запись?' : 'Записаться на приём?'}
      </h2>
      {visit && <p>Сейчас: {formatVisit(visit)}</p>}
      <p class="ticket-when">{formatVisit(cell)}</p>
      <p class="zone">
        Время: {zoneOf(cell.start, cell.lpu.timeZone)}
        {other && `. На вашем устройстве ${other}`}
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
        {deed.pending ? (visit ? 'Переносим запись…' : 'Записываем…') : !failure && <Held hold={hold} />}
      </p>
      {failure && !deed.pending && <Trouble failure={failure} again={again} take={take} />}
      <p class="actions">
        {!failure && (
          <Button run={deed.run} pending={deed.pending || holding}>
            {visit ? 'Перенести' : 'Записаться'}
          </Button>
        )}
        <Button run={back} pending={deed.pending} light>
          Назад
        </Button>
      </p>
    </dialog>
  );
}

function Held({ hold }: { hold: CellHold }) {
  if (hold.until === undefined) return <>Удерживаем это время за вами…</>;
  if (hold.over) return <>Удержание закончилось: время могли занять. Ещё можно попробовать.</>;
  return <>Время удерживается за вами до {formatHour(hold.until)}.</>;
}

const appointmentOf = ({ consultDirection, laboratoryDirection }: AppointmentResult) =>
  (consultDirection ?? laboratoryDirection)!.appointment.guid;
