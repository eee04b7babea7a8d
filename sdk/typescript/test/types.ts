// Tests of the types: this file is compiled and never runs. Each expected error is marked, and the
// compilation fails if it is missing.
import {
  cancelAppointment,
  createAppointment,
  createTalon,
  getCodToken,
  isKnownRule,
  items,
  listDirections,
  listDirectionSlots,
  MENDERS,
} from 'talon-sdk';
import type {
  DirectionStatus,
  Hold,
  Known,
  Mender,
  NearestSlot,
  OperationRefusal,
  PatientDirection,
  Refusal,
  Rule,
  Slot,
  Unknown,
  UnknownRefusal,
} from 'talon-sdk';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <_True extends true>() => {};

// Each rule of the contract has a refusal, and so have unknown rules.
is<Same<Refusal['rule'], Rule>>();

// The rule alone determines the type of the details.
is<Same<NonNullable<NonNullable<Refusal<'slot_taken'>['details']>['slots']>, NearestSlot[]>>();
is<Same<NonNullable<NonNullable<Refusal<'too_many_holds'>['details']>['holds']>, Hold[]>>();
is<Same<Refusal<'slot_not_found'>['details'], undefined>>();

// The refusals of an operation are those of its responses in the contract.
is<Same<Extract<OperationRefusal<'cancelAppointment'>, { rule: 'slot_full' }>, never>>();
is<Same<Extract<OperationRefusal<'createAppointment'>, { rule: 'slot_full' }>, Refusal<'slot_full'>>>();
is<Same<OperationRefusal<'getLiveness'>['rule'], 'method_not_allowed' | 'internal_error' | Unknown>>();

/** A switch with a case for each known refusal of the operation compiles. */
export function exhaustive(refusal: OperationRefusal<'getLiveness'>): string {
  switch (refusal.rule) {
    case 'method_not_allowed':
    case 'internal_error':
      return refusal.message;
    default:
      is<Same<typeof refusal, UnknownRefusal>>();
      return (refusal satisfies UnknownRefusal).message;
  }
}

/** A switch without a case for a rule, for example a new one, does not compile. */
export function missing(refusal: OperationRefusal<'getLiveness'>): string {
  switch (refusal.rule) {
    case 'method_not_allowed':
      return refusal.message;
    default:
      // @ts-expect-error internal_error has no case
      return (refusal satisfies UnknownRefusal).message;
  }
}

/** A switch over another extensible enum is exhaustive in the same way. */
export function label(status: DirectionStatus): string {
  switch (status) {
    case 'NotBooked':
    case 'Booked':
    case 'Expired':
    case 'Completed':
    case 'Cancelled':
      return status;
    default:
      is<Same<typeof status, Unknown>>();
      return status; // a string at run time
  }
}

/** An unknown value is not accepted as a known one. */
export function unknown(status: DirectionStatus): Known<DirectionStatus> {
  // @ts-expect-error the service can be newer
  return status;
}

/** A comparison with a value that the contract does not have does not compile. */
export function misspelt(status: DirectionStatus): boolean {
  // @ts-expect-error no such status
  return status === 'Canceled';
}

/** `isKnownRule` excludes unknown rules. Only known ones always have a mender. */
export function menders(rule: Rule): void {
  is<Same<(typeof MENDERS)['slot_full'], Known<Mender>>>();
  const mender = MENDERS[rule];
  is<Same<typeof mender, Known<Mender> | undefined>>();
  if (!isKnownRule(rule)) return is<Same<typeof rule, Unknown>>();
  const known = MENDERS[rule];
  is<Same<typeof known, Known<Mender>>>();
}

/** A comparison with a rule that the operation cannot return does not compile. */
export function superfluous(refusal: OperationRefusal<'getLiveness'>): boolean {
  // @ts-expect-error the operation never returns this rule
  return refusal.rule === 'slot_full';
}

/** `code` and `type` narrow the union, too: the refusals of invalid requests and unknown ones remain. */
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
      | 'appointment_attended'
      | 'idempotency_key_reused'
      | Unknown
    >
  >();
}

/** A comparison with a `code` narrows the union in both branches. */
export function narrowedByCode(refusal: OperationRefusal<'getLiveness'>): void {
  if (refusal.code === 500) return is<Same<typeof refusal.rule, 'internal_error' | Unknown>>();
  is<Same<typeof refusal.rule, 'method_not_allowed' | Unknown>>();
}

export async function calls(): Promise<void> {
  const talon = createTalon({ baseUrl: '' });
  const path = { appointmentGuid: '', directionGuid: '' };

  const outcome = await cancelAppointment(talon, { path }, { idempotencyKey: 'mine' });
  if (outcome.ok) is<Same<typeof outcome.data.code, number>>();
  else is<Same<typeof outcome.refusal, OperationRefusal<'cancelAppointment'>>>();
  // @ts-expect-error only a successful outcome has data
  outcome.data;
  // @ts-expect-error the operation accepts no Idempotency-Key
  await listDirections(talon, {}, { idempotencyKey: 'mine' });
  // @ts-expect-error a booking needs a body
  await createAppointment(talon, {});
  const booking = { DirectionGuid: '', DirectionType: '', LpuFromGuid: '', LpuToGuid: '' };
  // @ts-expect-error the contract has no such field
  await createAppointment(talon, { body: { ...booking, Slot: 1 } });
  // @ts-expect-error getCodToken accepts no Idempotency-Key
  await getCodToken(talon, {}, { idempotencyKey: 'mine' });

  for await (const direction of items(listDirections, talon, { query: { limit: 10, status: ['Booked'] } }))
    is<Same<typeof direction, PatientDirection>>();
  for await (const slot of items(listDirectionSlots, talon, { path, query: { explain: true } }))
    is<Same<typeof slot, Slot>>();
  // @ts-expect-error the guid of the referral is missing
  items(listDirectionSlots, talon, {});
  // @ts-expect-error the contract has no such parameter
  items(listDirections, talon, { query: { page: 2 } });
}
