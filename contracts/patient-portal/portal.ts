// What a patient portal does with Talon, by the SDK: a consumer whose expectations are in pacts/.
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
  unforeseen,
} from 'talon-sdk';
import type { ExistingAppointment, Hold, NearestSlot, OperationRefusal, Refused, Slot, Talon } from 'talon-sdk';

/** A referral to choose. */
export interface Referral {
  guid: string;
  number: string;
  speciality: string;
  where?: string;
  validUntil: string;
}

/** What the patient has chosen: a cell to book by a referral. */
export interface Choice {
  directionGuid: string;
  directionType: 'Consult' | 'Laboratory';
  holderLpuGuid: string;
  lpuGuid: string;
  slot: { id: number; guid: string };
}

/** A visit, as the portal shows it. */
export interface Visit {
  guid: string;
  start: string;
  end: string;
}

/** What the portal offers where something was not done. */
export type WayOut =
  | { wayOut: 'sign in' }
  | { wayOut: 'choose another cell'; message: string; cells: NearestSlot[] }
  | { wayOut: 'see the appointment'; message: string; appointment?: ExistingAppointment }
  | { wayOut: 'give a cell back'; message: string; holds: Hold[] }
  | { wayOut: 'try later'; message: string; seconds?: number }
  | { wayOut: 'read'; message: string; requestId?: string };

/** The operations that the portal uses. */
type Used =
  | 'listDirections'
  | 'listDirectionSlots'
  | 'holdSlot'
  | 'releaseSlot'
  | 'createAppointment'
  | 'listAppointments'
  | 'getAppointment'
  | 'moveAppointment'
  | 'cancelAppointment';

/** The referrals that the patient can book by. */
export async function referrals(talon: Talon): Promise<Referral[] | WayOut> {
  const outcome = await listDirections(talon, { query: { status: ['NotBooked'] } });
  if (!outcome.ok) return wayOut(outcome);
  return outcome.data.items.map(({ guid, number, speciality, lpuTo, dateEnd }) => ({
    guid,
    number,
    speciality: speciality.name,
    where: lpuTo?.name,
    validUntil: dateEnd,
  }));
}

/** The free cells for a referral, by day; or why there can be none. */
export async function cells(talon: Talon, directionGuid: string): Promise<Map<string, Slot[]> | WayOut> {
  const outcome = await listDirectionSlots(talon, { path: { directionGuid } });
  if (!outcome.ok) return wayOut(outcome);
  const { blockedBy, items } = outcome.data;
  if (blockedBy !== null) return { wayOut: 'read', message: blockedBy.message };
  return byDay(items);
}

/** Keeps a cell while the patient looks at it; answers until when. */
export async function hold(talon: Talon, choice: Choice): Promise<string | WayOut> {
  const outcome = await holdSlot(talon, { path: { slotGuid: choice.slot.guid }, body: referred(choice) });
  return outcome.ok ? outcome.data.heldUntil : wayOut(outcome);
}

/** Gives a cell back that the patient does not want after all. */
export async function giveBack(talon: Talon, { slot, lpuGuid }: Choice): Promise<string | WayOut> {
  const outcome = await releaseSlot(talon, { path: { slotGuid: slot.guid }, query: { lpuGuid } });
  return outcome.ok ? outcome.data.message : wayOut(outcome);
}

/** Books. Where no answer came, finds out what has happened: `undefined` is that nothing was booked. */
export async function book(talon: Talon, choice: Choice): Promise<Visit | WayOut | undefined> {
  try {
    const outcome = await createAppointment(talon, { body: { ...referred(choice), SlotId: choice.slot.id } });
    return outcome.ok ? visit(outcome.data) : wayOut(outcome);
  } catch (error) {
    if (error instanceof CallError) return booked(talon, choice.directionGuid);
    throw error;
  }
}

/** The visit that a referral is booked for, if it is. */
export async function booked(talon: Talon, directionGuid: string): Promise<Visit | WayOut | undefined> {
  const outcome = await listAppointments(talon, { query: { directionGuid, status: ['Booked'] } });
  return outcome.ok ? outcome.data.items[0] : wayOut(outcome);
}

/** One visit, to show its ticket. */
export async function ticket(talon: Talon, appointmentGuid: string) {
  const outcome = await getAppointment(talon, { path: { appointmentGuid } });
  if (!outcome.ok) return wayOut(outcome);
  const { start, lpu, resource, direction } = outcome.data;
  return { start, timeZone: lpu.timeZone, where: lpu.name, to: resource.name, number: direction.number };
}

/** Moves a visit to another cell. */
export async function move(talon: Talon, appointmentGuid: string, slotId: number): Promise<Visit | WayOut> {
  const outcome = await moveAppointment(talon, { path: { appointmentGuid }, body: { SlotId: slotId } });
  return outcome.ok ? visit(outcome.data) : wayOut(outcome);
}

/** Cancels a visit; answers what to tell the patient. */
export async function cancel(talon: Talon, appointmentGuid: string): Promise<string | WayOut> {
  const outcome = await cancelAppointment(talon, { path: { appointmentGuid } });
  return outcome.ok ? outcome.data.message : wayOut(outcome);
}

function referred({ directionGuid, directionType, holderLpuGuid, lpuGuid }: Choice) {
  return { DirectionGuid: directionGuid, DirectionType: directionType, LpuFromGuid: holderLpuGuid, LpuToGuid: lpuGuid };
}

function visit(result: {
  consultDirection: { appointment: Visit } | null;
  laboratoryDirection: { appointment: Visit } | null;
}): Visit {
  const direction = result.consultDirection ?? result.laboratoryDirection;
  if (direction === null) throw new Error('booked without a referral');
  return direction.appointment;
}

/** The way out of a refusal. Every rule has its case: the compiler tells of one that is new, or is no more. */
function wayOut<O extends Used>({ refusal, retryAfter }: Refused<O>): WayOut {
  const refused = refusal as OperationRefusal<Used>;
  const { message } = refused;
  switch (refused.rule) {
    case 'token_missing':
    case 'token_invalid':
    case 'token_expired':
    case 'token_signature_invalid':
      return { wayOut: 'sign in' };
    case 'slot_full':
    case 'slot_taken':
      return { wayOut: 'choose another cell', message, cells: refused.details?.slots ?? [] };
    case 'slot_not_found':
    case 'slot_resource_not_found':
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
      return { wayOut: 'choose another cell', message, cells: [] };
    case 'direction_already_booked':
    case 'speciality_already_booked':
      return { wayOut: 'see the appointment', message, appointment: refused.details?.appointment };
    case 'too_many_holds':
      return { wayOut: 'give a cell back', message, holds: refused.details?.holds ?? [] };
    case 'idempotency_key_in_use':
    case 'database_unavailable':
    case 'mip_unavailable':
    case 'mip_auth_url_unreachable':
    case 'keys_unavailable':
    case 'overloaded':
      return { wayOut: 'try later', message, seconds: retryAfter };
    case 'body_too_large':
    case 'media_type_unsupported':
    case 'body_malformed':
    case 'field_invalid':
    case 'idempotency_key_reused':
    case 'direction_type_unsupported':
    case 'direction_not_found':
    case 'direction_absent':
    case 'direction_not_patients':
    case 'direction_lpu_mismatch':
    case 'direction_expired':
    case 'mkab_closed':
    case 'mkab_absent':
    case 'mkab_lpu_not_found':
    case 'mkab_policy_number_empty':
    case 'mkab_sex_empty':
    case 'mkab_surname_empty':
    case 'mkab_name_empty':
    case 'mkab_policy_link_failed':
    case 'mip_auth_url_empty':
    case 'mip_person_not_found':
    case 'mip_person_data_missing':
    case 'appointment_absent':
    case 'appointment_started':
    case 'appointment_cancelled':
    case 'appointment_not_created':
    case 'appointment_not_found':
    case 'appointment_not_linked':
    case 'route_not_found':
    case 'method_not_allowed':
    case 'internal_error':
      return { wayOut: 'read', message, requestId: refused.request_id };
    default: {
      const { message, request_id } = unforeseen(refused);
      return { wayOut: 'read', message, requestId: request_id };
    }
  }
}
