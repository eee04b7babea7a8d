// Written by npm run gen from openapi.yaml.
import type { Known } from '../unknown.js';
import type { Mender, Rule } from './types.gen.js';

/** The version of the contract and of this package. */
export const VERSION = '2.0.0';

/** The rules whose refusals are temporary: the same request can succeed later. */
export const RETRYABLE: readonly string[] = [
  'slot_beyond_horizon',
  'speciality_already_booked',
  'mip_auth_url_unreachable',
  'idempotency_key_in_use',
  'too_many_holds',
  'too_many_imports',
  'attendance_early',
  'too_many_attempts',
  'too_many_requests',
  'database_unavailable',
  'mip_unavailable',
  'keys_unavailable',
  'overloaded',
  'not_ready',
];

/**
 * Who can fix the cause of each rule's refusal: the fallback of a switch that has no case for it. It
 * is undefined for an unknown rule.
 */
export const MENDERS: Readonly<Record<Known<Rule>, Known<Mender>> & Record<string, Known<Mender> | undefined>> = {
  token_missing: 'client',
  token_invalid: 'client',
  token_expired: 'client',
  token_signature_invalid: 'client',
  scope_missing: 'client',
  institution_foreign: 'client',
  body_too_large: 'client',
  media_type_unsupported: 'client',
  body_malformed: 'client',
  field_invalid: 'client',
  direction_type_unsupported: 'client',
  direction_not_found: 'referring_doctor',
  direction_not_patients: 'client',
  direction_lpu_mismatch: 'patient',
  direction_already_booked: 'patient',
  direction_expired: 'referring_doctor',
  slot_not_found: 'client',
  slot_resource_not_found: 'patient',
  schedule_stale: 'registry',
  slot_not_for_reception: 'patient',
  slot_unavailable: 'patient',
  slot_time_passed: 'patient',
  slot_beyond_horizon: 'patient',
  slot_access_denied: 'registry',
  slot_full: 'patient',
  resource_kind_mismatch: 'patient',
  speciality_mismatch: 'patient',
  slot_adults_only: 'patient',
  slot_children_only: 'patient',
  slot_infants_only: 'patient',
  slot_disabled_only: 'patient',
  slot_pregnant_only: 'patient',
  slot_healthy_children_only: 'patient',
  speciality_already_booked: 'patient',
  mkab_closed: 'registry',
  mkab_absent: 'registry',
  mip_auth_url_empty: 'service',
  mip_auth_url_unreachable: 'service',
  mip_person_not_found: 'registry',
  mip_person_data_missing: 'registry',
  mkab_policy_number_empty: 'registry',
  mkab_sex_empty: 'registry',
  mkab_surname_empty: 'registry',
  mkab_name_empty: 'registry',
  mkab_lpu_not_found: 'service',
  mkab_policy_link_failed: 'service',
  slot_taken: 'patient',
  complex_slot_failed: 'patient',
  appointment_not_created: 'service',
  appointment_not_found: 'service',
  appointment_not_linked: 'service',
  idempotency_key_reused: 'client',
  idempotency_key_in_use: 'client',
  direction_absent: 'client',
  lpu_absent: 'client',
  appointment_absent: 'client',
  appointment_started: 'registry',
  appointment_cancelled: 'patient',
  appointment_attended: 'registry',
  too_many_holds: 'patient',
  resource_absent: 'client',
  slot_absent: 'client',
  absence_absent: 'client',
  object_absent: 'client',
  object_in_use: 'client',
  import_absent: 'client',
  events_expired: 'client',
  webhook_absent: 'client',
  too_many_webhooks: 'client',
  too_many_imports: 'client',
  version_stale: 'client',
  version_conflict: 'client',
  cell_overlap: 'client',
  cell_foreign: 'client',
  cell_booked: 'client',
  object_booked: 'client',
  mkab_open: 'client',
  guid_foreign: 'client',
  appointment_not_active: 'client',
  appointment_version_mismatch: 'client',
  attendance_early: 'client',
  attendance_final: 'client',
  client_unauthenticated: 'client',
  grant_type_unsupported: 'client',
  scope_invalid: 'client',
  patient_not_identified: 'patient',
  too_many_attempts: 'patient',
  route_not_found: 'client',
  method_not_allowed: 'client',
  too_many_requests: 'client',
  internal_error: 'service',
  database_unavailable: 'service',
  mip_unavailable: 'service',
  keys_unavailable: 'service',
  overloaded: 'service',
  not_ready: 'service',
};

/** The fixed values of each rule's responses. */
export interface RuleAnswers {
  token_missing: { code: 403; message_code: '5010'; type: 'Error' };
  token_invalid: { code: 403; message_code: '5008'; type: 'Error' };
  token_expired: { code: 403; message_code: '5007'; type: 'Error' };
  token_signature_invalid: { code: 403; message_code: '5009'; type: 'Error' };
  scope_missing: { code: 403; message_code: '4031'; type: 'Error' };
  institution_foreign: { code: 403; message_code: '4032'; type: 'Error' };
  body_too_large: { code: 413; message_code: '4130'; type: 'Validation' };
  media_type_unsupported: { code: 415; message_code: '4150'; type: 'Validation' };
  body_malformed: { code: 400; message_code: '4000'; type: 'Validation' };
  field_invalid: { code: 400; message_code: '4000'; type: 'Validation' };
  direction_type_unsupported: { code: 400; message_code: '4000'; type: 'Validation' };
  direction_not_found: { code: 400; message_code: '4000'; type: 'Validation' };
  direction_not_patients: { code: 400; message_code: '4000'; type: 'Validation' };
  direction_lpu_mismatch: { code: 400; message_code: '4000'; type: 'Validation' };
  direction_already_booked: { code: 400; message_code: '4000'; type: 'Validation' };
  direction_expired: { code: 400; message_code: '4003'; type: 'Validation' };
  slot_not_found: { code: 400; message_code: '4000'; type: 'Validation' };
  slot_resource_not_found: { code: 400; message_code: '4000'; type: 'Validation' };
  schedule_stale: { code: 400; message_code: '4000'; type: 'Validation' };
  slot_not_for_reception: { code: 400; message_code: '4000'; type: 'Validation' };
  slot_unavailable: { code: 400; message_code: '4000'; type: 'Validation' };
  slot_time_passed: { code: 400; message_code: '4000'; type: 'Validation' };
  slot_beyond_horizon: { code: 400; message_code: '4002'; type: 'Validation' };
  slot_access_denied: { code: 400; message_code: '4000'; type: 'Validation' };
  slot_full: { code: 400; message_code: '4000'; type: 'Validation' };
  resource_kind_mismatch: { code: 400; message_code: '4000'; type: 'Validation' };
  speciality_mismatch: { code: 400; message_code: '4000'; type: 'Validation' };
  slot_adults_only: { code: 400; message_code: '4029'; type: 'Validation' };
  slot_children_only: { code: 400; message_code: '4029'; type: 'Validation' };
  slot_infants_only: { code: 400; message_code: '4029'; type: 'Validation' };
  slot_disabled_only: { code: 400; message_code: '4000'; type: 'Validation' };
  slot_pregnant_only: { code: 400; message_code: '4000'; type: 'Validation' };
  slot_healthy_children_only: { code: 400; message_code: '4000'; type: 'Validation' };
  speciality_already_booked: { code: 400; message_code: '4008'; type: 'Validation' };
  mkab_closed: { code: 403; message_code: '5096'; type: 'Error' };
  mkab_absent: { code: 404; message_code: '4001'; type: 'Error' };
  mip_auth_url_empty: { code: 500; message_code: '5000'; type: 'Error' };
  mip_auth_url_unreachable: { code: 500; message_code: '5000'; type: 'Error' };
  mip_person_not_found: { code: 500; message_code: '5000'; type: 'Error' };
  mip_person_data_missing: { code: 500; message_code: '5000'; type: 'Error' };
  mkab_policy_number_empty: { code: 500; message_code: '5000'; type: 'Error' };
  mkab_sex_empty: { code: 500; message_code: '5000'; type: 'Error' };
  mkab_surname_empty: { code: 500; message_code: '5000'; type: 'Error' };
  mkab_name_empty: { code: 500; message_code: '5000'; type: 'Error' };
  mkab_lpu_not_found: { code: 500; message_code: '5000'; type: 'Error' };
  mkab_policy_link_failed: { code: 500; message_code: '5000'; type: 'Error' };
  slot_taken: { code: 400; message_code: '4009'; type: 'Validation' };
  complex_slot_failed: { code: 500; message_code: '5000'; type: 'Error' };
  appointment_not_created: { code: 500; message_code: '5000'; type: 'Error' };
  appointment_not_found: { code: 500; message_code: '5000'; type: 'Error' };
  appointment_not_linked: { code: 500; message_code: '5000'; type: 'Error' };
  idempotency_key_reused: { code: 422; message_code: '4220'; type: 'Validation' };
  idempotency_key_in_use: { code: 409; message_code: '4090'; type: 'Error' };
  direction_absent: { code: 404; message_code: '4041'; type: 'Error' };
  lpu_absent: { code: 404; message_code: '4043'; type: 'Error' };
  appointment_absent: { code: 404; message_code: '4042'; type: 'Error' };
  appointment_started: { code: 400; message_code: '4000'; type: 'Validation' };
  appointment_cancelled: { code: 400; message_code: '4000'; type: 'Validation' };
  appointment_attended: { code: 400; message_code: '4000'; type: 'Validation' };
  too_many_holds: { code: 409; message_code: '4091'; type: 'Validation' };
  resource_absent: { code: 404; message_code: '4044'; type: 'Error' };
  slot_absent: { code: 404; message_code: '4045'; type: 'Error' };
  absence_absent: { code: 404; message_code: '4046'; type: 'Error' };
  object_absent: { code: 404; message_code: '4047'; type: 'Error' };
  object_in_use: { code: 409; message_code: '4096'; type: 'Validation' };
  import_absent: { code: 404; message_code: '4048'; type: 'Error' };
  events_expired: { code: 410; message_code: '4101'; type: 'Error' };
  webhook_absent: { code: 404; message_code: '4049'; type: 'Error' };
  too_many_webhooks: { code: 409; message_code: '4106'; type: 'Error' };
  too_many_imports: { code: 409; message_code: '4100'; type: 'Error' };
  version_stale: { code: 409; message_code: '4092'; type: 'Validation' };
  version_conflict: { code: 409; message_code: '4093'; type: 'Validation' };
  cell_overlap: { code: 400; message_code: '4006'; type: 'Validation' };
  cell_foreign: { code: 409; message_code: '4094'; type: 'Validation' };
  cell_booked: { code: 409; message_code: '4095'; type: 'Validation' };
  object_booked: { code: 409; message_code: '4097'; type: 'Validation' };
  mkab_open: { code: 409; message_code: '4098'; type: 'Validation' };
  guid_foreign: { code: 409; message_code: '4099'; type: 'Validation' };
  appointment_not_active: { code: 409; message_code: '4102'; type: 'Validation' };
  appointment_version_mismatch: { code: 409; message_code: '4103'; type: 'Validation' };
  attendance_early: { code: 409; message_code: '4104'; type: 'Validation' };
  attendance_final: { code: 409; message_code: '4105'; type: 'Validation' };
  client_unauthenticated: { code: 403; message_code: '5403'; type: 'Error' };
  grant_type_unsupported: { code: 400; message_code: '4004'; type: 'Validation' };
  scope_invalid: { code: 400; message_code: '4005'; type: 'Validation' };
  patient_not_identified: { code: 403; message_code: '4030'; type: 'Error' };
  too_many_attempts: { code: 429; message_code: '4290'; type: 'Error' };
  route_not_found: { code: 404; message_code: '4040'; type: 'Error' };
  method_not_allowed: { code: 405; message_code: '4050'; type: 'Error' };
  too_many_requests: { code: 429; message_code: '4290'; type: 'Error' };
  internal_error: { code: 500; message_code: '5000'; type: 'Error' };
  database_unavailable: { code: 503; message_code: '5030'; type: 'Error' };
  mip_unavailable: { code: 503; message_code: '5030'; type: 'Error' };
  keys_unavailable: { code: 503; message_code: '5030'; type: 'Error' };
  overloaded: { code: 503; message_code: '5030'; type: 'Error' };
  not_ready: { code: 503; message_code: '5030'; type: 'Error' };
}

/** The rules that can reject each operation. */
export interface OperationRules {
  listDirections:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'field_invalid'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getDirection:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'field_invalid'
    | 'direction_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getDirectionByNumber:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'field_invalid'
    | 'direction_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listAppointments:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'field_invalid'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  createAppointment:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'direction_type_unsupported'
    | 'direction_not_found'
    | 'direction_not_patients'
    | 'direction_lpu_mismatch'
    | 'direction_already_booked'
    | 'direction_expired'
    | 'slot_not_found'
    | 'slot_resource_not_found'
    | 'schedule_stale'
    | 'slot_not_for_reception'
    | 'slot_unavailable'
    | 'slot_time_passed'
    | 'slot_beyond_horizon'
    | 'slot_access_denied'
    | 'slot_full'
    | 'resource_kind_mismatch'
    | 'speciality_mismatch'
    | 'slot_adults_only'
    | 'slot_children_only'
    | 'slot_infants_only'
    | 'slot_disabled_only'
    | 'slot_pregnant_only'
    | 'slot_healthy_children_only'
    | 'speciality_already_booked'
    | 'mkab_closed'
    | 'mkab_absent'
    | 'mip_auth_url_empty'
    | 'mip_auth_url_unreachable'
    | 'mip_person_not_found'
    | 'mip_person_data_missing'
    | 'mkab_policy_number_empty'
    | 'mkab_sex_empty'
    | 'mkab_surname_empty'
    | 'mkab_name_empty'
    | 'mkab_lpu_not_found'
    | 'mkab_policy_link_failed'
    | 'slot_taken'
    | 'complex_slot_failed'
    | 'appointment_not_created'
    | 'appointment_not_found'
    | 'appointment_not_linked'
    | 'idempotency_key_reused'
    | 'idempotency_key_in_use'
    | 'route_not_found'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'mip_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  checkAppointment:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'mip_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listRules:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'field_invalid'
    | 'lpu_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getAppointment:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'field_invalid'
    | 'appointment_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  cancelAppointment:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'idempotency_key_reused'
    | 'idempotency_key_in_use'
    | 'appointment_absent'
    | 'appointment_started'
    | 'appointment_attended'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listDirectionSlots:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'field_invalid'
    | 'direction_absent'
    | 'appointment_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listDirectionInstitutions:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'field_invalid'
    | 'direction_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  moveAppointment:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'direction_not_found'
    | 'direction_lpu_mismatch'
    | 'direction_expired'
    | 'slot_not_found'
    | 'slot_resource_not_found'
    | 'schedule_stale'
    | 'slot_not_for_reception'
    | 'slot_unavailable'
    | 'slot_time_passed'
    | 'slot_beyond_horizon'
    | 'slot_access_denied'
    | 'slot_full'
    | 'resource_kind_mismatch'
    | 'speciality_mismatch'
    | 'slot_adults_only'
    | 'slot_children_only'
    | 'slot_infants_only'
    | 'slot_disabled_only'
    | 'slot_pregnant_only'
    | 'slot_healthy_children_only'
    | 'speciality_already_booked'
    | 'mkab_closed'
    | 'mkab_absent'
    | 'mip_auth_url_empty'
    | 'mip_auth_url_unreachable'
    | 'mip_person_not_found'
    | 'mip_person_data_missing'
    | 'mkab_policy_number_empty'
    | 'mkab_sex_empty'
    | 'mkab_surname_empty'
    | 'mkab_name_empty'
    | 'mkab_lpu_not_found'
    | 'mkab_policy_link_failed'
    | 'slot_taken'
    | 'complex_slot_failed'
    | 'appointment_not_created'
    | 'appointment_not_found'
    | 'appointment_not_linked'
    | 'idempotency_key_reused'
    | 'idempotency_key_in_use'
    | 'appointment_absent'
    | 'appointment_started'
    | 'appointment_cancelled'
    | 'appointment_attended'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'mip_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  holdSlot:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'direction_type_unsupported'
    | 'direction_not_found'
    | 'direction_not_patients'
    | 'direction_lpu_mismatch'
    | 'direction_already_booked'
    | 'direction_expired'
    | 'slot_not_found'
    | 'slot_resource_not_found'
    | 'schedule_stale'
    | 'slot_not_for_reception'
    | 'slot_unavailable'
    | 'slot_time_passed'
    | 'slot_beyond_horizon'
    | 'slot_access_denied'
    | 'slot_full'
    | 'resource_kind_mismatch'
    | 'speciality_mismatch'
    | 'slot_adults_only'
    | 'slot_children_only'
    | 'slot_infants_only'
    | 'slot_disabled_only'
    | 'slot_pregnant_only'
    | 'slot_healthy_children_only'
    | 'speciality_already_booked'
    | 'mkab_closed'
    | 'mkab_absent'
    | 'mkab_lpu_not_found'
    | 'slot_taken'
    | 'complex_slot_failed'
    | 'appointment_absent'
    | 'appointment_started'
    | 'appointment_cancelled'
    | 'appointment_attended'
    | 'too_many_holds'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  releaseSlot:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'field_invalid'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getCodToken:
    | 'field_invalid'
    | 'client_unauthenticated'
    | 'patient_not_identified'
    | 'too_many_attempts'
    | 'route_not_found'
    | 'method_not_allowed'
    | 'internal_error'
    | 'database_unavailable'
    | 'overloaded';
  getSystemToken:
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'client_unauthenticated'
    | 'grant_type_unsupported'
    | 'scope_invalid'
    | 'route_not_found'
    | 'method_not_allowed'
    | 'internal_error'
    | 'database_unavailable'
    | 'overloaded';
  getKeys:
    | 'route_not_found'
    | 'method_not_allowed'
    | 'internal_error';
  putRegionSettings:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getRegionSettings:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putLegalEntity:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getLegalEntity:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'object_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  deleteLegalEntity:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'object_in_use'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putClientRights:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'object_absent'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getClientRights:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'object_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putClientSettings:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'object_absent'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getClientSettings:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'object_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getLpu:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'lpu_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putLpu:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  deleteLpu:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'object_in_use'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putLpuSettings:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'lpu_absent'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getLpuSettings:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'lpu_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listResources:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'lpu_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putResource:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'lpu_absent'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getResource:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'resource_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  deleteResource:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'lpu_absent'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listSources:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'lpu_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listWork:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'lpu_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putSchedule:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'resource_absent'
    | 'version_stale'
    | 'version_conflict'
    | 'cell_overlap'
    | 'cell_foreign'
    | 'cell_booked'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getSchedule:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'resource_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  addAbsence:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'resource_absent'
    | 'version_conflict'
    | 'cell_booked'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listAbsences:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'resource_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  liftAbsence:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'absence_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  patchSlot:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'slot_absent'
    | 'version_stale'
    | 'version_conflict'
    | 'cell_foreign'
    | 'cell_booked'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putCard:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'lpu_absent'
    | 'version_stale'
    | 'version_conflict'
    | 'mkab_open'
    | 'guid_foreign'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getCard:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'object_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  mergeCard:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'object_absent'
    | 'version_stale'
    | 'version_conflict'
    | 'guid_foreign'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putCase:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getCase:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'object_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  deleteCase:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putReferral:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'version_stale'
    | 'version_conflict'
    | 'object_booked'
    | 'guid_foreign'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getReferral:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'object_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  withdrawReferral:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'version_stale'
    | 'version_conflict'
    | 'object_booked'
    | 'guid_foreign'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putPerson:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getPerson:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'object_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  deletePerson:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'version_stale'
    | 'version_conflict'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  createImport:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'too_many_imports'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getImport:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'import_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  cancelImport:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'import_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listImportErrors:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'import_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listEvents:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'lpu_absent'
    | 'events_expired'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listAudit:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'method_not_allowed'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  exportAudit:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'method_not_allowed'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listWebhooks:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putWebhook:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'lpu_absent'
    | 'webhook_absent'
    | 'too_many_webhooks'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getWebhook:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'webhook_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  deleteWebhook:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listWebhookKeys:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'webhook_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  addWebhookKey:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'webhook_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listDeliveries:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'webhook_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  redeliver:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'webhook_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listVisits:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'lpu_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  bookVisit:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'direction_type_unsupported'
    | 'direction_not_found'
    | 'direction_not_patients'
    | 'direction_lpu_mismatch'
    | 'direction_already_booked'
    | 'direction_expired'
    | 'slot_not_found'
    | 'slot_resource_not_found'
    | 'schedule_stale'
    | 'slot_not_for_reception'
    | 'slot_unavailable'
    | 'slot_time_passed'
    | 'slot_beyond_horizon'
    | 'slot_access_denied'
    | 'slot_full'
    | 'resource_kind_mismatch'
    | 'speciality_mismatch'
    | 'slot_adults_only'
    | 'slot_children_only'
    | 'slot_infants_only'
    | 'slot_disabled_only'
    | 'slot_pregnant_only'
    | 'slot_healthy_children_only'
    | 'speciality_already_booked'
    | 'mkab_closed'
    | 'mkab_absent'
    | 'mip_auth_url_empty'
    | 'mip_auth_url_unreachable'
    | 'mip_person_not_found'
    | 'mip_person_data_missing'
    | 'mkab_policy_number_empty'
    | 'mkab_sex_empty'
    | 'mkab_surname_empty'
    | 'mkab_name_empty'
    | 'mkab_lpu_not_found'
    | 'mkab_policy_link_failed'
    | 'slot_taken'
    | 'complex_slot_failed'
    | 'appointment_not_created'
    | 'appointment_not_found'
    | 'appointment_not_linked'
    | 'idempotency_key_reused'
    | 'idempotency_key_in_use'
    | 'route_not_found'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'mip_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  getVisit:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'field_invalid'
    | 'appointment_absent'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putReceipt:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'appointment_absent'
    | 'appointment_not_active'
    | 'appointment_version_mismatch'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putAttendance:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'direction_already_booked'
    | 'speciality_already_booked'
    | 'appointment_absent'
    | 'appointment_not_active'
    | 'attendance_early'
    | 'attendance_final'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putCancellation:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'appointment_absent'
    | 'appointment_attended'
    | 'appointment_not_active'
    | 'attendance_final'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  putVisitSlot:
    | 'token_missing'
    | 'token_invalid'
    | 'token_expired'
    | 'token_signature_invalid'
    | 'scope_missing'
    | 'institution_foreign'
    | 'body_too_large'
    | 'media_type_unsupported'
    | 'body_malformed'
    | 'field_invalid'
    | 'direction_not_found'
    | 'direction_lpu_mismatch'
    | 'direction_expired'
    | 'slot_not_found'
    | 'slot_resource_not_found'
    | 'schedule_stale'
    | 'slot_not_for_reception'
    | 'slot_unavailable'
    | 'slot_time_passed'
    | 'slot_beyond_horizon'
    | 'slot_access_denied'
    | 'slot_full'
    | 'resource_kind_mismatch'
    | 'speciality_mismatch'
    | 'slot_adults_only'
    | 'slot_children_only'
    | 'slot_infants_only'
    | 'slot_disabled_only'
    | 'slot_pregnant_only'
    | 'slot_healthy_children_only'
    | 'speciality_already_booked'
    | 'mkab_closed'
    | 'mkab_absent'
    | 'mip_auth_url_empty'
    | 'mip_auth_url_unreachable'
    | 'mip_person_not_found'
    | 'mip_person_data_missing'
    | 'mkab_policy_number_empty'
    | 'mkab_sex_empty'
    | 'mkab_surname_empty'
    | 'mkab_name_empty'
    | 'mkab_lpu_not_found'
    | 'mkab_policy_link_failed'
    | 'slot_taken'
    | 'complex_slot_failed'
    | 'appointment_not_created'
    | 'appointment_not_found'
    | 'appointment_not_linked'
    | 'appointment_absent'
    | 'appointment_started'
    | 'appointment_attended'
    | 'appointment_not_active'
    | 'appointment_version_mismatch'
    | 'method_not_allowed'
    | 'too_many_requests'
    | 'internal_error'
    | 'database_unavailable'
    | 'mip_unavailable'
    | 'keys_unavailable'
    | 'overloaded';
  listScenarios:
    | 'route_not_found'
    | 'method_not_allowed'
    | 'internal_error';
  resetSandbox:
    | 'route_not_found'
    | 'method_not_allowed'
    | 'internal_error'
    | 'database_unavailable'
    | 'overloaded';
  getLiveness:
    | 'method_not_allowed'
    | 'internal_error';
  getReadiness:
    | 'method_not_allowed'
    | 'internal_error'
    | 'not_ready';
}
