// Written by npm run gen from openapi.yaml.
import { call } from '../call.js';
import type { CallOptions, KeyedCallOptions, Outcome, Talon } from '../call.js';
import * as sdk from './sdk.gen.js';
import type * as types from './types.gen.js';

/**
 * List the patient's referrals (Получение направлений пациента)
 *
 * Returns the patient's referrals in all institutions, newest first by the time of writing.
 * Only originals are listed: the copy that booking creates in the target institution is the
 * same referral.
 *
 * To book by a referral, send its `holderLpuGuid` as `LpuFromGuid`.
 *
 * | `status` | condition (the first that applies) |
 * |---|---|
 * | `Completed` | Its appointment has ended, or the institution says that it took place. Also after a no-show, from the end of the visit on, unless the setting `NoShowReturnsReferral` has returned the referral. |
 * | `Booked` | It has an appointment. |
 * | `Cancelled` | The institution has withdrawn it. It cannot be booked. One with an appointment stays `Booked` until that is cancelled or ends. |
 * | `Expired` | The day of `dateEnd` is over in the holding institution's zone. Booking fails with `direction_expired` if the setting `DirectionExpires` is on in the target institution. Otherwise it is possible. |
 * | `NotBooked` | None of the above. |
 *
 * **Pages.** For the next page, repeat the request with `next` as `cursor` and the same
 * filters. Each referral is listed once, even if others are written meanwhile.
 */
export const listDirections = (
  talon: Talon,
  request: Pick<types.ListDirectionsData, 'query'> = {},
  options?: CallOptions,
): Promise<Outcome<types.ListDirectionsResponse, 'listDirections'>> => call(talon, sdk.listDirections, 'safe', request, options);

/**
 * Get a referral by its guid (Получение направления)
 *
 * Returns the patient's referral with this guid, as an item of `GET /directions`. Fails with `direction_absent` if it does not exist or belongs to another patient.
 */
export const getDirection = (
  talon: Talon,
  request: Pick<types.GetDirectionData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetDirectionResponse, 'getDirection'>> => call(talon, sdk.getDirection, 'safe', request, options);

/**
 * Get a referral by its number (Получение направления по номеру)
 *
 * Returns the patient's referral with this printed number, as an item of `GET /directions`. If there are several, it returns the newest. Fails with `direction_absent` if it does not exist or belongs to another patient. Percent-encode all characters except letters and digits: `12/7` is `12%2F7`.
 */
export const getDirectionByNumber = (
  talon: Talon,
  request: Pick<types.GetDirectionByNumberData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetDirectionByNumberResponse, 'getDirectionByNumber'>> => call(talon, sdk.getDirectionByNumber, 'safe', request, options);

/**
 * List the patient's appointments (Получение записей на прием пациента)
 *
 * Returns the patient's appointments booked through this service, in all institutions, also
 * cancelled ones. The latest start comes first.
 *
 * | `status` | condition (the first that applies) |
 * |---|---|
 * | `Cancelled` | It was cancelled. `cancellation` has the time and the reason. |
 * | `Completed` | The visit has ended, or the institution says that it took place or that the patient did not come. |
 * | `Booked` | None of the above. |
 *
 * **After a timeout.** If a booking timed out or its response was lost, request
 * `?directionGuid=…&status=Booked`. One item: the visit was booked. No item: it was not, or
 * the booking is still running (at most 10 seconds by default). Booking again is always safe:
 * if the first booking succeeded, the second fails with `direction_already_booked`.
 *
 * **Changes.** Send your newest `updateTime` as `updatedSince` to list what was booked, moved
 * or cancelled since, or what the institution says became of it. The end of a visit does not
 * change `updateTime`.
 *
 * **Pages.** For the next page, repeat the request with `next` as `cursor` and the same
 * filters. Each appointment is listed once, even if others are booked meanwhile.
 */
export const listAppointments = (
  talon: Talon,
  request: Pick<types.ListAppointmentsData, 'query'> = {},
  options?: CallOptions,
): Promise<Outcome<types.ListAppointmentsResponse, 'listAppointments'>> => call(talon, sdk.listAppointments, 'safe', request, options);

/**
 * Book an appointment by referral (Создание записи на прием по направлению)
 *
 * Books an appointment. Checks the rules in the order of `GET /rules` (the schema `Rule` has
 * the list) and fails with the first one that is not met: the token, the request, the referral
 * (направление), the cell (ячейка) and its resource, the referral against the resource, the
 * patient against the cell's restriction, one active appointment per speciality, the medical
 * card (МКАБ) in the target institution, and at last the write, in one transaction.
 *
 * **Cell.** Without `OutOfSchedule: true`, `SlotId` or `SlotGuid` is required, and
 * `DocPrvdGuid` and `Date` are not read. With it, `DocPrvdGuid` and `Date` are required, and
 * `SlotId` and `SlotGuid` are not read. If `SlotId` is given, `SlotGuid` is not read. An
 * optional field that is `null` counts as absent.
 *
 * **One appointment per speciality** (`speciality_already_booked`) applies to consultations
 * only and covers all institutions. A setting of the region controls it (on by default).
 *
 * **Settings.** `scheduleDays` of the client application, else of the target institution, else
 * of the region, limits how many days ahead a visit may begin (`slot_beyond_horizon`; default:
 * no limit). `DirectionExpires` of the target institution, else of the region, decides whether
 * a referral is rejected after its `dateEnd` (`direction_expired`; default: no). `GET /rules`
 * returns which rules are on.
 *
 * **Idempotency.** A booking with an `Idempotency-Key` is made once. If the response was lost,
 * repeat the request with the same key and body: it returns the first response with
 * `Idempotency-Replayed: true`. A key belongs to one patient and client application, and is
 * kept for 24 hours.
 *
 * - With another body, operation or appointment, the request fails with 422
 *   `idempotency_key_reused`.
 * - While the first request is running, the request fails with 409 `idempotency_key_in_use`.
 *   If that request died, the key is free again after the request deadline (10 seconds by
 *   default) plus 2 seconds.
 * - Rejections and failures are not stored: the key can be used again.
 *
 * **Effects.** A rejected or failed booking changes nothing, except that a medical card
 * created for it remains. A booking that returned 200 is stored durably.
 */
export const createAppointment = (
  talon: Talon,
  request: Pick<types.CreateAppointmentData, 'body'>,
  options?: KeyedCallOptions,
): Promise<Outcome<types.CreateAppointmentResponse, 'createAppointment'>> => call(talon, sdk.createAppointment, 'keyed', request, options);

/**
 * Check a booking without making it (Проверка возможности записи)
 *
 * Accepts the body of `POST /appointments` and returns a result for **every** booking rule, in
 * the order of the checks. Each rule is evaluated independently. Nothing is written, not even
 * a medical card (МКАБ).
 *
 * `allowed` is true if no rule has failed: the same booking at the same moment would succeed.
 * Otherwise it would fail with the first rule whose result is `failed`, and with its
 * `message`. The check reserves nothing: another client may take the cell before you book it.
 *
 * | `result` | meaning |
 * |---|---|
 * | `passed` | The rule is met, or does not apply (a rule about the cell, for a visit out of schedule). |
 * | `failed` | The rule is broken. `message` is for the patient, `field` is the field to look at, `mender` is who can fix the cause. |
 * | `not_evaluated` | An earlier rule has failed and this one lacks data, or only the write decides it (`slot_taken`, `appointment_not_created`, …). |
 *
 * If the referral belongs to another patient, `direction_not_patients` fails and nothing else
 * of the referral is disclosed. The rules that need it are `not_evaluated`.
 *
 * **Master patient index (МИП).** The check queries the index if the patient has no card and
 * booking may create one. If the index rejects the person, the result of that rule is
 * `failed`. If the index is unavailable, the check fails with 503 `mip_unavailable`, unless a
 * rule that booking checks before the index has failed.
 *
 * A request that breaks this contract or has no valid token fails with an error, as in
 * booking.
 */
export const checkAppointment = (
  talon: Talon,
  request: Pick<types.CheckAppointmentData, 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.CheckAppointmentResponse, 'checkAppointment'>> => call(talon, sdk.checkAppointment, 'unsafe', request, options);

/**
 * List the rules (Справочник правил)
 *
 * Returns every rule in the order of the checks, from the table that the service itself uses.
 * An entry has the rule's response (`status`, `messageCode`, `type`, and `message` with
 * placeholders in braces), its group, the field of the booking body that it concerns, and who
 * can fix the cause. The booking rules end with the group `write`.
 *
 * **`retryable`** is true if the same request may succeed later without any change. It is true
 * for:
 *
 * - every 503, and `too_many_attempts` (see `Retry-After`);
 * - `mip_auth_url_unreachable`;
 * - `speciality_already_booked`, when the earlier visit is over;
 * - `slot_beyond_horizon`, when the day is near enough;
 * - `idempotency_key_in_use`, when the request that uses the key has ended;
 * - `too_many_holds`, when one of the holds has ended.
 *
 * If it is false, repeating the request does not help.
 *
 * **`enabled`** is false if a setting switches the rule off. Such a rule never applies.
 * `setting` names the setting. The value of the client application in the token applies, else
 * that of the institution (ЛПУ), else that of the region. Not every setting exists on all
 * three levels. For example, if `2dr_RecordWithoutMkab` is on, booking creates a missing
 * medical card (МКАБ), and `mkab_absent` is off. If the setting is off, the group `mip` is
 * off. Without `lpuGuid` the response is for the region: a rule is on if it is on in any
 * institution. The group `identity` is on if the authorisation service is enabled.
 *
 * The list has no pages.
 */
export const listRules = (
  talon: Talon,
  request: Pick<types.ListRulesData, 'query'> = {},
  options?: CallOptions,
): Promise<Outcome<types.ListRulesResponse, 'listRules'>> => call(talon, sdk.listRules, 'safe', request, options);

/**
 * Get an appointment (Получение записи на прием)
 *
 * Returns the patient's appointment with this guid, as an item of `GET /appointments`. Fails
 * with `appointment_absent` if it does not exist or belongs to another patient.
 *
 * `ETag` changes with every field of the response. Send it as `If-None-Match`: the response is
 * 304 if nothing has changed.
 */
export const getAppointment = (
  talon: Talon,
  request: Pick<types.GetAppointmentData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetAppointmentResponse, 'getAppointment'>> => call(talon, sdk.getAppointment, 'safe', request, options);

/**
 * Cancel an appointment (Отмена записи на прием)
 *
 * Cancels the patient's appointment. One transaction frees its cells, its referral and its
 * speciality for other bookings.
 *
 * **Until the visit begins.** Later requests fail with `appointment_started`, unless the
 * setting `DeleteOldTime` of the institution, else of the region, is `true` (default: off). A
 * visit for a day without a time can be cancelled until that day is over.
 *
 * **Repetition.** Cancelling a cancelled appointment returns the same response and changes
 * nothing: the first reason remains. So you can repeat a request whose response was lost. With
 * an `Idempotency-Key`, as in booking, the repetition has `Idempotency-Replayed: true`.
 *
 * **Other patients.** Another patient's appointment fails with `appointment_absent`, like one
 * that does not exist.
 *
 * **Reason.** The body is optional. An empty body counts as absent. `Reason` is required and
 * stored if `ReasonCode` is 6. Otherwise it is not read.
 */
export const cancelAppointment = (
  talon: Talon,
  request: Pick<types.CancelAppointmentData, 'path' | 'body'>,
  options?: KeyedCallOptions,
): Promise<Outcome<types.CancelAppointmentResponse, 'cancelAppointment'>> => call(talon, sdk.cancelAppointment, 'keyed', request, options);

/**
 * List free cells for a referral (Свободные ячейки для направления)
 *
 * Returns the cells that the patient can book now with this referral through the client
 * application in the token, in the order of their start. Each cell complies with the rules of
 * `POST /appointments`. Booking it succeeds unless another patient takes it first or a missing
 * card cannot be created (see below).
 *
 * **Booking.** Send `directionGuid`, `directionType` and `holderLpuGuid` as `DirectionGuid`,
 * `DirectionType` and `LpuFromGuid`. Send the cell's `lpu.guid` as `LpuToGuid`, its `id` as
 * `SlotId` (or its `guid` as `SlotGuid`), and the `difficulty` of the search as `Difficulty`.
 *
 * **Institutions.** If the referral names an institution (`lpuTo`), every institution of the
 * same legal entity (юр. лицо) may serve it. `lpuGuid` limits the search to one of them, and
 * is required if there are more than 50. If the referral names none, any institution may serve
 * it, and `lpuGuid` is required. `GET /directions/{directionGuid}/institutions` lists those
 * that have cells. An unknown institution, or one that may not serve the referral, fails with
 * `field_invalid`.
 *
 * **Resources.** For a consultation, those of the referral's speciality. For an examination,
 * all.
 *
 * **Period.** From `dateFrom` (default: now) to the end of `dateTo`, at most 14 days, which is
 * also the default. Days are in the zone of each institution. If no returned cell can be
 * booked and no page follows, `nextAvailable` is the start of the first bookable cell after
 * the period, up to 90 days later.
 *
 * **`blockedBy`** is the rule that rejects every cell alike. Possible causes: the referral is
 * booked, withdrawn or expired; the patient has an active appointment in the speciality; the
 * patient has no card (МКАБ) or a closed one in each institution; the client has no rights;
 * or, with `resourceGuid`, the resource cannot serve the referral. Institutions without a
 * future cell for the referral count only if none has one. If an institution rejects the
 * patient and another does not, only cells of the other are listed. If the rules differ, that
 * of the institution named in the referral is preferred.
 *
 * **`explain=true`** also returns the cells that cannot be booked, each with the `rule` that
 * its booking would fail with. With `resourceGuid` it covers any resource, also of another
 * speciality. Such a search counts as ten requests (`RateLimit`).
 *
 * **Moves.** `appointmentGuid` is a visit booked with this referral. The response then has the
 * cells that `POST /appointments/{appointmentGuid}/move` can move the visit to, as if it had
 * been cancelled before. Its referral, its speciality and its own places in cells do not block
 * it: the new cells may overlap its own. Its current position is not listed, because that move
 * changes nothing. To move, send the cell's `lpu.guid` as `LpuToGuid`, its `id` as `SlotId`,
 * and the `difficulty` of the search as `Difficulty`. If the visit can no longer be moved, no
 * cell is free, and `blockedBy` is `appointment_cancelled` or `appointment_started`. A visit
 * of another patient or another referral fails with `appointment_absent`.
 *
 * **Card creation.** The search does not query the master patient index. If booking has to
 * create the card, it may still fail with a rule of the index (`mip_…`, `mkab_…_empty`).
 */
export const listDirectionSlots = (
  talon: Talon,
  request: Pick<types.ListDirectionSlotsData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ListDirectionSlotsResponse, 'listDirectionSlots'>> => call(talon, sdk.listDirectionSlots, 'safe', request, options);

/**
 * List the institutions that serve a referral (Медицинские организации для направления)
 *
 * Returns the institutions that have future cells for the patient's referral, each with the
 * first free time. Send `lpu.guid` of one as `lpuGuid` to
 * `GET /directions/{directionGuid}/slots`.
 *
 * If the referral names an institution (`lpuTo`), these are institutions of the same legal
 * entity (юр. лицо), else of the whole region.
 *
 * **`nextAvailable`** is the start of the first cell that the patient can book there within the
 * next 104 days, by the rules of the search. **`blockedBy`** is the rule that rejects every cell
 * of the institution, as in the search: for example, the referral is booked already, or the
 * patient's card there is closed.
 *
 * **Pages.** The order is that of the guids, so that it is stable; sort by `nextAvailable` to
 * show the soonest. For the next page, repeat the request with `next` as `cursor`. A page may
 * have fewer items than `limit`, even none, although another page follows: continue until
 * `next` is `null`.
 */
export const listDirectionInstitutions = (
  talon: Talon,
  request: Pick<types.ListDirectionInstitutionsData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ListDirectionInstitutionsResponse, 'listDirectionInstitutions'>> => call(talon, sdk.listDirectionInstitutions, 'safe', request, options);

/**
 * Move an appointment to another cell (Перенос записи на прием)
 *
 * Moves the patient's appointment to another cell for the same referral, in one transaction.
 * If the move fails, the visit is unchanged. The appointment keeps its guid and the time of
 * its booking, also in another institution.
 *
 * **Rules.** Those of booking, in the same order, as if the visit had been cancelled before:
 * its own places in cells, referral and speciality do not block it.
 *
 * **Target.** `GET /directions/{directionGuid}/slots` with `appointmentGuid` returns the
 * possible cells.
 *
 * **Fields.** `SlotId` or `SlotGuid` is required. `SlotId` takes precedence. Institution,
 * number of cells, comment and urgency stay unchanged if not given.
 *
 * **Same cells.** A move to the cells that the visit already has, with the same comment and
 * urgency, changes nothing and returns 200, whatever the booking rules. So you can repeat a
 * move whose response was lost.
 *
 * **Idempotency.** With an `Idempotency-Key`, as in booking, a repetition returns the first
 * response and moves nothing, even if the visit was moved again or cancelled meanwhile.
 * Without a key, a late repetition moves the visit back.
 *
 * **Until the visit begins,** as for a cancellation. Later requests fail with
 * `appointment_started`. A cancelled appointment fails with `appointment_cancelled`, another
 * patient's with `appointment_absent`.
 */
export const moveAppointment = (
  talon: Talon,
  request: Pick<types.MoveAppointmentData, 'path' | 'body'>,
  options?: KeyedCallOptions,
): Promise<Outcome<types.MoveAppointmentResponse, 'moveAppointment'>> => call(talon, sdk.moveAppointment, 'keyed', request, options);

/**
 * Hold a cell for a few minutes (Удержание ячейки)
 *
 * Holds a cell for the patient while the booking is prepared. Until `heldUntil` its place is
 * taken for all other patients, in bookings, moves, checks and searches. The patient books the
 * cell, or moves a visit to it, as if it were not held.
 *
 * **Rules.** Those of booking, in the same order: a cell can be held only if it could be
 * booked now, with this referral through this client application. The master patient index
 * (МИП) is not queried: a card that booking would create counts as created. With several cells
 * (`Difficulty`), all are held or none.
 *
 * **Moves.** `AppointmentGuid` is a visit booked with this referral. The rules are then those
 * of `POST /appointments/{appointmentGuid}/move`: a cell can be held only if the visit could
 * be moved to it now. The cells may overlap the visit's own. The move ends the hold.
 *
 * **End.** A hold ends at `heldUntil`, with `DELETE`, or when the patient books or moves to
 * any of its cells, with any referral and client application. It ends as a whole. A hold does
 * not guarantee the booking: a later change, such as a closed card, can still cause a
 * rejection.
 *
 * **Repetition.** If the patient has a hold that begins with the same cell, it is returned
 * unchanged with its `heldUntil`, whatever else the body contains. So you can repeat a request
 * whose response was lost, but not extend a hold. To hold more cells, release the hold first.
 *
 * **Limit.** A patient can have at most two holds, over all institutions. A third one fails
 * with `too_many_holds`, and `details.holds` lists the two. A place that the patient holds in
 * another hold counts as taken.
 *
 * Within 15 minutes, 32 cells of one resource can be held for a patient, and 64 through one
 * client application, also in holds that have ended. A hold of more fails with
 * `too_many_requests` until `Retry-After` has passed. Booking remains possible.
 */
export const holdSlot = (
  talon: Talon,
  request: Pick<types.HoldSlotData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.HoldSlotResponse, 'holdSlot'>> => call(talon, sdk.holdSlot, 'unsafe', request, options);

/**
 * Release a held cell (Снятие удержания ячейки)
 *
 * Ends the patient's hold that begins with this cell, as a whole. If the patient has no such hold, the response is the same and nothing changes. Holds of other patients are neither ended nor disclosed.
 */
export const releaseSlot = (
  talon: Talon,
  request: Pick<types.ReleaseSlotData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ReleaseSlotResponse, 'releaseSlot'>> => call(talon, sdk.releaseSlot, 'safe', request, options);

/**
 * Get a COD token for a patient (Получение токена ЦОД)
 *
 * Issues the token that the other operations need. Until the installation enables it, this
 * path fails with 404 `route_not_found`, like an unknown one.
 *
 * **Client application.** It authenticates by HTTP Basic with its guid and its secret. A
 * missing header, an unknown application and a wrong secret all fail with 403
 * `client_unauthenticated`.
 *
 * **Patient.** Give exactly one of these ways to identify the patient, with all its
 * parameters. The names of the parameters are the vendor's.
 *
 * | way | parameters |
 * |---|---|
 * | policy (полис) | `n_pol`, `Birthday`, and `s_pol` if the policy has a series |
 * | person in the master patient index (МИП) | `personguid` |
 * | medical card (МКАБ) | `mkab` |
 * | insurance number (СНИЛС) and names | `epgu=true`, `snils`, `f`, `n`, and `p` if the patient has a patronymic |
 *
 * `personguid` and `mkab` have no second factor. The client application guarantees that its
 * user is this patient, and must never accept these values from the user.
 *
 * **Card.** The patient must have an open medical card, in any institution, with all the given
 * data. No match, wrong data, a closed card and several persons all fail with 403
 * `patient_not_identified`.
 *
 * **Limits.** Failures are counted over all instances: 5 within 15 minutes for a patient (by
 * policy number, СНИЛС or guid) over all applications, and 100 within a minute for a client
 * application. After that every request, also one with the right data, fails with 429
 * `too_many_attempts` until `Retry-After` has passed. Successes are not limited.
 *
 * Proxies may log the query. This service never does.
 */
export const getCodToken = (
  talon: Talon,
  request: Pick<types.GetCodTokenData, 'query'> = {},
  options?: CallOptions,
): Promise<Outcome<types.GetCodTokenResponse, 'getCodToken'>> => call(talon, sdk.getCodToken, 'safe', request, options);

/**
 * Get a system token for a client application (Получение системного токена)
 *
 * Issues the token of a client application that acts for itself: the client credentials grant
 * of OAuth 2.0 (RFC 6749, 4.4). Until the installation enables it, this path fails with 404
 * `route_not_found`, like an unknown one.
 *
 * **Client application.** It authenticates in exactly one of these ways. An unknown or disabled
 * application and wrong credentials all fail with 403 `client_unauthenticated`.
 *
 * | way | how |
 * |---|---|
 * | secret | HTTP Basic with the guid and the secret, both form-encoded |
 * | secret | `client_id` and `client_secret` in the body |
 * | key (`private_key_jwt`, RFC 7523) | `client_assertion_type` and `client_assertion` in the body |
 *
 * **Assertion.** A JWT, signed with EdDSA, ES256, RS256 or PS256 by a key that the operator has
 * stored for the application. `iss` and `sub` are the application's guid. `aud` is the `iss` of
 * this installation's tokens, or the address of this operation if the operator has configured
 * it. `exp` is at most 5 minutes ahead. `jti`, of at most 255 bytes, is accepted once.
 *
 * **Scopes.** `scope` lists the scopes of the token, separated by spaces. Without it the token
 * has all that the application may have. A scope that it may not have fails with
 * `scope_invalid`.
 *
 * **Rights.** A request may do what both its token and its client application allow. If the
 * operator takes away a scope or an institution, tokens that name it lose it within a second.
 *
 * **Errors** also have the `error` of RFC 6749, for OAuth libraries. Rejected credentials fail
 * with 403, where the RFC has 401. Unknown fields are ignored, and fields without a value count
 * as absent, as the RFC requires. Parameters in the query are ignored.
 */
export const getSystemToken = (
  talon: Talon,
  request: Pick<types.GetSystemTokenData, 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.GetSystemTokenResponse, 'getSystemToken'>> => call(talon, sdk.getSystemToken, 'unsafe', request, options);

/**
 * Get the public keys of the tokens (Открытые ключи токенов)
 *
 * Returns the public key of the tokens that this service issues, as a JWK set (RFC 7517), so that other services can verify them. It may be cached. Until the installation enables the authorisation service, this path fails with 404 `route_not_found`, like an unknown one.
 */
export const getKeys = (
  talon: Talon,
  request: Record<never, never> = {},
  options?: CallOptions,
): Promise<Outcome<types.GetKeysResponse, 'getKeys'>> => call(talon, sdk.getKeys, 'safe', request, options);

/**
 * Write the settings of the region (Настройки)
 *
 * Replaces all settings of the region. A setting that is missing has the value of the next owner, or its default. The list of settings is in the documentation of the service. `Version` orders the writes of the source: an older one fails with `version_stale`, the same one with other content with `version_conflict`, and a repetition changes nothing.
 */
export const putRegionSettings = (
  talon: Talon,
  request: Pick<types.PutRegionSettingsData, 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutRegionSettingsResponse, 'putRegionSettings'>> => call(talon, sdk.putRegionSettings, 'unsafe', request, options);

/**
 * Get the settings of the region (Настройки)
 *
 * Returns the settings that the region has itself.
 */
export const getRegionSettings = (
  talon: Talon,
  request: Record<never, never> = {},
  options?: CallOptions,
): Promise<Outcome<types.GetRegionSettingsResponse, 'getRegionSettings'>> => call(talon, sdk.getRegionSettings, 'safe', request, options);

/**
 * Write a legal entity (Передача юр. лица)
 *
 * Creates or replaces a legal entity (юр. лицо). Only for systems of the region. `Version` orders the writes of the source: an older one fails with `version_stale`, the same one with other content with `version_conflict`, and a repetition changes nothing.
 */
export const putLegalEntity = (
  talon: Talon,
  request: Pick<types.PutLegalEntityData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutLegalEntityResponse, 'putLegalEntity'>> => call(talon, sdk.putLegalEntity, 'unsafe', request, options);

/**
 * Get a legal entity (Получение юр. лица)
 *
 * Returns a legal entity. Only for systems of the region.
 */
export const getLegalEntity = (
  talon: Talon,
  request: Pick<types.GetLegalEntityData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetLegalEntityResponse, 'getLegalEntity'>> => call(talon, sdk.getLegalEntity, 'safe', request, options);

/**
 * Delete a legal entity (Удаление юр. лица)
 *
 * Deletes a legal entity that has no institutions; otherwise the request fails with `object_in_use`. Deleting one that does not exist is recorded, so that a late write does not create it. Only for systems of the region.
 */
export const deleteLegalEntity = (
  talon: Talon,
  request: Pick<types.DeleteLegalEntityData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.DeleteLegalEntityResponse, 'deleteLegalEntity'>> => call(talon, sdk.deleteLegalEntity, 'safe', request, options);

/**
 * Write the rights of a client application (Права клиентского приложения)
 *
 * Sets which cells a client application may take for patients. `talon client` creates the application itself. Only for systems of the region. `Version` orders the writes of the source: an older one fails with `version_stale`, the same one with other content with `version_conflict`, and a repetition changes nothing.
 */
export const putClientRights = (
  talon: Talon,
  request: Pick<types.PutClientRightsData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutClientRightsResponse, 'putClientRights'>> => call(talon, sdk.putClientRights, 'unsafe', request, options);

/**
 * Get the rights of a client application (Права клиентского приложения)
 *
 * Returns which cells a client application may take for patients. Only for systems of the region.
 */
export const getClientRights = (
  talon: Talon,
  request: Pick<types.GetClientRightsData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetClientRightsResponse, 'getClientRights'>> => call(talon, sdk.getClientRights, 'safe', request, options);

/**
 * Write the settings of a client application (Настройки)
 *
 * Replaces all settings of a client application. A setting that is missing has the value of the next owner, or its default. The list of settings is in the documentation of the service. `Version` orders the writes of the source: an older one fails with `version_stale`, the same one with other content with `version_conflict`, and a repetition changes nothing.
 */
export const putClientSettings = (
  talon: Talon,
  request: Pick<types.PutClientSettingsData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutClientSettingsResponse, 'putClientSettings'>> => call(talon, sdk.putClientSettings, 'unsafe', request, options);

/**
 * Get the settings of a client application (Настройки)
 *
 * Returns the settings that a client application has itself.
 */
export const getClientSettings = (
  talon: Talon,
  request: Pick<types.GetClientSettingsData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetClientSettingsResponse, 'getClientSettings'>> => call(talon, sdk.getClientSettings, 'safe', request, options);

/**
 * Get an institution (Получение ЛПУ)
 *
 * Returns an institution (ЛПУ) of the caller. For a caller that is limited to some institutions, any other guid fails with `institution_foreign`, whether it exists or not.
 */
export const getLpu = (
  talon: Talon,
  request: Pick<types.GetLpuData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetLpuResponse, 'getLpu'>> => call(talon, sdk.getLpu, 'safe', request, options);

/**
 * Write an institution (Передача ЛПУ)
 *
 * Creates or replaces an institution (ЛПУ). `Version` orders the writes of the source: an older one fails with `version_stale`, the same one with other content with `version_conflict`, and a repetition changes nothing. The legal entity must exist. Every instance knows the change within a second.
 */
export const putLpu = (
  talon: Talon,
  request: Pick<types.PutLpuData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutLpuResponse, 'putLpu'>> => call(talon, sdk.putLpu, 'unsafe', request, options);

/**
 * Delete an institution (Удаление ЛПУ)
 *
 * Deletes an institution without resources (deleted ones count), cards and settings of its own; otherwise the request fails with `object_in_use`. Deleting an institution that does not exist is recorded, so that a late write does not create it.
 */
export const deleteLpu = (
  talon: Talon,
  request: Pick<types.DeleteLpuData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.DeleteLpuResponse, 'deleteLpu'>> => call(talon, sdk.deleteLpu, 'safe', request, options);

/**
 * Write the settings of an institution (Настройки)
 *
 * Replaces all settings of an institution. A setting that is missing has the value of the next owner, or its default. The list of settings is in the documentation of the service. `Version` orders the writes of the source: an older one fails with `version_stale`, the same one with other content with `version_conflict`, and a repetition changes nothing.
 */
export const putLpuSettings = (
  talon: Talon,
  request: Pick<types.PutLpuSettingsData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutLpuSettingsResponse, 'putLpuSettings'>> => call(talon, sdk.putLpuSettings, 'unsafe', request, options);

/**
 * Get the settings of an institution (Настройки)
 *
 * Returns the settings that an institution has itself.
 */
export const getLpuSettings = (
  talon: Talon,
  request: Pick<types.GetLpuSettingsData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetLpuSettingsResponse, 'getLpuSettings'>> => call(talon, sdk.getLpuSettings, 'safe', request, options);

/**
 * List the resources of an institution (Ресурсы ЛПУ)
 *
 * Returns the resources of an institution, in order of their guids, in the shape in which they were written. Resources that are not active are listed, deleted ones are not.
 */
export const listResources = (
  talon: Talon,
  request: Pick<types.ListResourcesData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ListResourcesResponse, 'listResources'>> => call(talon, sdk.listResources, 'safe', request, options);

/**
 * Write a resource (Передача ресурса)
 *
 * Creates or replaces a doctor, a cabinet or a piece of equipment (ресурс). `Version` orders the writes of the source: an older one fails with `version_stale`, the same one with other content with `version_conflict`, and a repetition changes nothing. A resource that is not active accepts no new visits; its visits stay.
 */
export const putResource = (
  talon: Talon,
  request: Pick<types.PutResourceData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutResourceResponse, 'putResource'>> => call(talon, sdk.putResource, 'unsafe', request, options);

/**
 * Get a resource (Получение ресурса)
 *
 * Returns a resource in the shape in which it was written.
 */
export const getResource = (
  talon: Talon,
  request: Pick<types.GetResourceData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetResourceResponse, 'getResource'>> => call(talon, sdk.getResource, 'safe', request, options);

/**
 * Delete a resource (Удаление ресурса)
 *
 * Makes a resource not active and removes it from the lists. Its visits stay. A later write with a higher version brings it back. Deleting a resource that does not exist is recorded, so that a late write does not create it.
 */
export const deleteResource = (
  talon: Talon,
  request: Pick<types.DeleteResourceData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.DeleteResourceResponse, 'deleteResource'>> => call(talon, sdk.deleteResource, 'safe', request, options);

/**
 * List the state of an institution's schedules (Состояние источников расписаний)
 *
 * Returns how fresh the schedules are that the institution's system has brought in, one item
 * per resource: the highest version that was applied, when a message last confirmed a part of
 * the schedule, and the last message that was rejected. Any applied schedule message confirms,
 * also one that changes nothing. An absence does not. `summary` is about all resources.
 *
 * A resource whose schedule no message has ever stated is not listed. With the setting
 * `ScheduleFreshHours` nobody can book in a schedule that was not confirmed for so many hours
 * (`schedule_stale`).
 */
export const listSources = (
  talon: Talon,
  request: Pick<types.ListSourcesData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ListSourcesResponse, 'listSources'>> => call(talon, sdk.listSources, 'safe', request, options);

/**
 * List the visits that the institution has to solve (Рабочий список)
 *
 * Returns the active visits that have not begun and cannot take place as they are booked, or
 * are not in the institution's books. The institution calls the patient, and cancels or moves
 * the visit. The list is computed from the visits and the schedule, so that a visit leaves it
 * as soon as it is cancelled, moved or accepted, the absence is lifted or the cell is offered
 * again.
 *
 * | `kind` | why |
 * |---|---|
 * | `resource_inactive` | The resource is not active any more. |
 * | `withdrawn` | A message has withdrawn the cell or moved it in time, and the visit keeps it. |
 * | `absence` | The resource is absent: its cell is closed, or a visit out of schedule (вне расписания) is within the absence. |
 * | `receipt_rejected` | The institution's system has rejected the visit (`putReceipt`). |
 * | `receipt_missing` | The visit has no receipt although it was booked or moved `ReceiptMinutes` ago. Only with that setting. |
 *
 * If several apply, `kind` is the first of them. A cell that has fewer places than before, or
 * that its source blocks, keeps its visits as they are, and is not in the list.
 */
export const listWork = (
  talon: Talon,
  request: Pick<types.ListWorkData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ListWorkResponse, 'listWork'>> => call(talon, sdk.listWork, 'safe', request, options);

/**
 * Replace a period of a resource's schedule (Передача окна расписания)
 *
 * States that the resource's cells that begin in `[from, to)` are exactly the given ones (окно
 * расписания). All of it is applied in one transaction, or nothing. Cells are compared by
 * `Guid`: new ones are added, others changed, missing ones withdrawn.
 *
 * **Order.** `Version` orders the messages of a source: a counter or a time. For each moment,
 * the message with the highest version that covers it decides, whatever the order in which the
 * messages arrive. So a message can be sent again, and a late one does no harm. Where a newer
 * message covers a part of the period, only the rest is applied (`superseded`). If newer ones
 * cover all of it, it fails with `version_stale`. The same version with other content for an
 * overlapping period fails with `version_conflict`. The same content changes nothing.
 *
 * **Visits.** A cell with visits is never deleted, and its capacity never becomes smaller than
 * what is taken or held. If such a cell is missing, has another time or fewer places, `OnBooked`
 * decides. `refuse`: the message fails with `cell_booked`, and `details.conflicts` lists the
 * visits. `keep`: a missing or moved cell is closed for new bookings and keeps its time and its
 * visits, a smaller one keeps the places that are taken, and `conflicts` lists them.
 * `displace`, which takes the visits away, is not supported yet: `field_invalid`. Visits that
 * have begun are no conflicts. Send the message again after the conflicts are solved.
 *
 * **Guids.** A guid names one cell. It may not belong to another resource, or to a cell outside
 * the period (`cell_foreign`).
 *
 * A period has at most 31 days and 2,000 cells.
 */
export const putSchedule = (
  talon: Talon,
  request: Pick<types.PutScheduleData, 'path' | 'query' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutScheduleResponse, 'putSchedule'>> => call(talon, sdk.putSchedule, 'unsafe', request, options);

/**
 * Get a period of a resource's schedule (Получение окна расписания)
 *
 * Returns the cells that begin in `[from, to)` with the fields in which they were sent, and
 * what has become of them: `taken`, and `closed` with the reasons. `windows` are the periods
 * with the version that decides each. A period has at most 31 days.
 */
export const getSchedule = (
  talon: Talon,
  request: Pick<types.GetScheduleData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.GetScheduleResponse, 'getSchedule'>> => call(talon, sdk.getSchedule, 'safe', request, options);

/**
 * Close a resource for a period (Отсутствие ресурса)
 *
 * Closes all cells of the resource that overlap the period and have not begun, also those that
 * are brought in later. The schedule itself stays: `DELETE` lifts the absence and opens the
 * cells again.
 *
 * **Visits.** With `OnBooked: refuse` the absence fails with `cell_booked` if there are visits
 * in these cells, and `details.conflicts` lists them. With `keep` the visits stay, and
 * `conflicts` lists them.
 *
 * **Repetition.** The same absence again changes nothing, also after it was lifted. The same
 * `AbsenceGuid` with other content fails with `version_conflict`. An absence has at most 366 days.
 */
export const addAbsence = (
  talon: Talon,
  request: Pick<types.AddAbsenceData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.AddAbsenceResponse, 'addAbsence'>> => call(talon, sdk.addAbsence, 'unsafe', request, options);

/**
 * List the absences of a resource (Отсутствия ресурса)
 *
 * Returns the absences that overlap the period of at most 31 days and are not lifted, in order of time.
 */
export const listAbsences = (
  talon: Talon,
  request: Pick<types.ListAbsencesData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ListAbsencesResponse, 'listAbsences'>> => call(talon, sdk.listAbsences, 'safe', request, options);

/**
 * Lift an absence (Снятие отсутствия)
 *
 * Ends the absence, and opens the cells that nothing else closes. A repetition changes nothing.
 */
export const liftAbsence = (
  talon: Talon,
  request: Pick<types.LiftAbsenceData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.LiftAbsenceResponse, 'liftAbsence'>> => call(talon, sdk.liftAbsence, 'safe', request, options);

/**
 * Change one cell (Изменение ячейки расписания)
 *
 * Changes the given fields of a cell, with the same rules as a schedule message that covers
 * only the start of this cell: a message with a higher `Version` overwrites it, one with a lower
 * `Version` does not. To move a cell in time, send a schedule message.
 */
export const patchSlot = (
  talon: Talon,
  request: Pick<types.PatchSlotData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PatchSlotResponse, 'patchSlot'>> => call(talon, sdk.patchSlot, 'unsafe', request, options);

/**
 * Write a medical card (Передача МКАБ)
 *
 * Creates or replaces a patient's card (МКАБ) in the institution. `Closed` closes it, and a write
 * without `Closed` opens it again. `Policies` replaces all policies of the card. A card that
 * booking has created is taken over with its guid.
 *
 * A person has at most one open card in an institution: a second one fails with `mkab_open`, and
 * the message names the first. Close that one, or merge them. The person of a card never changes
 * (`person_fixed`). A card that was merged into another is written no more (`guid_foreign`).
 */
export const putCard = (
  talon: Talon,
  request: Pick<types.PutCardData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutCardResponse, 'putCard'>> => call(talon, sdk.putCard, 'unsafe', request, options);

/**
 * Get a medical card (Получение МКАБ)
 *
 * Returns a card as it was written, and its version, which is `null` if booking has created the card. A card that was merged has `mergedInto`.
 */
export const getCard = (
  talon: Talon,
  request: Pick<types.GetCardData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetCardResponse, 'getCard'>> => call(talon, sdk.getCard, 'safe', request, options);

/**
 * Merge a card into another (Объединение МКАБ)
 *
 * Merges a duplicate card into another open card of the same person in the institution. The
 * referrals, open cases and visits of the duplicate become those of the other card. The duplicate
 * is closed, stays with `mergedInto`, and is written no more. Later writes that name its guid as
 * `CardGuid` mean the other card.
 *
 * The other card must be open (`card_closed`). Since a person has at most one open card, close the
 * duplicate first. Cards of different persons are not merged (`person_other`): visits and
 * referrals of a person may be in institutions that this one does not act for.
 */
export const mergeCard = (
  talon: Talon,
  request: Pick<types.MergeCardData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.MergeCardResponse, 'mergeCard'>> => call(talon, sdk.mergeCard, 'unsafe', request, options);

/**
 * Write a case of treatment (Передача ТАП)
 *
 * Creates or replaces a case of treatment (ТАП). It is open without `ClosedOn`. The card must
 * exist (`card_unknown`).
 */
export const putCase = (
  talon: Talon,
  request: Pick<types.PutCaseData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutCaseResponse, 'putCase'>> => call(talon, sdk.putCase, 'unsafe', request, options);

/**
 * Get a case of treatment (Получение ТАП)
 *
 * Returns a case as it was written, and its version, which is `null` if no source has written it.
 */
export const getCase = (
  talon: Talon,
  request: Pick<types.GetCaseData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetCaseResponse, 'getCase'>> => call(talon, sdk.getCase, 'safe', request, options);

/**
 * Delete a case of treatment (Удаление ТАП)
 *
 * Deletes a case. The deletion is recorded even if there is no such case, so that a late older
 * write does not bring it in.
 */
export const deleteCase = (
  talon: Talon,
  request: Pick<types.DeleteCaseData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.DeleteCaseResponse, 'deleteCase'>> => call(talon, sdk.deleteCase, 'safe', request, options);

/**
 * Write a referral (Передача направления)
 *
 * Creates or replaces a referral that the institution has issued (направление). The institution
 * holds the original. The guid and the `Id` must be free: if they belong to another referral, or
 * to the copy of a referral of another institution, the write fails with `guid_foreign`.
 *
 * **Visits.** While the referral has a visit, its type, speciality, card and target institution do
 * not change (`object_booked`; `details.appointment` is the visit). All other fields may change,
 * also in the copy in the institution of the visit.
 *
 * **Withdrawal.** A write with a higher version brings a withdrawn referral back.
 */
export const putReferral = (
  talon: Talon,
  request: Pick<types.PutReferralData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutReferralResponse, 'putReferral'>> => call(talon, sdk.putReferral, 'unsafe', request, options);

/**
 * Get a referral (Получение направления)
 *
 * Returns an original of the institution as it was written, its version, which is `null` if no source has written it, and when it was withdrawn. Copies of referrals of other institutions are not returned.
 */
export const getReferral = (
  talon: Talon,
  request: Pick<types.GetReferralData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetReferralResponse, 'getReferral'>> => call(talon, sdk.getReferral, 'safe', request, options);

/**
 * Withdraw a referral (Отзыв направления)
 *
 * Withdraws a referral: nobody can book with it. Its row stays, and `putReferral` brings it back.
 * The withdrawal is recorded even if there is no such referral, so that a late older write does not
 * bring it in.
 *
 * **Visits.** If the referral has a visit, `onBooked` decides. `refuse`: the request fails with
 * `object_booked`, and `details.appointment` is the visit. `keep`: the visit stays, and
 * the patient can cancel it but not move it. After a cancel the referral cannot be booked again.
 */
export const withdrawReferral = (
  talon: Talon,
  request: Pick<types.WithdrawReferralData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.WithdrawReferralResponse, 'withdrawReferral'>> => call(talon, sdk.withdrawReferral, 'safe', request, options);

/**
 * Write a person of the local index (Передача персоны МИП)
 *
 * Creates or replaces a person of the region's local master patient index (МИП), from which
 * booking creates cards. A field may be missing: then no card is created from it, and booking says
 * which field is empty. Cards that exist do not change. Only systems of the region, which act for
 * every institution, may write persons.
 */
export const putPerson = (
  talon: Talon,
  request: Pick<types.PutPersonData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutPersonResponse, 'putPerson'>> => call(talon, sdk.putPerson, 'unsafe', request, options);

/**
 * Get a person of the local index (Получение персоны МИП)
 *
 * Returns a person as it was written, and its version, which is `null` if no source has written it.
 */
export const getPerson = (
  talon: Talon,
  request: Pick<types.GetPersonData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetPersonResponse, 'getPerson'>> => call(talon, sdk.getPerson, 'safe', request, options);

/**
 * Delete a person of the local index (Удаление персоны МИП)
 *
 * Deletes a person of the index. Cards that exist stay. The deletion is recorded even if there is no
 * such person, so that a late older write does not bring it in.
 */
export const deletePerson = (
  talon: Talon,
  request: Pick<types.DeletePersonData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.DeletePersonResponse, 'deletePerson'>> => call(talon, sdk.deletePerson, 'safe', request, options);

/**
 * Import a file of messages (Загрузка файла)
 *
 * Accepts a file of any number of messages (загрузка) and applies them in the background. The
 * body is stored while it arrives; the response comes when all of it is stored. Then
 * `GET /registry/imports/{importGuid}` shows the progress.
 *
 * **NDJSON** (`application/x-ndjson`): each line is one request of this contract with the tag
 * `registry`, as a JSON object: `Method`, `Path` with its query, and `Body` if it has one. A
 * line has the same rules, rights and errors as the request itself. Lines have at most 1 MiB;
 * empty lines are skipped.
 *
 * **CSV** (`text/csv`): the header names the columns, separated by commas or semicolons, in any
 * order. `of` says what a row is. A row is a `PUT` of that object, or, of `cells`, a part of a
 * schedule message. A missing, unknown or repeated column rejects the file: `field_invalid`.
 *
 * | `of` | required columns | other columns |
 * |---|---|---|
 * | `cells` | `LpuGuid`, `ResourceGuid`, `Guid`, `Start` | `Version`, `OnBooked`, `Id`, `End`, `Capacity`, `FlagAccess`, `BusyType`, `Blocked`, `Restriction` |
 * | `legal_entities` | `LegalEntityGuid`, `Name` | `Version` |
 * | `institutions` | `LpuGuid`, `LegalEntityGuid`, `Code`, `Name`, `TimeZone` | `Version`, `Address`, `Phone` |
 * | `resources` | `LpuGuid`, `ResourceGuid`, `Kind`, `Name`, `SpecialityCode` | `Version`, `Room`, `Preparation`, `Active` |
 * | `persons` | `PersonGuid`, `BirthDate` | `Version`, `Surname`, `Name`, `Patronymic`, `Sex`, `Snils`, `PolicySeries`, `PolicyNumber` |
 * | `cards` | `LpuGuid`, `CardGuid`, `PersonGuid`, `Surname`, `Name`, `BirthDate`, `Sex` | `Version`, `Patronymic`, `Snils`, `Disabled`, `Pregnant`, `Policies.0.Series`, `Policies.0.Number`, `Closed` |
 * | `cases` | `LpuGuid`, `CaseGuid`, `CardGuid`, `OpenedOn` | `Version`, `ClosedOn` |
 * | `referrals` | `LpuGuid`, `DirectionGuid`, `CardGuid`, `Type`, `Number`, `Date`, `DateEnd`, `DateCreate` | `Version`, `Id`, `AccessionNumber`, `DocPrvdSenderGuid`, `Reason`, `Comment`, `Urgent`, `Flags`, `SpecialityCode`, `SpecialityName`, `MkbCode`, `MkbName`, `LpuToGuid` |
 *
 * The columns are guids in the path and fields of the body. `Policies.0.Number` is a field within
 * a list, `Policies.1.Number` that of the next element. The text is UTF-8. Empty values count as
 * absent, and elements without values are left out. A row without a `Version` has that of the
 * parameter `version`, or the time of the import.
 *
 * **Cells.** Consecutive rows of one resource and one day (in the offset of `Start`) are one
 * schedule message for that day, with the same `Version` and `OnBooked`. A row states that the
 * day has no cells if `Guid` and all columns of a cell apart from `Start` are empty. A bad row
 * makes its day bad: no other row of the day is applied, and the error has the line of the bad
 * row. A row whose resource or day cannot be read is a bad line of its own, or makes the day bad
 * between whose rows it is. The rows of a day must follow each other: sort the file by resource
 * and start. A row whose day has ended is found if fewer than 200,000 days of resources are between
 * them; it rejects the file with `unsorted`, and nothing is applied. After more of them, the rows
 * are another message for the day: `version_conflict`, if it has the same version.
 *
 * **Order.** Consecutive lines of the same operation run concurrently. Lines after them wait
 * for them. A line that is rejected is tried once more after its neighbours, so that an order
 * within an operation does not matter.
 *
 * **Bad lines.** `onError=skip`: good lines are applied, each in its own transaction, and bad
 * ones are listed. `onError=reject`: all lines are checked first, as with `dryRun`, and applied
 * only if all are good. `dryRun`: nothing is applied.
 *
 * A file without lines is rejected, and so is one of which a line cannot be read: the field of
 * the error is then `line 3`, for example, and nothing is applied.
 *
 * **A check compares each line with the stored data**, not with what the lines before it will
 * change. A line that needs an institution, a resource, a card, a cell or an absence of an
 * earlier line counts as good, and so do lines that contradict each other
 * (`version_conflict`); those are found when they are applied. Other lines that depend on
 * earlier ones are reported as bad: a card that is opened after another one of the person is
 * closed (`mkab_open`), an object that is deleted after those that refer to it
 * (`object_in_use`). Send these without a check, or in a file of their own. A check remembers
 * a million objects and a million cells.
 *
 * **Repetition.** An import that is interrupted goes on after its last stored progress, also
 * after an outage of up to a day; then it is `failed`. A file can be sent again: what is
 * already applied changes nothing.
 *
 * The body may be compressed (`Content-Encoding: gzip` or `zstd`) and has at most 16 GiB. A
 * client application has at most 10 unfinished imports. Finished imports are deleted after 7
 * days.
 */
export const createImport = (
  talon: Talon,
  request: Pick<types.CreateImportData, 'query' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.CreateImportResponse, 'createImport'>> => call(talon, sdk.createImport, 'unsafe', { ...request, bodySerializer: null }, options);

/**
 * Get the state of an import (Состояние загрузки)
 *
 * Returns how far an import of the client application is. `done` counts the lines whose result is stored; `failed` of them were rejected.
 */
export const getImport = (
  talon: Talon,
  request: Pick<types.GetImportData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetImportResponse, 'getImport'>> => call(talon, sdk.getImport, 'safe', request, options);

/**
 * Cancel an import (Отмена загрузки)
 *
 * Stops an import. Lines that are applied stay applied. An import that has finished stays as it is. The response is the state; `done` no longer grows.
 */
export const cancelImport = (
  talon: Talon,
  request: Pick<types.CancelImportData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.CancelImportResponse, 'cancelImport'>> => call(talon, sdk.cancelImport, 'safe', request, options);

/**
 * List the bad lines of an import (Ошибки загрузки)
 *
 * Returns the rejected lines in order, each with the error that the request itself would have got. Only the first 10,000 of an import are kept; `lines.failed` counts all.
 */
export const listImportErrors = (
  talon: Talon,
  request: Pick<types.ListImportErrorsData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ListImportErrorsResponse, 'listImportErrors'>> => call(talon, sdk.listImportErrors, 'safe', request, options);

/**
 * Follow the events of the institutions (Лента событий)
 *
 * Returns what has happened since a place in the feed, in order, for the institutions of the
 * token. Follow it so: ask with `after=latest` and keep `next`; read the objects (visits,
 * schedules, referrals) once; then ask again and again with `after` = the last `next`, and read
 * each object that an event names. Keep `next` only when its events are processed. With `wait`
 * the response comes as soon as there is an event. With `after=latest` it comes at once, because
 * only its `next` is a place to wait from.
 *
 * **Order.** An event never appears at a place before a `next` that was already returned, even if
 * its transaction ends late. Events of one object are in the order of its changes. An event can
 * be read twice, but is never lost: `id` is unique and is never given again, and `sequence` counts the events of an
 * institution without gaps from 1, so that a reader of all types can check it.
 *
 * **Content.** Events follow CloudEvents 1.0. They have no personal data, only guids and the
 * `version` of the visit or of the message.
 *
 * | `type` | what has happened |
 * |---|---|
 * | `appointment.booked` | A visit was booked. |
 * | `appointment.moved` | A visit was moved to other cells. If it has left the institution, the visit is no longer there. |
 * | `appointment.cancelled` | A visit was cancelled. |
 * | `appointment.changed` | The card of a visit was merged into another one. |
 * | `appointment.arrived`, `appointment.fulfilled`, `appointment.no_show` | The institution says what became of a visit (явка). |
 * | `appointment.unattended` | The institution has undone that. |
 * | `referral.changed` | The source of a referral has written it. |
 * | `referral.withdrawn` | The source of a referral has withdrawn it. |
 * | `referral.booked` | A referral of the institution has a visit, here or in another institution, or its visit was moved. |
 * | `referral.released` | The visit of a referral of the institution was cancelled. |
 * | `referral.completed` | The institution says that its visit took place. |
 * | `schedule.changed` | Cells of a resource that begin in a period were added, changed or withdrawn. |
 *
 * **Age.** Events are kept for 30 days. If `after` is older, it fails with `events_expired`:
 * begin anew. The same happens if the service had to go back to a backup, and the events up to
 * `after` are lost. So replace what you know by what you read then, also by a lower `version`,
 * and accept a lower `sequence`.
 */
export const listEvents = (
  talon: Talon,
  request: Pick<types.ListEventsData, 'query'> = {},
  options?: CallOptions,
): Promise<Outcome<types.ListEventsResponse, 'listEvents'>> => call(talon, sdk.listEvents, 'safe', request, options);

/**
 * Read who has touched a patient's data (Аудит)
 *
 * Returns the records of requests that touched patients' data, the newest first. A request
 * leaves one record for each patient that it reached. Records have ids, codes, numbers and
 * times, and nothing else of a patient. Reading them leaves a record, too.
 *
 * A client application that acts for every institution reads all records. Another one reads
 * those of its own requests.
 *
 * **Why was a booking refused?** Ask with the `requestId` of the refusal, or with the patient
 * and the day. `explanation` has the rule and what it compared: the cell with its places, the
 * speciality of the referral and of the doctor, the visit that is in the way.
 *
 * **Pages.** For the next page, repeat the request with `next` as `cursor` and the same
 * filters. Records of the last seconds may still appear before those that were read.
 */
export const listAudit = (
  talon: Talon,
  request: Pick<types.ListAuditData, 'query'> = {},
  options?: CallOptions,
): Promise<Outcome<types.ListAuditResponse, 'listAudit'>> => call(talon, sdk.listAudit, 'safe', request, options);

/**
 * Read the audit as FHIR AuditEvents (Аудит в FHIR)
 *
 * Returns the same records as `GET /audit` as a Bundle of `AuditEvent` resources (FHIR R4), for
 * archives and monitoring that read FHIR. `link` with the relation `next` has the address of
 * the next page, relative to the service.
 */
export const exportAudit = (
  talon: Talon,
  request: Pick<types.ExportAuditData, 'query'> = {},
  options?: CallOptions,
): Promise<Outcome<types.ExportAuditResponse, 'exportAudit'>> => call(talon, sdk.exportAudit, 'safe', request, options);

/**
 * List the client application's webhooks (Подписки на события)
 *
 * Returns the webhooks of the client application, the oldest first.
 */
export const listWebhooks = (
  talon: Talon,
  request: Record<never, never> = {},
  options?: CallOptions,
): Promise<Outcome<types.ListWebhooksResponse, 'listWebhooks'>> => call(talon, sdk.listWebhooks, 'safe', request, options);

/**
 * Subscribe an address to events (Подписка на события)
 *
 * Creates a webhook or changes it: from then on the service sends the events of the feed
 * (`GET /events`) to `Url`, one `POST` each (see *Callbacks*). A new webhook begins with the
 * next event. The client application chooses the guid, so that the request can be repeated;
 * a guid that another one has fails with `webhook_absent`. The request replaces the whole
 * webhook: without `Types` or `LpuGuid` it gets all events, without `Enabled` it is enabled.
 *
 * **Receiving.** Verify the signature with one of the `GET …/keys`, store the event, and
 * respond with 2xx within 10 seconds. Process it afterwards. An event can come twice (same
 * `webhook-id`) and after a newer one (compare `version`). Events about one object come one
 * after the other, unless an earlier one has failed.
 *
 * **Failures.** Any other response, or none, is a failure. A failed event is sent again for
 * three days, at growing intervals. After 5 failures in a row nothing else is sent until one
 * event succeeds; it is tried at growing intervals of at most an hour. Nothing is lost
 * meanwhile. After three days without success the status becomes `failed`, and after a
 * response of 410 at once `gone`. Then nothing is sent until this operation enables the
 * webhook again. It goes on where it stopped, as long as the feed keeps the events. Repeat this
 * request when the receiver is repaired: what waits is then sent at once.
 *
 * **Addresses.** `https` only, without a user, to public addresses, unless the installation
 * allows others. Redirects are failures.
 */
export const putWebhook = (
  talon: Talon,
  request: Pick<types.PutWebhookData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutWebhookResponse, 'putWebhook'>> => call(talon, sdk.putWebhook, 'unsafe', request, options);

/**
 * Get a webhook and its state (Состояние подписки)
 *
 * Returns a webhook of the client application.
 */
export const getWebhook = (
  talon: Talon,
  request: Pick<types.GetWebhookData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetWebhookResponse, 'getWebhook'>> => call(talon, sdk.getWebhook, 'safe', request, options);

/**
 * Delete a webhook (Удаление подписки)
 *
 * Deletes a webhook with its keys and its log. An event that is being sent may still arrive. If the client application has no such webhook, the response is the same and nothing changes.
 */
export const deleteWebhook = (
  talon: Talon,
  request: Pick<types.DeleteWebhookData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.DeleteWebhookResponse, 'deleteWebhook'>> => call(talon, sdk.deleteWebhook, 'safe', request, options);

/**
 * Get the keys that verify the events of a webhook (Ключи подписки)
 *
 * Returns the keys with which each event is signed, the newest first. Verify with the secret or with the public key, as you like: both are enough alone.
 */
export const listWebhookKeys = (
  talon: Talon,
  request: Pick<types.ListWebhookKeysData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.ListWebhookKeysResponse, 'listWebhookKeys'>> => call(talon, sdk.listWebhookKeys, 'safe', request, options);

/**
 * Replace the keys of a webhook (Смена ключей подписки)
 *
 * Adds a new key. The key before it signs too for 24 hours, so that the receiver can change over. At most the newest 3 keys sign: two more requests end a key that leaked, and also one that the receiver still uses. Returns all of them, as `GET` does.
 */
export const addWebhookKey = (
  talon: Talon,
  request: Pick<types.AddWebhookKeyData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.AddWebhookKeyResponse, 'addWebhookKey'>> => call(talon, sdk.addWebhookKey, 'unsafe', request, options);

/**
 * List what was sent to a webhook (Журнал доставки)
 *
 * Returns the attempts to send an event, the newest first. They are kept for 7 days.
 *
 * | `outcome` | what has happened |
 * |---|---|
 * | `delivered` | The receiver responded with 2xx. |
 * | `rejected` | It responded with another status, see `httpStatus`. |
 * | `timeout` | It did not respond within 10 seconds. |
 * | `unreachable` | There is no HTTP response: the name is unknown, the connection or the certificate was refused, or the connection ended before the response. |
 * | `forbidden` | The installation does not send to this address. The sandbox sends only to its own machine and looks up no other names, so this is also the outcome of an unknown name. |
 *
 * **Pages.** For the next page, repeat the request with `next` as `cursor` and the same filters.
 */
export const listDeliveries = (
  talon: Talon,
  request: Pick<types.ListDeliveriesData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ListDeliveriesResponse, 'listDeliveries'>> => call(talon, sdk.listDeliveries, 'safe', request, options);

/**
 * Send events to a webhook again (Повторная доставка)
 *
 * Sends events again: those of `EventIds`, which must be in the log (`listDeliveries`), or all events of the feed that were recorded at `Since` or later. Exactly one of the two is given. Events of `EventIds` come at once, whatever the `Types` are now. While the receiver fails, or the webhook is not `active`, they wait.
 */
export const redeliver = (
  talon: Talon,
  request: Pick<types.RedeliverData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.RedeliverResponse, 'redeliver'>> => call(talon, sdk.redeliver, 'unsafe', request, options);

/**
 * List the visits to an institution (Записи на прием в ЛПУ)
 *
 * Returns the visits to the institution that were booked through this service, also cancelled
 * ones, in the order of their start. `status` is the patient's, see `GET /appointments`. Names
 * are in the card: `GET /registry/lpus/{lpuGuid}/cards/{cardGuid}` with the visit's `mkabGuid`.
 * Give `dateFrom` unless you need the past: it makes the request fast.
 *
 * **Following changes.** With `updatedSince` the visits come in the order of `updatedAt`, so that
 * you may stop after any page and continue from its newest `updatedAt`. The list goes back 2
 * minutes before it, because changes that run at the same time may become visible in another
 * order: visits that you know already have the `version` that you know. A visit that is moved to
 * another institution leaves the list.
 *
 * **Pages.** For the next page, repeat the request with `next` as `cursor` and the same filters.
 */
export const listVisits = (
  talon: Talon,
  request: Pick<types.ListVisitsData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ListVisitsResponse, 'listVisits'>> => call(talon, sdk.listVisits, 'safe', request, options);

/**
 * Book a visit for a patient (Запись в регистратуре)
 *
 * Books a visit to the institution for a patient who stands at its desk or calls it. The rules,
 * their order, the effects and the guarantees are those of `POST /appointments`, for the person
 * `PersonGuid` and the client application of the token. So the masks of the client application
 * decide which cells it may take, and its right to book out of schedule.
 *
 * **The referral is the proof.** Nothing is said about a person before the guid of one of the
 * person's own referrals is given: any other referral fails with `direction_not_found` or
 * `direction_not_patients`, and these come first.
 *
 * **Visits elsewhere.** `direction_already_booked` and `speciality_already_booked` have the
 * other visit in `details.appointment`, and in the message, only if it is in this institution.
 * Of a visit to another institution, the patient alone learns when and where it is.
 *
 * **Idempotency.** As for `POST /appointments`: a booking with an `Idempotency-Key` is made once,
 * and a repetition returns the first response with `Idempotency-Replayed: true`. A key belongs to
 * the person and the client application.
 */
export const bookVisit = (
  talon: Talon,
  request: Pick<types.BookVisitData, 'path' | 'body'>,
  options?: KeyedCallOptions,
): Promise<Outcome<types.BookVisitResponse, 'bookVisit'>> => call(talon, sdk.bookVisit, 'keyed', request, options);

/**
 * Get a visit to an institution (Запись на прием в ЛПУ)
 *
 * Returns a visit to the institution, as an item of the list. Fails with `appointment_absent` if it does not exist or is in another institution.
 */
export const getVisit = (
  talon: Talon,
  request: Pick<types.GetVisitData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetVisitResponse, 'getVisit'>> => call(talon, sdk.getVisit, 'safe', request, options);

/**
 * Confirm that a visit is in the institution's books (Квитанция о записи)
 *
 * Says whether the visit is in the books of the institution's system (квитанция): `accepted`, or
 * `rejected` with a `Reason`. A rejected visit stays booked and appears on the work list
 * (`listWork`), and so does a visit without a receipt after `ReceiptMinutes`, a setting.
 *
 * The receipt names the `Version` of the visit that it confirms. If that is not the current one,
 * it fails with `appointment_version_mismatch`: read the visit again. A moved visit needs a new
 * receipt. A newer receipt replaces the older one, and the same receipt changes nothing. It does
 * not change the visit's `version` or `updatedAt`. A cancelled visit takes no new receipt.
 */
export const putReceipt = (
  talon: Talon,
  request: Pick<types.PutReceiptData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutReceiptResponse, 'putReceipt'>> => call(talon, sdk.putReceipt, 'unsafe', request, options);

/**
 * Say what became of a visit (Отметка о явке)
 *
 * Says what became of the visit (явка). Nobody else sets it, and it never changes by itself.
 *
 * | `Attendance` | what it means | from when |
 * |---|---|---|
 * | `arrived` | The patient is there. | the day of the visit, in the institution's zone |
 * | `fulfilled` | The visit took place. The referral is `Completed`, also before the visit's end. | the day of the visit |
 * | `no_show` | The patient did not come (неявка). The speciality is free for another visit. With the setting `NoShowReturnsReferral` the referral is free, too; otherwise it is used up. | the start of the visit; for a day without a time, the end of the day |
 * | `none` | Nothing is said. Undoes the others. | |
 *
 * Earlier it fails with `attendance_early`. While an attendance is set, the visit cannot be
 * cancelled or moved.
 *
 * **Corrections.** For 24 hours after it was first set, it can be changed and undone; after that
 * with `attendance_final`. From `arrived` to `fulfilled` is no correction and has no such limit.
 * 30 days after the end of the visit nothing changes any more. If a no-show is undone and its
 * referral or its speciality belongs to another appointment by then, it fails with
 * `direction_already_booked` or `speciality_already_booked`, without the time and the place of a
 * visit to another institution. Setting the same attendance again changes nothing.
 */
export const putAttendance = (
  talon: Talon,
  request: Pick<types.PutAttendanceData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutAttendanceResponse, 'putAttendance'>> => call(talon, sdk.putAttendance, 'unsafe', request, options);

/**
 * Cancel a visit to an institution (Отмена записи медицинской организацией)
 *
 * Cancels the visit for the institution, or for the patient who has asked its desk. As a cancel
 * by the patient it frees the cells, the referral and the speciality in one transaction, so that
 * the patient can book by the same referral again.
 *
 * | `Reason` | why | `Initiator` |
 * |---|---|---|
 * | `doctor_absent` | The doctor is absent. | `institution` |
 * | `equipment_failed` | The equipment does not work. | `institution` |
 * | `schedule_changed` | The schedule has changed. | `institution` |
 * | `institution_closed` | The institution is closed. | `institution` |
 * | `patient_request` | The patient has asked for it. | `patient` |
 * | `patient_died` | The patient has died. | either |
 * | `booked_by_mistake` | The visit was booked by mistake. | either |
 * | `other` | Another reason. `Text` is required. | either |
 *
 * A `Reason` that the `Initiator` cannot have fails with `field_invalid`.
 *
 * **What the patient sees.** `initiator`, `cause` and `Text`, but not the client application.
 * Write no names into `Text`.
 *
 * **Until when.** Unlike a patient, an institution may cancel after the start, because the doctor
 * may not have come. 30 days after the end of the visit it fails with `attendance_final`, and
 * while an attendance is set with `appointment_attended`: undo that first (`putAttendance` with
 * `none`). The message of that refusal is for patients.
 *
 * **Repetition.** The same cancellation again changes nothing and returns the visit, at any time.
 * If the visit is cancelled with another content, or by the patient, it fails with
 * `appointment_not_active`.
 */
export const putCancellation = (
  talon: Talon,
  request: Pick<types.PutCancellationData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutCancellationResponse, 'putCancellation'>> => call(talon, sdk.putCancellation, 'unsafe', request, options);

/**
 * Move a visit to another cell (Перенос записи медицинской организацией)
 *
 * Moves a visit to another cell of the same institution, also of another doctor, in one
 * transaction. The visit keeps its guid, referral, speciality, comment, urgency and number of
 * cells. The rules are those of a move by the patient (`moveAppointment`), for the client
 * application of the token. If the move fails, the visit is unchanged.
 *
 * | `Reason` | why |
 * |---|---|
 * | `doctor_absent` | The doctor is absent. |
 * | `equipment_failed` | The equipment does not work. |
 * | `schedule_changed` | The schedule has changed. |
 * | `patient_request` | The patient has asked for it. |
 * | `other` | Another reason. `Text` is required. |
 *
 * **What the patient sees.** Time, initiator, reason and text are in `move` of the visit and of
 * the patient's appointment. Write no names into `Text`.
 *
 * **Version.** If `Version` is not the current one, it fails with
 * `appointment_version_mismatch`: the visit was moved or attended meanwhile, so read it again.
 *
 * **Until when.** Unlike a patient, an institution may move a visit after its start, until the
 * end of the day on which it starts, in the institution's zone; later it fails with
 * `appointment_started`. The setting `DeleteOldTime` lifts this limit, as for patients. While an
 * attendance is set, it fails with `appointment_attended`: undo that first (`putAttendance` with
 * `none`). A cancelled visit fails with `appointment_not_active`.
 *
 * **Same cell.** If the visit is in the cell already, nothing changes and the visit is returned,
 * whatever `Version` and `Reason` are. So you can repeat a request whose response was lost. But
 * if the visit was moved on since, the repetition fails with `appointment_version_mismatch`.
 */
export const putVisitSlot = (
  talon: Talon,
  request: Pick<types.PutVisitSlotData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.PutVisitSlotResponse, 'putVisitSlot'>> => call(talon, sdk.putVisitSlot, 'unsafe', request, options);

/**
 * List a request for every response (Сценарии песочницы)
 *
 * Returns the demo patients, each with a token. For every named example of a response in this
 * contract it also returns a request that always gets such a response. Use them in your own
 * tests. Only in the sandbox (`make run`): elsewhere this path fails with 404
 * `route_not_found`, like an unknown one.
 *
 * **Requests.** Send the method, path and headers unchanged, with `body` as JSON or `rawBody`
 * as it is. The scenario of an error is named after its rule. Requests that succeed in booking
 * or moving have an `Idempotency-Key`, so that a repetition gets the same response.
 *
 * **Guids.** Patients, referrals and cells keep their guids through every reset. Lost races
 * and external failures do not depend on data: some patients always meet them. For example, a
 * booking with a token of «Не успел» always loses the cell between the check and the write
 * (`slot_taken`). Only the sandbox does this.
 *
 * **Side effects.** Bookings are stored. If you use the patient or the cell of a scenario, its
 * response may change. `POST /sandbox/reset` restores the data.
 */
export const listScenarios = (
  talon: Talon,
  request: Record<never, never> = {},
  options?: CallOptions,
): Promise<Outcome<types.ListScenariosResponse, 'listScenarios'>> => call(talon, sdk.listScenarios, 'safe', request, options);

/**
 * Restore the demo data (Сброс песочницы)
 *
 * Deletes all bookings and loads the demo data again, with dates relative to now. Guids and tokens stay valid. Other requests wait until it is done, about a quarter of a second. Only in the sandbox: elsewhere this path fails with 404 `route_not_found`, like an unknown one.
 */
export const resetSandbox = (
  talon: Talon,
  request: Record<never, never> = {},
  options?: CallOptions,
): Promise<Outcome<types.ResetSandboxResponse, 'resetSandbox'>> => call(talon, sdk.resetSandbox, 'unsafe', request, options);

/**
 * Check that the process runs
 *
 * Returns 200 while the process can respond. Does not use the database.
 */
export const getLiveness = (
  talon: Talon,
  request: Record<never, never> = {},
  options?: CallOptions,
): Promise<Outcome<types.GetLivenessResponse, 'getLiveness'>> => call(talon, sdk.getLiveness, 'safe', request, options);

/**
 * Check that the instance accepts requests
 *
 * Returns 200 while the database is usable and the instance is not stopping. A load balancer sends requests only then. A distributed database is usable while some of its nodes are away.
 */
export const getReadiness = (
  talon: Talon,
  request: Record<never, never> = {},
  options?: CallOptions,
): Promise<Outcome<types.GetReadinessResponse, 'getReadiness'>> => call(talon, sdk.getReadiness, 'safe', request, options);
