// Compiled, never run: what the types promise. A line under @ts-expect-error fails the compilation where it is no error.
import {
  cancelAppointment,
  createAppointment,
  createTalon,
  getCodToken,
  items,
  listDirections,
  listDirectionSlots,
  unforeseen,
} from 'talon-sdk';
import type { Hold, NearestSlot, OperationRefusal, PatientDirection, Refusal, Rule, Slot } from 'talon-sdk';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <_True extends true>() => {};

// Every rule of the contract has its refusal, and no other.
is<Same<Refusal['rule'], Rule>>();

// The ways out are known by the rule, and only by it.
is<Same<NonNullable<NonNullable<Refusal<'slot_taken'>['details']>['slots']>, NearestSlot[]>>();
is<Same<NonNullable<NonNullable<Refusal<'too_many_holds'>['details']>['holds']>, Hold[]>>();
is<Same<Refusal<'slot_not_found'>['details'], undefined>>();

// An operation's refusals are those of its answers.
is<Same<Extract<OperationRefusal<'cancelAppointment'>, { rule: 'slot_full' }>, never>>();
is<Same<Extract<OperationRefusal<'createAppointment'>, { rule: 'slot_full' }>, Refusal<'slot_full'>>>();
is<Same<OperationRefusal<'getLiveness'>['rule'], 'method_not_allowed' | 'internal_error'>>();

/** All refusals of a cancel have a case. */
export function exhaustive(refusal: OperationRefusal<'getLiveness'>): string {
  switch (refusal.rule) {
    case 'method_not_allowed':
    case 'internal_error':
      return refusal.message;
    default:
      return unforeseen(refusal).message;
  }
}

/** A rule without a case, as a new one is, does not compile. */
export function missing(refusal: OperationRefusal<'getLiveness'>): string {
  switch (refusal.rule) {
    case 'method_not_allowed':
      return refusal.message;
    default:
      // @ts-expect-error internal_error has no case
      return unforeseen(refusal).message;
  }
}

/** A rule that the operation cannot answer has no case either. */
export function superfluous(refusal: OperationRefusal<'getLiveness'>): boolean {
  // @ts-expect-error never answered
  return refusal.rule === 'slot_full';
}

/** `code` and `type` narrow, too: what is left is about the request. */
export function narrowed(refusal: OperationRefusal<'cancelAppointment'>): void {
  if (refusal.type === 'Error') return;
  is<
    Same<
      typeof refusal.rule,
      | 'body_too_large'
      | 'media_type_unsupported'
      | 'body_malformed'
      | 'field_invalid'
      | 'appointment_started'
      | 'idempotency_key_reused'
    >
  >();
}

export async function calls(): Promise<void> {
  const talon = createTalon({ baseUrl: '' });
  const path = { appointmentGuid: '', directionGuid: '' };

  const outcome = await cancelAppointment(talon, { path }, { idempotencyKey: 'mine' });
  if (outcome.ok) is<Same<typeof outcome.data.code, number>>();
  else is<Same<typeof outcome.refusal, OperationRefusal<'cancelAppointment'>>>();
  // @ts-expect-error the data are there only where it was done
  outcome.data;
  // @ts-expect-error only operations that take an Idempotency-Key do
  await listDirections(talon, {}, { idempotencyKey: 'mine' });
  // @ts-expect-error a booking has a body
  await createAppointment(talon, {});
  const booking = { DirectionGuid: '', DirectionType: '', LpuFromGuid: '', LpuToGuid: '' };
  // @ts-expect-error the contract has no such field
  await createAppointment(talon, { body: { ...booking, Slot: 1 } });
  // @ts-expect-error getCodToken has no key
  await getCodToken(talon, {}, { idempotencyKey: 'mine' });

  for await (const direction of items(listDirections, talon, { query: { limit: 10, status: ['Booked'] } }))
    is<Same<typeof direction, PatientDirection>>();
  for await (const slot of items(listDirectionSlots, talon, { path, query: { explain: true } }))
    is<Same<typeof slot, Slot>>();
  // @ts-expect-error the referral is missing
  items(listDirectionSlots, talon, {});
  // @ts-expect-error no parameter of the contract
  items(listDirections, talon, { query: { page: 2 } });
}
