import { MENDERS } from 'talon-sdk';
import type { ExistingAppointment, Hold, Mender, NearestSlot, Refusal } from 'talon-sdk';
import { t } from './language.js';

/** What the patient can do next after a refusal. */
export type Remedy = { advice: string } & (
  | { kind: 'appointment'; appointment?: NonNullable<ExistingAppointment> } // open, move or cancel the existing visit
  | { kind: 'cells'; nearest: NearestSlot[] } // choose another cell; the nearest ones are offered
  | { kind: 'holds'; holds: Hold[] } // release a held cell
  | { kind: 'referrals' } // choose another referral
  | { kind: 'appointments' } // check the list of visits
  | { kind: 'staff' } // contact the clinic: this page cannot help
  | { kind: 'signIn' }
  | { kind: 'retry' } // the same request can succeed later
  | { kind: 'reload' } // the page and the service have different versions
);

/**
 * Returns the remedy of a refusal. A rule without a case, such as one that is newer than this page,
 * has the remedy of those who can fix its cause.
 */
export function remedyFor(refusal: Pick<Refusal, 'rule' | 'details'>): Remedy {
  const refused = refusal as Refusal;
  switch (refused.rule) {
    case 'token_missing':
    case 'token_invalid':
    case 'token_expired':
    case 'token_signature_invalid':
    case 'client_unauthenticated':
    case 'patient_not_identified':
      return { kind: 'signIn', advice: t.advice.signIn };

    case 'direction_already_booked':
      return {
        kind: 'appointment',
        appointment: refused.details?.appointment,
        advice: t.advice.openVisit,
      };
    case 'speciality_already_booked':
      return {
        kind: 'appointment',
        appointment: refused.details?.appointment,
        advice: t.advice.changeVisit,
      };

    case 'slot_full':
    case 'slot_taken': {
      const nearest = refused.details?.slots ?? [];
      const advice = nearest.length > 0 ? t.advice.nearest : t.advice.noneNear;
      return { kind: 'cells', nearest, advice };
    }
    case 'slot_not_found':
    case 'slot_resource_not_found':
    case 'slot_not_for_reception':
    case 'slot_unavailable':
    case 'slot_time_passed':
    case 'complex_slot_failed':
      return { kind: 'cells', nearest: [], advice: t.advice.otherTime };
    case 'schedule_stale':
      return { kind: 'cells', nearest: [], advice: t.advice.staleSchedule };
    case 'slot_beyond_horizon':
      return {
        kind: 'cells',
        nearest: [],
        advice: t.advice.earlierDay,
      };
    case 'slot_access_denied':
      return {
        kind: 'cells',
        nearest: [],
        advice: t.advice.registryTime,
      };
    case 'resource_kind_mismatch':
    case 'speciality_mismatch':
      return { kind: 'cells', nearest: [], advice: t.advice.otherDoctor };
    case 'slot_adults_only':
    case 'slot_children_only':
    case 'slot_infants_only':
    case 'slot_disabled_only':
    case 'slot_pregnant_only':
    case 'slot_healthy_children_only':
      return { kind: 'cells', nearest: [], advice: t.advice.unrestricted };

    case 'too_many_holds':
      return {
        kind: 'holds',
        holds: refused.details?.holds ?? [],
        advice: t.advice.releaseHold,
      };

    case 'direction_lpu_mismatch':
      return {
        kind: 'staff',
        advice: t.advice.registryBooks,
      };
    case 'direction_type_unsupported':
    case 'direction_not_patients':
    case 'direction_absent':
    case 'lpu_absent':
      return { kind: 'referrals', advice: t.advice.toReferrals };

    case 'mkab_closed':
    case 'mkab_absent':
      return {
        kind: 'staff',
        advice: t.advice.documents,
      };
    case 'mip_person_not_found':
    case 'mip_person_data_missing':
    case 'mkab_policy_number_empty':
    case 'mkab_sex_empty':
    case 'mkab_surname_empty':
    case 'mkab_name_empty':
      return {
        kind: 'staff',
        advice: t.advice.incompleteData,
      };
    case 'mip_auth_url_empty':
    case 'mkab_lpu_not_found':
    case 'mkab_policy_link_failed':
      return {
        kind: 'staff',
        advice: t.advice.serviceFault,
      };

    case 'appointment_cancelled':
      return { kind: 'referrals', advice: t.advice.bookAgain };
    case 'appointment_absent':
      return { kind: 'appointments', advice: t.advice.checkVisits };

    case 'appointment_not_created':
    case 'appointment_not_found':
    case 'appointment_not_linked':
    case 'internal_error':
      return {
        kind: 'retry',
        advice: t.advice.retryOrAsk,
      };
    case 'idempotency_key_in_use':
    case 'too_many_attempts':
    case 'too_many_requests':
      return { kind: 'retry', advice: t.advice.waitAndRetry };

    default:
      return byMender(MENDERS[refused.rule]);
  }
}

/** Returns the remedy for those who can fix the cause. It is undefined for an unknown rule. */
function byMender(mender: Mender | undefined): Remedy {
  switch (mender) {
    case 'patient':
      return { kind: 'referrals', advice: t.advice.otherReferral };
    case 'registry':
      return { kind: 'staff', advice: t.advice.registry };
    case 'referring_doctor':
      return { kind: 'staff', advice: t.advice.newReferral };
    case 'service':
      return { kind: 'retry', advice: t.advice.waitAndRetry };
    default:
      return {
        kind: 'reload',
        advice: t.advice.reload,
      };
  }
}
