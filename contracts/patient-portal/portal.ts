// A consumer of Talon with the SDK: a patient portal. Its expectations are in pacts/.
import {
  CallError,
  byDay,
  cancelAppointment,
  createAppointment,
  getAppointment,
  holdSlot,
  listAppointments,
  listDirectionSlots,
  listDirections,
  moveAppointment,
  releaseSlot,
} from 'talon-sdk';
import type { ExistingAppointment, Hold, NearestSlot, OperationRefusal, Refused, Slot, Talon } from 'talon-sdk';

/** A referral in the list. */
export interface Referral {
  guid: string;
  number: string;
  speciality: string;
  where?: string;
  validUntil: string;
}

/** The patient's choice: a referral and a cell. */
export interface Choice {
  directionGuid: string;
  directionType: 'Consult' | 'Laboratory';
  holderLpuGuid: string;
  lpuGuid: string;
  slot: { id: number; guid: string };
}

/** The data of a visit that the portal shows. */
export interface Visit {
  guid: string;
  start: string;
  end: string;
}

/** What the patient can do next after a refusal. */
export type Remedy =
  | { remedy: 'sign in' }
  | { remedy: 'choose another cell'; message: string; cells: NearestSlot[] }
  | { remedy: 'see the appointment'; message: string; appointment?: NonNullable<ExistingAppointment> }
  | { remedy: 'release a cell'; message: string; holds: Hold[] }
  | { remedy: 'try later'; message: string; seconds?: number }
  | { remedy: 'read the message'; message: string; requestId?: string };

/** The operations that the portal uses. */
type UsedOperation =
  | 'listDirections'
  | 'listDirectionSlots'
  | 'holdSlot'
  | 'releaseSlot'
  | 'createAppointment'
  | 'listAppointments'
  | 'getAppointment'
  | 'moveAppointment'
  | 'cancelAppointment';

/** Returns the referrals for which the patient can book. */
export async function referrals(talon: Talon): Promise<Referral[] | Remedy> {
  const outcome = await listDirections(talon, { query: { status: ['NotBooked'] } });
  if (!outcome.ok) return remedyFor(outcome);
  return outcome.data.items.map(({ guid, number, speciality, lpuTo, dateEnd }) => ({
    guid,
    number,
    speciality: speciality.name,
    where: lpuTo?.name,
    validUntil: dateEnd,
  }));
}

/** Returns the free cells for a referral by day, or the reason why there can be none. */
export async function cells(talon: Talon, directionGuid: string): Promise<Map<string, Slot[]> | Remedy> {
  const outcome = await listDirectionSlots(talon, { path: { directionGuid } });
  if (!outcome.ok) return remedyFor(outcome);
  const { blockedBy, items } = outcome.data;
  if (blockedBy !== null) return { remedy: 'read the message', message: blockedBy.message };
  return byDay(items);
}

/** Holds a cell. Returns the end of the hold. */
export async function hold(talon: Talon, choice: Choice): Promise<string | Remedy> {
  const outcome = await holdSlot(talon, { path: { slotGuid: choice.slot.guid }, body: referred(choice) });
  return outcome.ok ? outcome.data.heldUntil : remedyFor(outcome);
}

/** Releases a held cell. Returns the message for the patient. */
export async function release(talon: Talon, { slot, lpuGuid }: Choice): Promise<string | Remedy> {
  const outcome = await releaseSlot(talon, { path: { slotGuid: slot.guid }, query: { lpuGuid } });
  return outcome.ok ? outcome.data.message : remedyFor(outcome);
}

/** Books a cell. After a lost response it returns the booked visit, or `undefined` without one. */
export async function book(talon: Talon, choice: Choice): Promise<Visit | Remedy | undefined> {
  try {
    const outcome = await createAppointment(talon, { body: { ...referred(choice), SlotId: choice.slot.id } });
    return outcome.ok ? visit(outcome.data) : remedyFor(outcome);
  } catch (error) {
    if (error instanceof CallError) return findVisit(talon, choice.directionGuid);
    throw error;
  }
}

/** Returns the booked visit of a referral, if there is one. */
export async function findVisit(talon: Talon, directionGuid: string): Promise<Visit | Remedy | undefined> {
  const outcome = await listAppointments(talon, { query: { directionGuid, status: ['Booked'] } });
  return outcome.ok ? outcome.data.items[0] : remedyFor(outcome);
}

/** Returns the data of a visit's ticket. */
export async function ticket(talon: Talon, appointmentGuid: string) {
  const outcome = await getAppointment(talon, { path: { appointmentGuid } });
  if (!outcome.ok) return remedyFor(outcome);
  const { start, lpu, resource, direction } = outcome.data;
  return { start, timeZone: lpu.timeZone, where: lpu.name, to: resource.name, number: direction.number };
}

/** Moves a visit to another cell. */
export async function move(talon: Talon, appointmentGuid: string, slotId: number): Promise<Visit | Remedy> {
  const outcome = await moveAppointment(talon, { path: { appointmentGuid }, body: { SlotId: slotId } });
  return outcome.ok ? visit(outcome.data) : remedyFor(outcome);
}

/** Cancels a visit. Returns the message for the patient. */
export async function cancel(talon: Talon, appointmentGuid: string): Promise<string | Remedy> {
  const outcome = await cancelAppointment(talon, { path: { appointmentGuid } });
  return outcome.ok ? outcome.data.message : remedyFor(outcome);
}

function referred({ directionGuid, directionType, holderLpuGuid, lpuGuid }: Choice) {
  return { DirectionGuid: directionGuid, DirectionType: directionType, LpuFromGuid: holderLpuGuid, LpuToGuid: lpuGuid };
}

function visit(result: {
  consultDirection: { appointment: Visit } | null;
  laboratoryDirection: { appointment: Visit } | null;
}): Visit {
  const direction = result.consultDirection ?? result.laboratoryDirection;
  if (direction === null) throw new Error('the booking has no referral');
  return direction.appointment;
}

/** Returns the remedy of a refusal. For a rule without a case, the message says what to do. */
function remedyFor<O extends UsedOperation>({ refusal, retryAfter }: Refused<O>): Remedy {
  const refused = refusal as OperationRefusal<UsedOperation>;
  const { message } = refused;
  switch (refused.rule) {
    case 'token_missing':
    case 'token_invalid':
    case 'token_expired':
    case 'token_signature_invalid':
      return { remedy: 'sign in' };
    case 'slot_full':
    case 'slot_taken':
      return { remedy: 'choose another cell', message, cells: refused.details?.slots ?? [] };
    case 'slot_not_found':
    case 'slot_resource_not_found':
    case 'schedule_stale':
    case 'slot_not_for_reception':
    case 'slot_unavailable':
    case 'slot_time_passed':
    case 'slot_beyond_horizon':
    case 'slot_access_denied':
    case 'resource_kind_mismatch':
    case 'speciality_mismatch':
    case 'slot_adults_only':
    case 'slot_children_only':
    case 'slot_infants_only':
    case 'slot_disabled_only':
    case 'slot_pregnant_only':
    case 'slot_healthy_children_only':
    case 'complex_slot_failed':
      return { remedy: 'choose another cell', message, cells: [] };
    case 'direction_already_booked':
    case 'speciality_already_booked':
      return { remedy: 'see the appointment', message, appointment: refused.details?.appointment };
    case 'too_many_holds':
      return { remedy: 'release a cell', message, holds: refused.details?.holds ?? [] };
    case 'idempotency_key_in_use':
    case 'mip_auth_url_unreachable':
      return { remedy: 'try later', message, seconds: retryAfter };
    default:
      if (refused.code === 503) return { remedy: 'try later', message, seconds: retryAfter };
      return { remedy: 'read the message', message, requestId: refused.request_id };
  }
}
