import { MENDERS } from './gen/rules.gen.js';
import type { OperationRules, RuleAnswers } from './gen/rules.gen.js';
import type { CellConflict, Error, ExistingAppointment, FieldProblem, Hold, NearestSlot, Rule } from './gen/types.gen.js';
import type { Known, Unknown } from './unknown.js';

/** The details of each rule that has some: they show what the patient can do next. */
interface RuleDetails {
  direction_already_booked: { appointment?: NonNullable<ExistingAppointment> };
  object_booked: { appointment?: NonNullable<ExistingAppointment> };
  speciality_already_booked: { appointment?: NonNullable<ExistingAppointment> };
  slot_full: { slots?: NearestSlot[] };
  slot_taken: { slots?: NearestSlot[] };
  too_many_holds: { holds?: Hold[] };
  field_invalid: { fields?: FieldProblem[] };
  cell_booked: { conflicts?: CellConflict[] };
}

/**
 * The body of a response that rejects a request: a union over the rules, discriminated by `rule`.
 * The compiler checks that a `switch (refusal.rule)` is exhaustive. `code` and `type` narrow the
 * union, too.
 */
export type Refusal<R extends Rule = Rule> = R extends Known<Rule> ? KnownRefusal<R> : UnknownRefusal;

interface KnownRefusal<R extends Known<Rule>> {
  /** The rule that rejected the request. Branch on this. */
  rule: R;
  /** The message for the patient, in Russian. */
  message: string;
  /** The title of the rule in English, if the `Accept-Language` of the call prefers English. */
  title?: string;
  /** The HTTP status. */
  code: RuleAnswers[R]['code'];
  /** The documented code (Код сообщения). */
  message_code: RuleAnswers[R]['message_code'];
  /** The documented type (Тип ошибки). */
  type: RuleAnswers[R]['type'];
  /** The id of the request in the service's log. Quote it when you report a problem. */
  request_id: string;
  /** What the patient can do next, where the service knows it. */
  details?: R extends keyof RuleDetails ? RuleDetails[R] : never;
}

/**
 * The refusal by a rule that this version of the package does not know, because the service is
 * newer. Show its `message` to the patient. In the `default` of a `switch` over the rules,
 * `refusal satisfies UnknownRefusal` does not compile while a known rule has no case.
 */
export interface UnknownRefusal extends Omit<Error, 'rule' | 'code' | 'message_code'> {
  /** The rule that rejected the request. */
  rule: Unknown;
  /** The HTTP status. */
  code: RuleAnswers[Known<Rule>]['code'] | UnknownStatus;
  /** The documented code (Код сообщения). */
  message_code: RuleAnswers[Known<Rule>]['message_code'] | Unknown;
}

/** A status that no known rule has. `number` would absorb the known ones, and narrow nothing. */
declare enum UnknownStatus {
  Value = 0,
}

/** The name of an operation of the contract. */
export type Operation = keyof OperationRules;

/** The refusals that an operation can return: `OperationRefusal<'createAppointment'>`. */
export type OperationRefusal<O extends Operation = Operation> = Refusal<OperationRules[O] | Unknown>;

/** Returns whether this version of the package knows the rule. */
export function isKnownRule(rule: string): rule is Known<Rule> {
  return Object.hasOwn(MENDERS, rule);
}
