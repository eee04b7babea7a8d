import { CallError, releaseSlot, UnexpectedAnswerError } from 'talon-sdk';
import type { ExistingAppointment, Hold, NearestSlot, Refusal } from 'talon-sdk';
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { talon } from './api.js';
import { useDeed } from './queries.js';
import type { Failure } from './queries.js';
import { formatHour, formatStart, formatVisit, offsetOf, otherOffset } from './format.js';
import { host } from './session.js';
import { Button } from './components.js';
import { href } from './route.js';
import { wayOut } from './remedies.js';

/** What a view can do about a failure. What is not there is not offered. */
interface Ways {
  /** Tries the same once more. */
  again?: () => void;
  /** Takes one of the nearest free cells instead. */
  take?: (slot: NearestSlot) => void;
}

/** A failure in words, with its ways out. */
export function Trouble({ failure, ...ways }: { failure: Failure } & Ways) {
  return (
    <div class="trouble" role="alert">
      {'refusal' in failure ? <Refused {...failure} {...ways} /> : <Lost {...failure} again={ways.again} />}
    </div>
  );
}

function Refused({ refusal, retryAfter, again, take }: { refusal: Refusal; retryAfter?: number } & Ways) {
  const way = wayOut(refusal);
  return (
    <>
      <p class="trouble-what">{refusal.message}</p>
      <p>{way.advice}</p>
      {way.kind === 'appointment' && <Existing appointment={way.appointment} />}
      {way.kind === 'cells' && take && <Nearest slots={way.nearest} take={take} />}
      {way.kind === 'holds' && <Holds holds={way.holds} released={again} />}
      <p class="actions">
        {way.kind === 'again' && again && <Again again={again} after={retryAfter} />}
        {way.kind === 'signIn' && <Button run={host.signIn}>Войти снова</Button>}
        {way.kind === 'reload' && <Button run={() => location.reload()}>Обновить страницу</Button>}
        {(way.kind === 'referrals' || way.kind === 'person') && (
          <a href={href({ view: 'referrals' })}>К направлениям</a>
        )}
        {way.kind === 'appointments' && <a href={href({ view: 'appointments' })}>К записям</a>}
      </p>
      {refusal.request_id && (
        <p class="request">
          Номер обращения: <code>{refusal.request_id}</code>
        </p>
      )}
    </>
  );
}

/** The answer to what only reads, or to what changes something, has not come. */
function Lost({ lost, undone, again }: { lost: unknown; undone?: boolean; again?: () => void }) {
  const changes = undone !== undefined || (lost instanceof CallError && lost.idempotencyKey !== undefined);
  return (
    <>
      <p class="trouble-what">{whatWasLost(lost)}</p>
      {undone && <p>Мы проверили: пока ничего не изменилось. Повторите, дважды это не выполнится.</p>}
      {changes && !undone && (
        <p>Возможно, запрос всё же выполнен: проверить пока не удалось. Повторите, дважды он не выполнится.</p>
      )}
      {!changes && <p>Проверьте подключение к интернету и повторите.</p>}
      <p class="actions">{again && <Again again={again} />}</p>
    </>
  );
}

function whatWasLost(lost: unknown): string {
  if (lost instanceof UnexpectedAnswerError)
    return `Вместо сервиса записи ответил кто-то другой (HTTP ${lost.status}).`;
  if (lost instanceof CallError) return 'Сервис записи не отвечает.';
  return 'На странице произошла ошибка.';
}

/** Tries again, not before the service wants it. */
function Again({ again, after = 0 }: { again: () => void; after?: number }) {
  const [left, setLeft] = useState(after);
  useEffect(() => {
    if (left <= 0) return;
    const timer = setTimeout(() => setLeft(left - 1), 1000);
    return () => clearTimeout(timer);
  }, [left]);
  return (
    <Button run={again} pending={left > 0}>
      {left > 0 ? `Повторить через ${left} с` : 'Повторить'}
    </Button>
  );
}

function Existing({ appointment }: { appointment?: ExistingAppointment }) {
  if (appointment === undefined) {
    return (
      <p class="actions">
        <a href={href({ view: 'appointments' })}>Мои записи</a>
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
          Открыть запись
        </a>
        <a href={href({ view: 'move', appointment: guid, search: {} })}>Перенести</a>
        <a href={href({ view: 'cancel', appointment: guid })}>Отменить</a>
      </p>
    </>
  );
}

function Nearest({ slots, take }: { slots: NearestSlot[]; take: (slot: NearestSlot) => void }) {
  return (
    <ul class="choices">
      {slots.map((slot) => (
        <li key={slot.guid}>
          <Button run={() => take(slot)} light>
            <strong>{formatStart(slot.start)}</strong> <span>{slot.resource.name}</span>
          </Button>
        </li>
      ))}
    </ul>
  );
}

function Holds({ holds, released }: { holds: Hold[]; released?: () => void }) {
  return (
    <ul class="choices">
      {holds.map((hold) => (
        <li key={hold.slotGuid}>
          <Release hold={hold} released={released} />
        </li>
      ))}
    </ul>
  );
}

function Release({ hold, released }: { hold: Hold; released?: () => void }) {
  const deed = useDeed(
    (options) => releaseSlot(talon, { path: { slotGuid: hold.slotGuid }, query: { lpuGuid: hold.lpuToGuid } }, options),
    () => released?.(),
  );
  return (
    <>
      <Button run={deed.run} pending={deed.pending} light>
        <strong>Освободить {formatStart(hold.start)}</strong> <span>удерживается до {formatHour(hold.heldUntil)}</span>
      </Button>
      {deed.failure && <Trouble failure={deed.failure} again={deed.run} />}
    </>
  );
}

function OffsetNote({ time }: { time: string }): ComponentChildren {
  return otherOffset(time) && <> (местное время, {offsetOf(time)})</>;
}
