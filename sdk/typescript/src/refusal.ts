import type { ExistingAppointment, Hold, NearestSlot, Rule } from './gen/types.gen.js';
import type { OperationRules, RuleAnswers } from './gen/rules.gen.js';

/** The ways out that a refusal can show; all other rules show none. */
interface WaysOut {
  direction_already_booked: { appointment?: ExistingAppointment };
  speciality_already_booked: { appointment?: ExistingAppointment };
  slot_full: { slots?: NearestSlot[] };
  slot_taken: { slots?: NearestSlot[] };
  too_many_holds: { holds?: Hold[] };
}

/**
 * What Talon answers where it does not do what was asked: a union over the rules, told apart by `rule`.
 * A `switch (refusal.rule)` is exhaustive, and `code` and `type` narrow it, too.
 */
export type Refusal<R extends Rule = Rule> = {
  [Name in R]: {
    /** Which rule refuses. Branch on this. */
    rule: Name;
    /** What to tell the patient, in Russian. */
    message: string;
    /** The HTTP status. */
    code: RuleAnswers[Name]['code'];
    /** The documented code (Код сообщения). */
    message_code: RuleAnswers[Name]['message_code'];
    /** The documented type (Тип ошибки). */
    type: RuleAnswers[Name]['type'];
    /** The id of the request in the service's log: quote it when you report a problem. */
    request_id: string;
    /** The way out, where the service knows one. */
    details?: Name extends keyof WaysOut ? WaysOut[Name] : never;
  };
}[R];

/** The name of an operation of the contract. */
export type Operation = keyof OperationRules;

/** The refusals that an operation can answer: `OperationRefusal<'createAppointment'>`. */
export type OperationRefusal<O extends Operation = Operation> = Refusal<OperationRules[O]>;

/**
 * Ends an exhaustive `switch`. The compiler refuses the call where a rule has no case. At run time it gives the refusal back, because a service that is
 * newer than this package may answer a rule that neither knows: its `message` is for the patient all the same.
 */
export function unforeseen(refusal: never): Pick<Refusal, 'message' | 'request_id'> & { rule: string } {
  return refusal;
}
