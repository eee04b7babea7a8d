import type { Slot } from 'talon-sdk';
import { addDays, formatDay, formatDayOfMonth, formatWeekday } from '../format.js';
import { t } from '../language.js';
import type { CellSearch } from '../route.js';

/** A day of the searched week. */
export interface Day {
  /** `2026-11-30` */
  date: string;
  /** How many cells of the day have been loaded. */
  loaded: 'all' | 'some' | 'none';
  /** The loaded cells that match the filters. */
  cells: Slot[];
}

interface DayStripProps {
  days: Day[];
  /** The day whose cells are shown. */
  shown?: string;
  /** The first day that can be searched. */
  first: string;
  /** Whether more days are being loaded. */
  isSearching: boolean;
  show: (changed: CellSearch) => void;
}

/** Shows the days of a week with their numbers of free cells, and lets the patient choose one. */
export function DayStrip({ days, shown, first, isSearching, show }: DayStripProps) {
  const start = days[0]!.date;
  const weekBefore = addDays(start, -days.length);
  return (
    <nav class="strip" aria-label={t.week}>
      <Turn
        label={t.earlier}
        sign="‹"
        isPossible={start > first}
        turn={() => show({ from: weekBefore > first ? weekBefore : undefined, day: undefined })}
      />
      <p>
        {formatDayOfMonth(start)} – {formatDayOfMonth(days.at(-1)!.date)}
      </p>
      <Turn
        label={t.later}
        sign="›"
        isPossible
        turn={() => show({ from: addDays(start, days.length), day: undefined })}
      />
      <ul>
        {days.map((day) => (
          <li key={day.date}>
            <DayButton day={day} isShown={day.date === shown} isSearching={isSearching} show={show} />
          </li>
        ))}
      </ul>
    </nav>
  );
}

interface DayButtonProps extends Pick<DayStripProps, 'isSearching' | 'show'> {
  day: Day;
  isShown: boolean;
}

function DayButton({ day: { date, loaded, cells }, isShown, isSearching, show }: DayButtonProps) {
  const isEmpty = loaded === 'all' && cells.length === 0;
  const count = loaded === 'none' ? '…' : isEmpty ? t.none : `${cells.length}${loaded === 'some' ? '+' : ''}`;
  const description = loaded === 'none' ? t.notLoaded : isEmpty ? t.noneOnDay : t.free(count);
  return (
    <button
      type="button"
      class={isEmpty ? 'empty' : undefined}
      aria-pressed={isShown}
      disabled={isEmpty}
      // In a long list, a day that has not been loaded becomes the first one.
      onClick={() => show(loaded === 'none' && !isSearching ? { from: date, day: date } : { day: date })}
    >
      <span class="hidden">
        {formatDay(date)}
        {description}
      </span>
      <span aria-hidden="true">
        <small>{formatWeekday(date)}</small>
        <strong>{Number(date.slice(8))}</strong>
        <span class="free">
          {count}
          {cells.length > 0 && <span class="unit"> {t.placesOf(cells.length)}</span>}
        </span>
      </span>
    </button>
  );
}

interface TurnProps {
  label: string;
  sign: string;
  isPossible: boolean;
  turn: () => void;
}

function Turn({ label, sign, isPossible, turn }: TurnProps) {
  return (
    <button type="button" class="turn" aria-label={label} disabled={!isPossible} onClick={turn}>
      <span aria-hidden="true">{sign}</span>
    </button>
  );
}
