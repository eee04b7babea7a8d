import { CallError, releaseSlot, UnexpectedAnswerError } from 'talon-sdk';
import type { ExistingAppointment, Hold, NearestSlot, Refusal } from 'talon-sdk';
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { talon } from './api.js';
import { Button } from './components.js';
import { deviceOffset, formatHour, formatStart, formatVisit, offsetOf } from './format.js';
import { language, t } from './language.js';
import { useMutation } from './queries.js';
import type { Failure } from './queries.js';
import { remedyFor } from './remedies.js';
import { href } from './route.js';
import { host } from './session.js';

/** What a view can do after a failure. A missing action is not offered. */
interface Actions {
  /** Sends the failed request once more. */
  retry?: () => void;
  /** Chooses one of the nearest free cells instead. */
  choose?: (slot: NearestSlot) => void;
}

/** Shows a failure and what the patient can do next. */
export function FailureMessage({ failure, ...actions }: { failure: Failure } & Actions) {
  return (
    <div class="failure" role="alert">
      {'refusal' in failure ? (
        <RefusalMessage {...failure} {...actions} />
      ) : (
        <ErrorMessage {...failure} retry={actions.retry} />
      )}
    </div>
  );
}

function RefusalMessage({ refusal, retryAfter, retry, choose }: { refusal: Refusal; retryAfter?: number } & Actions) {
  const remedy = remedyFor(refusal);
  const title = language === 'en' ? refusal.title : undefined;
  return (
    <>
      <p class="failure-title">{title ?? <span lang="ru">{refusal.message}</span>}</p>
      {title && <p lang="ru">{refusal.message}</p>}
      <p>{remedy.advice}</p>
      {remedy.kind === 'appointment' && <ExistingVisit appointment={remedy.appointment} />}
      {remedy.kind === 'cells' && choose && <NearestCells slots={remedy.nearest} choose={choose} />}
      {remedy.kind === 'holds' && <Holds holds={remedy.holds} onRelease={retry} />}
      <p class="actions">
        {remedy.kind === 'retry' && retry && <RetryButton retry={retry} retryAfter={retryAfter} />}
        {remedy.kind === 'signIn' && <Button onPress={host.signIn}>{t.signIn}</Button>}
        {remedy.kind === 'reload' && <Button onPress={() => location.reload()}>{t.reload}</Button>}
        {(remedy.kind === 'referrals' || remedy.kind === 'staff') && (
          <a href={href({ view: 'referrals' })}>{t.toReferrals}</a>
        )}
        {remedy.kind === 'appointments' && <a href={href({ view: 'appointments' })}>{t.toVisits}</a>}
      </p>
      {refusal.request_id && (
        <p class="request">
          {t.requestId}
          <code>{refusal.request_id}</code>
        </p>
      )}
    </>
  );
}

/** Shows the error of a call that returned no response. */
function ErrorMessage({ error, notExecuted, retry }: { error: unknown; notExecuted?: boolean; retry?: () => void }) {
  const isMutation = notExecuted !== undefined || (error instanceof CallError && error.idempotencyKey !== undefined);
  return (
    <>
      <p class="failure-title">{describe(error)}</p>
      {notExecuted && <p>{t.notExecuted}</p>}
      {isMutation && !notExecuted && <p>{t.maybeExecuted}</p>}
      {!isMutation && <p>{t.checkConnection}</p>}
      <p class="actions">{retry && <RetryButton retry={retry} />}</p>
    </>
  );
}

function describe(error: unknown): string {
  if (error instanceof UnexpectedAnswerError) {
    return t.unexpectedAnswer(error.status);
  }
  if (error instanceof CallError) return t.noAnswer;
  return t.pageError;
}

/** A button that retries. It is inactive for `retryAfter` seconds. */
function RetryButton({ retry, retryAfter = 0 }: { retry: () => void; retryAfter?: number }) {
  const [seconds, setSeconds] = useState(retryAfter);
  useEffect(() => {
    if (seconds <= 0) return;
    const timer = setTimeout(() => setSeconds(seconds - 1), 1000);
    return () => clearTimeout(timer);
  }, [seconds]);
  return (
    <Button onPress={retry} pending={seconds > 0}>
      {seconds > 0 ? t.retryIn(seconds) : t.retry}
    </Button>
  );
}

function ExistingVisit({ appointment }: { appointment?: NonNullable<ExistingAppointment> }) {
  if (appointment === undefined) {
    return (
      <p class="actions">
        <a href={href({ view: 'appointments' })}>{t.myVisits}</a>
      </p>
    );
  }
  const { guid } = appointment;
  return (
    <>
      <p>
        <strong>{formatVisit(appointment)}</strong>
        <OffsetNote time={appointment.start} />
      </p>
      <p class="actions">
        <a class="button" href={href({ view: 'ticket', appointment: guid })}>
          {t.openVisit}
        </a>
        <a href={href({ view: 'move', appointment: guid, search: {} })}>{t.move}</a>
        <a href={href({ view: 'cancel', appointment: guid })}>{t.cancel}</a>
      </p>
    </>
  );
}

function NearestCells({ slots, choose }: { slots: NearestSlot[]; choose: (slot: NearestSlot) => void }) {
  return (
    <ul class="choices">
      {slots.map((slot) => (
        <li key={slot.guid}>
          <Button onPress={() => choose(slot)} light>
            <strong>{formatStart(slot.start)}</strong> <span lang="ru">{slot.resource.name}</span>
          </Button>
        </li>
      ))}
    </ul>
  );
}

function Holds({ holds, onRelease }: { holds: Hold[]; onRelease?: () => void }) {
  return (
    <ul class="choices">
      {holds.map((hold) => (
        <li key={hold.slotGuid}>
          <ReleaseButton hold={hold} onRelease={onRelease} />
        </li>
      ))}
    </ul>
  );
}

function ReleaseButton({ hold, onRelease }: { hold: Hold; onRelease?: () => void }) {
  const release = useMutation(
    (options) => releaseSlot(talon, { path: { slotGuid: hold.slotGuid }, query: { lpuGuid: hold.lpuToGuid } }, options),
    () => onRelease?.(),
  );
  return (
    <>
      <Button onPress={release.run} pending={release.pending} light>
        <strong>{t.release(formatStart(hold.start))}</strong>{' '}
        <span>{t.heldUntilShort(formatHour(hold.heldUntil))}</span>
      </Button>
      {release.failure && <FailureMessage failure={release.failure} retry={release.run} />}
    </>
  );
}

function OffsetNote({ time }: { time: string }): ComponentChildren {
  return deviceOffset(time) && t.localOffset(offsetOf(time));
}
