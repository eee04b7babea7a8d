import { createAppointment, listAppointments, moveAppointment, orThrow } from 'talon-sdk';
import type { AppointmentResult, NearestSlot, PatientAppointment } from 'talon-sdk';
import { useEffect, useRef } from 'preact/hooks';
import { talon } from '../api.js';
import type { Cell, ReferralRef } from '../cell.js';
import { Button, Place, VisitTime } from '../components.js';
import { FailureMessage } from '../failure.js';
import { deviceOffset, formatDuration, formatHour, formatVisit, zoneOf } from '../format.js';
import { useHold } from '../hold.js';
import type { CellHold } from '../hold.js';
import { labelOf } from '../labels.js';
import { t } from '../language.js';
import { useMutation } from '../queries.js';
import { go } from '../route.js';

interface ConfirmProps {
  referral: ReferralRef;
  cell: Cell;
  /** The visit to move to the cell. Without it the cell is booked. */
  visit?: PatientAppointment;
  /** Chooses another cell instead. */
  choose: (slot: NearestSlot) => void;
  /** Returns to the list of cells. */
  close: () => void;
  /** Called when the cell cannot be held or booked: the list of cells is outdated. */
  onFailure: () => void;
}

/** Holds the cell, asks for a confirmation, and then books the cell or moves the visit to it. */
export function Confirm({ referral, cell, visit, choose, close, onFailure }: ConfirmProps) {
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
  const isRefused = failure !== undefined;
  useEffect(() => {
    if (isRefused) onFailure();
  }, [isRefused]);
  const { lpu, resource } = cell;
  return (
    <dialog
      ref={dialog}
      aria-labelledby="confirm"
      onCancel={(event) => {
        event.preventDefault();
        if (!booking.pending) close();
      }}
    >
      <h2 id="confirm" ref={heading} tabIndex={-1}>
        {visit ? t.confirmMove : t.confirmBooking}
      </h2>
      {visit && (
        <p>
          {t.now} {formatVisit(visit)}
        </p>
      )}
      <VisitTime visit={cell} />
      <p class="zone">
        {t.inZone(zoneOf(cell.start, lpu.timeZone))}
        {offset && t.onDevice(offset)}
      </p>
      <p>
        <strong lang="ru">{resource.name}</strong>
        <br />
        <Place of={cell} />
        {cell.restriction && cell.restriction !== 'none' && (
          <>
            <br />
            {t.restrictedTo(labelOf(t.restriction, cell.restriction))}
          </>
        )}
      </p>
      <p class="status" role="status">
        {booking.pending ? (visit ? t.moving : t.booking) : !failure && holdStatus(hold, cell.lpu.timeZone)}
      </p>
      {!failure && !booking.pending && hold.remaining > 0 && (
        <p class="countdown" role="timer">
          {t.remaining} <strong>{formatDuration(hold.remaining)}</strong>
        </p>
      )}
      {failure && !booking.pending && <FailureMessage failure={failure} retry={retry} choose={choose} />}
      <p class="actions">
        {!failure && (
          <Button onPress={booking.run} pending={booking.pending || isHolding}>
            {visit ? t.move : t.book}
          </Button>
        )}
        <Button onPress={close} pending={booking.pending} light>
          {t.back}
        </Button>
      </p>
    </dialog>
  );
}

/** Describes the hold. Its end is in the zone of the institution. */
function holdStatus({ heldUntil, remaining }: CellHold, timeZone: string): string {
  if (heldUntil === undefined) return t.holding;
  if (remaining === 0) return t.holdExpired;
  const zone = deviceOffset(heldUntil) && zoneOf(heldUntil, timeZone);
  return t.heldUntil([formatHour(heldUntil), zone].filter(Boolean).join(', '));
}

const guidOf = ({ consultDirection, laboratoryDirection }: AppointmentResult) =>
  (consultDirection ?? laboratoryDirection)!.appointment.guid;
