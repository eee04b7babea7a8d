// Written by npm run gen from openapi.yaml.
import { call } from '../call.js';
import type { CallOptions, KeyedCallOptions, Outcome, Talon } from '../call.js';
import * as sdk from './sdk.gen.js';
import type * as types from './types.gen.js';

/**
 * The patient's referrals (Получение направлений пациента)
 *
 * The referrals of the token's person over all institutions, newest first: by the time they were written. Originals only: the copy that booking leaves
 * in the target institution is the same referral.
 *
 * `holderLpuGuid` is what booking by the referral wants as `LpuFromGuid`.
 *
 * | `status` | when; the first that applies |
 * |---|---|
 * | `Cancelled` | The institution withdrew it: nothing can be booked by it. |
 * | `Completed` | Its appointment has ended. |
 * | `Booked` | It has an appointment. |
 * | `Expired` | The day of `dateEnd` is over where it is held. Booking then refuses it with `direction_expired` where the setting `DirectionExpires` is on in the target institution; else it can be booked all the same. |
 * | `NotBooked` | Else. |
 *
 * **Pages.** Ask again with `next` as the `cursor`, and the same filters, until it is `null`. Each referral comes once, also while new ones are written.
 */
export const listDirections = (
  talon: Talon,
  request: Pick<types.ListDirectionsData, 'query'> = {},
  options?: CallOptions,
): Promise<Outcome<types.ListDirectionsResponse, 'listDirections'>> => call(talon, sdk.listDirections, 'safe', request, options);

/**
 * One referral by its guid (Получение направления)
 *
 * The referral of the token's person with this guid, as `GET /directions` lists it. Another person's is answered like one that does not exist.
 */
export const getDirection = (
  talon: Talon,
  request: Pick<types.GetDirectionData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetDirectionResponse, 'getDirection'>> => call(talon, sdk.getDirection, 'safe', request, options);

/**
 * One referral by its number (Получение направления по номеру)
 *
 * The referral of the token's person with this number on paper, as `GET /directions` lists it; of several the newest. Another person's is answered like one that does not exist. Encode what is not a letter or a digit: `12/7` is `12%2F7`.
 */
export const getDirectionByNumber = (
  talon: Talon,
  request: Pick<types.GetDirectionByNumberData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetDirectionByNumberResponse, 'getDirectionByNumber'>> => call(talon, sdk.getDirectionByNumber, 'safe', request, options);

/**
 * The patient's appointments (Получение записей на прием пациента)
 *
 * The appointments of the token's person over all institutions that were booked here, cancelled ones too; the newest start first.
 *
 * | `status` | when; the first that applies |
 * |---|---|
 * | `Cancelled` | It was cancelled; `cancellation` says when and why. |
 * | `Completed` | The visit has ended. |
 * | `Booked` | Else. |
 *
 * **Did it happen?** After a time-out of booking, or an answer that was lost, ask for the appointments of the referral: `?directionGuid=…&status=Booked`.
 * One item: it was booked. None: it was not; or, for as long as a request may take (10 seconds by default), the booking is still under way. To book again is
 * safe at any time: what did happen is refused by `direction_already_booked`.
 *
 * **What is new?** Ask with the newest `updateTime` that you have as `updatedSince`: it was booked, moved or cancelled since. That a visit ends by itself is
 * no update.
 *
 * **Pages.** Ask again with `next` as the `cursor`, and the same filters, until it is `null`. Each appointment comes once, also while others are booked.
 */
export const listAppointments = (
  talon: Talon,
  request: Pick<types.ListAppointmentsData, 'query'> = {},
  options?: CallOptions,
): Promise<Outcome<types.ListAppointmentsResponse, 'listAppointments'>> => call(talon, sdk.listAppointments, 'safe', request, options);

/**
 * Book an appointment by referral (Создание записи на прием по направлению)
 *
 * Checks the rules in this order; the first that fails answers.
 *
 * | check | `rule` |
 * |---|---|
 * | 1. token | `token_missing`, `token_invalid`, `token_expired`, `token_signature_invalid` |
 * | 2. request | `body_too_large`, `media_type_unsupported`, `body_malformed`, `field_invalid` |
 * | 3. referral (направление) | `direction_type_unsupported`, `direction_not_found`, `direction_not_patients`, `direction_lpu_mismatch`, `direction_already_booked`, `direction_expired` |
 * | 4. cell (ячейка) and its resource | `slot_not_found`, `slot_resource_not_found`, `slot_not_for_reception`, `slot_unavailable`, `slot_time_passed`, `slot_beyond_horizon`, `slot_access_denied`, `slot_full` |
 * | 5. referral against resource | `resource_kind_mismatch`, `speciality_mismatch` |
 * | 6. patient against the cell's restriction | `slot_adults_only`, `slot_children_only`, `slot_infants_only`, `slot_disabled_only`, `slot_pregnant_only`, `slot_healthy_children_only` |
 * | 7. one active appointment per speciality | `speciality_already_booked` |
 * | 8. medical card (МКАБ) in the target institution | `mkab_closed`, `mkab_absent` |
 * | 9. making the card from the master patient index (МИП) | `mip_auth_url_empty`, `mip_auth_url_unreachable`, `mip_person_not_found`, `mip_person_data_missing`, `mkab_policy_number_empty`, `mkab_sex_empty`, `mkab_surname_empty`, `mkab_name_empty`, `mkab_lpu_not_found`, `mkab_policy_link_failed` |
 * | 10. the write, in one transaction | `slot_taken`, `complex_slot_failed`, `appointment_not_created`, `appointment_not_found`, `appointment_not_linked` |
 *
 * **Which cell.** Without `OutOfSchedule: true`, `SlotId` or `SlotGuid` is required, and `DocPrvdGuid` and `Date` are not read.
 * With `OutOfSchedule: true` it is the other way round. `SlotId` wins over `SlotGuid`, which is then not read.
 * An optional field that is `null` counts as absent.
 *
 * **Group 7.** One active appointment per speciality is asked of consultations only, over all institutions, and is a setting of the region (on by default).
 *
 * **Settings.** How many days ahead a visit may begin (`slot_beyond_horizon`) is the setting `scheduleDays` of the client application, else of the target
 * institution, else of the region; without any there is no limit. Whether a referral can be booked after its `dateEnd` (`direction_expired`) is the setting
 * `DirectionExpires` of the target institution, else of the region; without any it can. `GET /rules` says what is on.
 *
 * **Once.** With an `Idempotency-Key` the booking is done once, however often it is asked for: whoever lost the answer asks again with the same key
 * and the same body, and gets the first answer, with `Idempotency-Replayed: true`. The key counts for this patient and this client application, and
 * is remembered for 24 hours. With another body, or for another operation or appointment, it is refused with 422 `idempotency_key_reused`; while the
 * first request runs, with 409 `idempotency_key_in_use`. If that request died, the key is free again after the request deadline (10 seconds by
 * default) plus 2 seconds. Refusals and failures are not kept: the same key may be tried again.
 *
 * **What stays.** A refused or failed booking changes nothing, except that a medical card made on the way stays.
 * A booking that was answered 200 is stored durably.
 */
export const createAppointment = (
  talon: Talon,
  request: Pick<types.CreateAppointmentData, 'body'>,
  options?: KeyedCallOptions,
): Promise<Outcome<types.CreateAppointmentResponse, 'createAppointment'>> => call(talon, sdk.createAppointment, 'keyed', request, options);

/**
 * What each rule says of a booking, without booking (Проверка возможности записи)
 *
 * Takes the very body of `POST /appointments` and answers **every** rule of its order, each asked by itself, whatever the others say. Nothing is written, no
 * medical card (МКАБ) either.
 *
 * `allowed` is true where no rule has failed: the same booking at the same moment would be answered 200. Where it is false, it would be answered by the
 * first rule that `failed`, with that `message`. Somebody else may take the cell between the check and the booking: only a booking books.
 *
 * | `result` | |
 * |---|---|
 * | `passed` | The rule stands in nobody's way: it holds, or does not concern this booking, as those about the cell do not concern a visit out of schedule. |
 * | `failed` | It would refuse. `message` is for the patient, `field` is what of this request to look at, `mender` who can mend it. |
 * | `not_evaluated` | What it is about is not known: a rule before it has failed, or only the write decides it (`slot_taken`, `appointment_not_created`, …). |
 *
 * A referral that is another patient's answers `direction_not_patients`, and nothing else of it is told: the rules that would need it are `not_evaluated`.
 *
 * **The master patient index (МИП)** is asked where there is no card and booking may make one. Where it refuses the person, that rule has `failed`. Where it
 * does not answer at all, neither does the check (`mip_unavailable`), unless a rule has failed that a booking would not have come past.
 *
 * A request that breaks this contract, or comes without a valid token, is refused here as there; the rules about them have then no other answer.
 */
export const checkAppointment = (
  talon: Talon,
  request: Pick<types.CheckAppointmentData, 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.CheckAppointmentResponse, 'checkAppointment'>> => call(talon, sdk.checkAppointment, 'unsafe', request, options);

/**
 * The catalogue of the rules (Справочник правил)
 *
 * Every rule that can answer, in the order in which they are checked, from the one table that the service itself goes by: its answer (`status`,
 * `messageCode`, `type`, and `message` with what is filled in in braces), the group that it stands in, the field of the booking's body that it is about,
 * and who can mend what it refuses. The booking's order ends with the group `write`.
 *
 * **`retryable`**: the same request may succeed later though nobody changes anything. That is so for every 503 (see `Retry-After`), for
 * `mip_auth_url_unreachable`, for `speciality_already_booked`, as soon as the earlier visit is over, for `slot_beyond_horizon`, as soon as the day has come
 * near enough, for `idempotency_key_in_use`, as soon as the request that has the key is answered, for
 * `too_many_holds`, as soon as one has ended, and for `too_many_attempts` (see `Retry-After`). Where it is false, a repetition cannot help.
 *
 * **`enabled`**: some rules depend on a setting, named by `setting`, and are never answered where they are off. A setting is the client application's (the
 * one that the token names), else the institution's (ЛПУ), else the region's, as far as each can have it; for instance, where `2dr_RecordWithoutMkab` lets
 * booking make a missing medical card (МКАБ), `mkab_absent` is off, and elsewhere the group `mip` is. Without `lpuGuid` the region is answered for: a rule
 * is on that is on in any of its institutions. The group `identity` is on where the authorisation service is.
 *
 * The list is short and comes whole.
 */
export const listRules = (
  talon: Talon,
  request: Pick<types.ListRulesData, 'query'> = {},
  options?: CallOptions,
): Promise<Outcome<types.ListRulesResponse, 'listRules'>> => call(talon, sdk.listRules, 'safe', request, options);

/**
 * One appointment (Получение записи на прием)
 *
 * The appointment of the token's person with this guid, as `GET /appointments` lists it. Another person's is answered like one that does not exist.
 *
 * `ETag` changes with everything that is shown. Send it back as `If-None-Match` to be told with 304 that nothing has changed.
 */
export const getAppointment = (
  talon: Talon,
  request: Pick<types.GetAppointmentData, 'path'>,
  options?: CallOptions,
): Promise<Outcome<types.GetAppointmentResponse, 'getAppointment'>> => call(talon, sdk.getAppointment, 'safe', request, options);

/**
 * Cancel an appointment (Отмена записи на прием)
 *
 * Cancels an appointment of the token's person. In one transaction its cells get their places back, its referral can be booked again, and so can its speciality.
 *
 * **Until the visit begins.** After that `appointment_started`, unless the setting `DeleteOldTime` of the institution, or else of the region, is `true` (off by
 * default). A visit on a day without a time has begun when that day is over.
 *
 * **Again.** An appointment that is cancelled already is answered the same, and nothing changes: the first reason stays. So a request without an answer can be repeated.
 * With an `Idempotency-Key`, as for booking, a repetition has `Idempotency-Replayed: true`.
 *
 * **Whose.** Another person's appointment is answered as one that does not exist, `appointment_absent`.
 *
 * **Why.** The body is optional; an empty one, however it is framed, is none. `Reason` is required, and kept, where `ReasonCode` is 6, and not read otherwise.
 */
export const cancelAppointment = (
  talon: Talon,
  request: Pick<types.CancelAppointmentData, 'path' | 'body'>,
  options?: KeyedCallOptions,
): Promise<Outcome<types.CancelAppointmentResponse, 'cancelAppointment'>> => call(talon, sdk.cancelAppointment, 'keyed', request, options);

/**
 * Free cells for a referral (Свободные ячейки для направления)
 *
 * The cells that the token's patient can book with this referral, through the token's client application, now, in order of their start. Each has passed the
 * rules of `POST /appointments`: it will be booked, unless somebody is faster or a card has to be made that cannot be (below).
 *
 * **To book** a cell send `directionGuid`, `directionType` and `holderLpuGuid` as `DirectionGuid`, `DirectionType` and `LpuFromGuid`, the cell's `lpu.guid` as
 * `LpuToGuid` and its `id` as `SlotId` (or its `guid` as `SlotGuid`), with the same `Difficulty`.
 *
 * **Which institutions.** Where the referral names one (`lpuTo`), all of its legal entity (юр. лицо) may serve it, and `lpuGuid` narrows to one of them. Where it
 * names none, any may, and `lpuGuid` is required; also where the legal entity has more than 50. An institution that may not serve the referral, or that there
 * is not, is `field_invalid`.
 *
 * **Which resources.** Those of the referral's speciality; for an examination all.
 *
 * **When.** From `dateFrom` (now) to `dateTo` (14 days later), at most 14 days a call. A day is the institution's own, and `dateTo` includes it; a cell that begins at a
 * `dateTo` with a time is not in the period. Later cells: where none of the answer's can be booked and no page follows, `nextAvailable` is the start of the
 * first that can, up to 90 days after the period.
 *
 * **Nothing at all?** `blockedBy` names the rule that refuses every cell alike: the referral is booked already, withdrawn or expired, the patient has an active
 * appointment in the speciality, no card (МКАБ) or a closed one in each of the institutions, or the client has no rights; with `resourceGuid` also that the resource
 * cannot serve the referral. Institutions without a cell to come for the referral do not count, unless none has one. Of several institutions one may be closed to the
 * patient and another not: then only the latter's cells are listed. Where the reasons differ, that of the institution that the referral names comes first.
 *
 * **Why not this one?** `explain=true` lists all cells of the period, also those that cannot be booked, each with the `rule` that booking it would answer. With
 * `resourceGuid` it tells of any resource, also of another speciality.
 *
 * **Where can it be moved to?** With the `appointmentGuid` of a visit booked with this referral, all this is said of `POST /appointments/{appointmentGuid}/move`: the cells
 * that the visit can be moved to, as if it had been cancelled before. Its referral, its speciality and its own places in cells do not stand in its way, so that of
 * several cells some may be its own. Where it stands is not listed: a move there changes nothing. To move send the cell's `lpu.guid` as `LpuToGuid` and its `id` as
 * `SlotId`, with the `difficulty` that was asked for. Of a visit that can no longer be moved no cell is free, and `blockedBy` is what its move would answer:
 * `appointment_cancelled` or `appointment_started`. One that is not the patient's, or of another referral, is `appointment_absent`.
 *
 * **Cards from MIP.** Where booking would make the missing card the list does not ask the master patient index; booking may then still answer one of its rules (`mip_…`,
 * `mkab_…_empty`).
 */
export const listDirectionSlots = (
  talon: Talon,
  request: Pick<types.ListDirectionSlotsData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ListDirectionSlotsResponse, 'listDirectionSlots'>> => call(talon, sdk.listDirectionSlots, 'safe', request, options);

/**
 * Move an appointment to another cell (Перенос записи на прием)
 *
 * Moves an appointment of the token's person to another cell, for the same referral, in one transaction: either it is moved, or the old visit stands untouched. It
 * keeps its guid and the time of its booking, also in another institution.
 *
 * **The rules are those of a booking**, in their order, as if the visit had been cancelled before: it never blocks its own move. What the visit has, its places in
 * cells, its referral and its speciality, is taken out.
 *
 * **Where to** is told by `GET /directions/{directionGuid}/slots` with the `appointmentGuid`.
 *
 * **What is not given stays as it is**: the institution, the number of cells, the comment, the urgency. `SlotId` or `SlotGuid` is required; `SlotId` wins.
 *
 * **Into the cells that it has,** with the same comment and urgency, nothing changes, whatever the rules say, and the answer is 200. So a move without an answer can be repeated.
 *
 * **Once.** With an `Idempotency-Key`, as for booking, a repetition is answered as the first time and moves nothing: also one that comes late, when the visit has
 * been moved on or cancelled. Without a key such a one moves it back.
 *
 * **Until the visit begins**, as for a cancel: then `appointment_started`. What is cancelled is not moved, `appointment_cancelled`; another person's appointment is
 * `appointment_absent`.
 */
export const moveAppointment = (
  talon: Talon,
  request: Pick<types.MoveAppointmentData, 'path' | 'body'>,
  options?: KeyedCallOptions,
): Promise<Outcome<types.MoveAppointmentResponse, 'moveAppointment'>> => call(talon, sdk.moveAppointment, 'keyed', request, options);

/**
 * Hold a cell for some minutes (Удержание ячейки)
 *
 * Keeps a cell for the token's patient while the booking is being made ready: until `heldUntil` it is full for everybody else, in bookings, moves, checks and
 * the search for free cells. The patient books it, or moves a visit to it, as if nothing were held.
 *
 * **The rules are those of a booking**, in their order: only what could be booked right now, with this referral through this client, is held. The master patient index
 * (МИП) is not asked: a card that booking would make counts as made. Of several cells (`Difficulty`) all are held, or none.
 *
 * **For a move**, with the `AppointmentGuid` of a visit booked with this referral, they are those of `POST /appointments/{appointmentGuid}/move`: only what the visit could be
 * moved to right now is held. Of several cells some may be its own. The move then uses the hold up.
 *
 * **It ends** by itself at `heldUntil`; with the patient's booking of, or move to, any of its cells, by whichever referral and client application; with `DELETE`. It ends
 * as a whole. A hold is no booking: what changes in the meantime, such as a card that is closed, refuses the booking all the same.
 *
 * **Again.** A hold of the patient's that begins with the same cell is answered as it stands, with its `heldUntil`, whatever else the body says. So a request without an answer can
 * be repeated, and no cell is held for longer. To hold it with more cells give it back first.
 *
 * **At most two** a patient, over all institutions: then `too_many_holds`, with those that stand in `details.holds`. A place that the patient holds in another hold is
 * taken for this one.
 */
export const holdSlot = (
  talon: Talon,
  request: Pick<types.HoldSlotData, 'path' | 'body'>,
  options?: CallOptions,
): Promise<Outcome<types.HoldSlotResponse, 'holdSlot'>> => call(talon, sdk.holdSlot, 'unsafe', request, options);

/**
 * Give a held cell back (Снятие удержания ячейки)
 *
 * Ends the hold of the token's patient that begins with this cell, as a whole, before its time. Where there is none, of this patient, the answer is the same and nothing changes: another's hold is neither ended nor told of.
 */
export const releaseSlot = (
  talon: Talon,
  request: Pick<types.ReleaseSlotData, 'path' | 'query'>,
  options?: CallOptions,
): Promise<Outcome<types.ReleaseSlotResponse, 'releaseSlot'>> => call(talon, sdk.releaseSlot, 'safe', request, options);

/**
 * A COD token for a patient (Получение токена ЦОД)
 *
 * Gives a client application the token that all other operations ask for. Off unless the installation configures it: then this path is 404
 * `route_not_found`, like one that does not exist.
 *
 * **Who asks.** The client application proves itself by HTTP Basic, its guid and its secret. A missing header, an unknown application and a wrong
 * secret are all 403 `client_unauthenticated`.
 *
 * **For whom.** Exactly one way to identify the patient, complete; the names of the parameters are the vendor's:
 *
 * | way | parameters |
 * |---|---|
 * | policy (полис) | `n_pol`, `Birthday`, and `s_pol` where the policy has a series |
 * | person in the master patient index (МИП) | `personguid` |
 * | medical card (МКАБ) | `mkab` |
 * | insurance number (СНИЛС) and names | `epgu=true`, `snils`, `f`, `n`, and `p` where the patient has a patronymic |
 *
 * `personguid` and `mkab` have no second factor: the client application vouches that its user is this patient, and must never take them from the user's hands.
 *
 * **A card is needed.** The patient is found by an open medical card, in any institution, that bears all that is given. Nobody found, wrong data, a closed
 * card, more than one person: one answer, 403 `patient_not_identified`.
 *
 * **Guessing is limited**, whatever instance is asked. Of one patient, known by policy number, СНИЛС or guid, 5 failures are answered within 15 minutes, by
 * whichever applications; of one client application 100 within a minute. Then everything, the right data too, is 429 `too_many_attempts` until
 * `Retry-After` has passed. Successes are not limited.
 *
 * What is in the query ends up in the logs of proxies that write it; this service writes no query anywhere.
 */
export const getCodToken = (
  talon: Talon,
  request: Pick<types.GetCodTokenData, 'query'> = {},
  options?: CallOptions,
): Promise<Outcome<types.GetCodTokenResponse, 'getCodToken'>> => call(talon, sdk.getCodToken, 'safe', request, options);

/**
 * A request for every answer (Сценарии песочницы)
 *
 * The demo's patients, each with a token, and for every named example of this contract's answers a request that is always answered like it: what you read
 * here as an example, you can have from the service, in your own tests. Only in the sandbox (`make run`); elsewhere this path is 404
 * `route_not_found`, like one that does not exist.
 *
 * **Send a request as it stands**: method, path, headers, and the body to the letter. A refusal's scenario is named after its rule. Requests that book or
 * move have an `Idempotency-Key`, so that they are answered the same however often they are sent.
 *
 * **Or use the ids**: the patients, referrals and cells in it keep their guids through every reset. Lost races and failures outside, which no data can
 * make, are what some patients always meet: whatever asks with a token of «Не успел» loses the cell between the check and the write (`slot_taken`). That is
 * a switch which only the sandbox has.
 *
 * **The data are real**: what you book is booked, and a scenario whose patient or cell you have used may be answered otherwise. `POST /sandbox/reset` puts all
 * back.
 */
export const listScenarios = (
  talon: Talon,
  request: Record<never, never> = {},
  options?: CallOptions,
): Promise<Outcome<types.ListScenariosResponse, 'listScenarios'>> => call(talon, sdk.listScenarios, 'safe', request, options);

/**
 * Put the demo data back (Сброс песочницы)
 *
 * Deletes all that was booked and loads the demo data anew, relative to now, in one transaction. Guids stay, and so do tokens. Bookings wait meanwhile. Only in
 * the sandbox; elsewhere this path is 404 `route_not_found`, like one that does not exist.
 */
export const resetSandbox = (
  talon: Talon,
  request: Record<never, never> = {},
  options?: CallOptions,
): Promise<Outcome<types.ResetSandboxResponse, 'resetSandbox'>> => call(talon, sdk.resetSandbox, 'unsafe', request, options);

/**
 * The process runs
 *
 * Answers 200 as long as the process can answer at all. It asks nothing of the database.
 */
export const getLiveness = (
  talon: Talon,
  request: Record<never, never> = {},
  options?: CallOptions,
): Promise<Outcome<types.GetLivenessResponse, 'getLiveness'>> => call(talon, sdk.getLiveness, 'safe', request, options);

/**
 * The instance takes requests
 *
 * Answers 200 while the database answers and the instance is not stopping. A load balancer sends requests only then.
 */
export const getReadiness = (
  talon: Talon,
  request: Record<never, never> = {},
  options?: CallOptions,
): Promise<Outcome<types.GetReadinessResponse, 'getReadiness'>> => call(talon, sdk.getReadiness, 'safe', request, options);
