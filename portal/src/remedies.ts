import { MENDERS } from 'talon-sdk';
import type { ExistingAppointment, Hold, Mender, NearestSlot, Refusal } from 'talon-sdk';

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
      return { kind: 'signIn', advice: 'Войдите снова, чтобы продолжить.' };

    case 'direction_already_booked':
      return {
        kind: 'appointment',
        appointment: refused.details?.appointment,
        advice: 'Откройте эту запись: её можно перенести или отменить.',
      };
    case 'speciality_already_booked':
      return {
        kind: 'appointment',
        appointment: refused.details?.appointment,
        advice: 'Чтобы записаться на другое время, перенесите или отмените ту запись.',
      };

    case 'slot_full':
    case 'slot_taken': {
      const nearest = refused.details?.slots ?? [];
      const advice =
        nearest.length > 0
          ? 'Вот ближайшее свободное время.'
          : 'Рядом свободного времени нет. Выберите другой день или другого врача.';
      return { kind: 'cells', nearest, advice };
    }
    case 'slot_not_found':
    case 'slot_resource_not_found':
    case 'slot_not_for_reception':
    case 'slot_unavailable':
    case 'slot_time_passed':
    case 'complex_slot_failed':
      return { kind: 'cells', nearest: [], advice: 'Выберите другое время.' };
    case 'slot_beyond_horizon':
      return {
        kind: 'cells',
        nearest: [],
        advice: 'Выберите более ранний день или вернитесь, когда запись откроется.',
      };
    case 'slot_access_denied':
      return {
        kind: 'cells',
        nearest: [],
        advice: 'На это время записывает регистратура. Обратитесь туда или выберите другое время.',
      };
    case 'resource_kind_mismatch':
    case 'speciality_mismatch':
      return { kind: 'cells', nearest: [], advice: 'Выберите другого врача.' };
    case 'slot_adults_only':
    case 'slot_children_only':
    case 'slot_infants_only':
    case 'slot_disabled_only':
    case 'slot_pregnant_only':
    case 'slot_healthy_children_only':
      return { kind: 'cells', nearest: [], advice: 'Выберите время без этого ограничения.' };

    case 'too_many_holds':
      return {
        kind: 'holds',
        holds: refused.details?.holds ?? [],
        advice: 'Освободите одно из мест, которые удерживаются за вами.',
      };

    case 'direction_lpu_mismatch':
      return {
        kind: 'staff',
        advice: 'По этому направлению записывает регистратура: обратитесь туда или к врачу, который направил вас.',
      };
    case 'direction_type_unsupported':
    case 'direction_not_patients':
    case 'direction_absent':
    case 'lpu_absent':
      return { kind: 'referrals', advice: 'Вернитесь к своим направлениям.' };

    case 'mkab_closed':
    case 'mkab_absent':
      return {
        kind: 'staff',
        advice: 'Возьмите с собой паспорт, полис и СНИЛС. После этого вернитесь сюда и запишитесь.',
      };
    case 'mip_person_not_found':
    case 'mip_person_data_missing':
    case 'mkab_policy_number_empty':
    case 'mkab_sex_empty':
    case 'mkab_surname_empty':
    case 'mkab_name_empty':
      return {
        kind: 'staff',
        advice: 'В ваших данных чего-то не хватает. Обратитесь в регистратуру: там их исправят.',
      };
    case 'mip_auth_url_empty':
    case 'mkab_lpu_not_found':
    case 'mkab_policy_link_failed':
      return {
        kind: 'staff',
        advice: 'Запись не создана. Это неполадка сервиса: обратитесь в регистратуру и назовите номер обращения.',
      };

    case 'appointment_cancelled':
      return { kind: 'referrals', advice: 'Запишитесь по направлению заново.' };
    case 'appointment_absent':
      return { kind: 'appointments', advice: 'Посмотрите свои записи.' };

    case 'appointment_not_created':
    case 'appointment_not_found':
    case 'appointment_not_linked':
    case 'internal_error':
      return {
        kind: 'retry',
        advice: 'Ничего не потеряно: повторите. Если не поможет, обратитесь в регистратуру и назовите номер обращения.',
      };
    case 'idempotency_key_in_use':
    case 'too_many_attempts':
      return { kind: 'retry', advice: 'Ничего не потеряно: подождите немного и повторите.' };

    default:
      return byMender(MENDERS[refused.rule]);
  }
}

/** Returns the remedy for those who can fix the cause. It is undefined for an unknown rule. */
function byMender(mender: Mender | undefined): Remedy {
  switch (mender) {
    case 'patient':
      return { kind: 'referrals', advice: 'Вернитесь к своим направлениям и выберите другое.' };
    case 'registry':
      return { kind: 'staff', advice: 'Обратитесь в регистратуру.' };
    case 'referring_doctor':
      return { kind: 'staff', advice: 'Нужно новое направление: обратитесь к врачу, который направил вас.' };
    case 'service':
      return { kind: 'retry', advice: 'Ничего не потеряно: подождите немного и повторите.' };
    default:
      return {
        kind: 'reload',
        advice: 'Обновите страницу. Если не поможет, обратитесь в регистратуру и назовите номер обращения.',
      };
  }
}
