import type { OperationRules, RuleAnswers } from './gen/rules.gen.js';
import type { ExistingAppointment, FieldProblem, Hold, NearestSlot, Rule } from './gen/types.gen.js';

/** The details of each rule that has some: they show what the patient can do next. */
interface RuleDetails {
  direction_already_booked: { appointment?: NonNullable<ExistingAppointment> };
  speciality_already_booked: { appointment?: NonNullable<ExistingAppointment> };
  slot_full: { slots?: NearestSlot[] };
  slot_taken: { slots?: NearestSlot[] };
  too_many_holds: { holds?: Hold[] };
  field_invalid: { fields?: FieldProblem[] };
}

/**
 * The body of a response that rejects a request: a union over the rules, discriminated by `rule`.
 * The compiler checks that a `switch (refusal.rule)` is exhaustive. `code` and `type` narrow the
 * union, too.
 */
export type Refusal<R extends Rule = Rule> = {
  [Name in R]: {
    /** The rule that rejected the request. Branch on this. */
    rule: Name;
    /** The message for the patient, in Russian. */
    message: string;
    /** The title of the rule in English, if the `Accept-Language` of the call prefers English. */
    title?: string;
    /** The HTTP status. */
    code: RuleAnswers[Name]['code'];
    /** The documented code (Код сообщения). */
    message_code: RuleAnswers[Name]['message_code'];
    /** The documented type (Тип ошибки). */
    type: RuleAnswers[Name]['type'];
    /** The id of the request in the service's log. Quote it when you report a problem. */
    request_id: string;
    /** What the patient can do next, where the service knows it. */
    details?: Name extends keyof RuleDetails ? RuleDetails[Name] : never;
  };
}[R];

/** The name of an operation of the contract. */
export type Operation = keyof OperationRules;

/** The refusals that an operation can return: `OperationRefusal<'createAppointment'>`. */
export type OperationRefusal<O extends Operation = Operation> = Refusal<OperationRules[O]>;

/**
 * Ends an exhaustive `switch`: the call does not compile while a rule has no case. At run time it
 * returns the refusal, because a service newer than this package can return an unknown rule. Show
 * its `message` to the patient.
 */
export function unforeseen(refusal: never): Pick<Refusal, 'message' | 'request_id'> & { rule: string } {
  return refusal;
}
