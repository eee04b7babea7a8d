import { unforeseen } from 'talon-sdk';
import type { ExistingAppointment, Hold, NearestSlot, Refusal } from 'talon-sdk';

/** What a patient can do about a refusal. */
export type WayOut = { advice: string } & (
  | { kind: 'appointment'; appointment?: ExistingAppointment } // look at the one that stands in the way, move or cancel it
  | { kind: 'cells'; nearest: NearestSlot[] } // take another cell, one of the nearest at once
  | { kind: 'holds'; holds: Hold[] } // give a held cell back
  | { kind: 'referrals' } // go by another referral
  | { kind: 'appointments' } // see what has become of the visits
  | { kind: 'person' } // speak to somebody: nothing on this page helps
  | { kind: 'signIn' }
  | { kind: 'again' } // the same may succeed later
  | { kind: 'reload' } // this page and the service do not fit together
);

/** The way out of a refusal. A rule that has none here does not compile. */
export function wayOut(refusal: Pick<Refusal, 'rule' | 'details'>): WayOut {
  const because = refusal as Refusal;
  switch (because.rule) {
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
        appointment: because.details?.appointment,
        advice: 'Откройте эту запись: её можно перенести или отменить.',
      };
    case 'speciality_already_booked':
      return {
        kind: 'appointment',
        appointment: because.details?.appointment,
        advice: 'Чтобы записаться на другое время, перенесите или отмените ту запись.',
      };

    case 'slot_full':
    case 'slot_taken': {
      const nearest = because.details?.slots ?? [];
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
        holds: because.details?.holds ?? [],
        advice: 'Освободите одно из мест, которые удерживаются за вами.',
      };

    case 'direction_not_found':
    case 'direction_expired':
      return { kind: 'person', advice: 'Нужно новое направление: обратитесь к врачу, который направил вас.' };
    case 'direction_lpu_mismatch':
      return {
        kind: 'person',
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
        kind: 'person',
        advice: 'Возьмите с собой паспорт, полис и СНИЛС. После этого вернитесь сюда и запишитесь.',
      };
    case 'mip_person_not_found':
    case 'mip_person_data_missing':
    case 'mkab_policy_number_empty':
    case 'mkab_sex_empty':
    case 'mkab_surname_empty':
    case 'mkab_name_empty':
      return {
        kind: 'person',
        advice: 'В ваших данных чего-то не хватает. Обратитесь в регистратуру: там их исправят.',
      };
    case 'mip_auth_url_empty':
    case 'mkab_lpu_not_found':
    case 'mkab_policy_link_failed':
      return {
        kind: 'person',
        advice: 'Запись не создана. Это неполадка сервиса: обратитесь в регистратуру и назовите номер обращения.',
      };

    case 'appointment_started':
      return { kind: 'person', advice: 'Обратитесь в регистратуру.' };
    case 'appointment_cancelled':
      return { kind: 'referrals', advice: 'Запишитесь по направлению заново.' };
    case 'appointment_absent':
      return { kind: 'appointments', advice: 'Посмотрите свои записи.' };

    case 'appointment_not_created':
    case 'appointment_not_found':
    case 'appointment_not_linked':
    case 'internal_error':
      return {
        kind: 'again',
        advice: 'Ничего не потеряно: повторите. Если не поможет, обратитесь в регистратуру и назовите номер обращения.',
      };
    case 'mip_auth_url_unreachable':
    case 'idempotency_key_in_use':
    case 'too_many_attempts':
    case 'database_unavailable':
    case 'mip_unavailable':
    case 'keys_unavailable':
    case 'overloaded':
    case 'not_ready':
      return { kind: 'again', advice: 'Ничего не потеряно: подождите немного и повторите.' };

    case 'body_too_large':
    case 'media_type_unsupported':
    case 'body_malformed':
    case 'field_invalid':
    case 'idempotency_key_reused':
    case 'route_not_found':
    case 'method_not_allowed':
      return {
        kind: 'reload',
        advice: 'Обновите страницу. Если не поможет, обратитесь в регистратуру и назовите номер обращения.',
      };
  }
  unforeseen(because);
  return {
    kind: 'reload',
    advice: 'Обновите страницу. Если не поможет, обратитесь в регистратуру и назовите номер обращения.',
  };
}
