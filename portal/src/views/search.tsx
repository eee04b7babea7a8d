import { dayOf, listDirectionSlots } from 'talon-sdk';
import type {
  ExistingAppointment,
  NearestSlot,
  PatientAppointment,
  PatientDirection,
  Refusal,
  Slot,
  SlotPage,
} from 'talon-sdk';
import { useEffect, useRef, useState } from 'preact/hooks';
import { talon } from '../api.js';
import type { Cell } from '../cell.js';
import { Button, More, Place, Ru, Status, ZoneNote } from '../components.js';
import { FailureMessage } from '../failure.js';
import { addDays, deviceOffset, formatDay, formatHour, formatStart, localToday, zoneOf } from '../format.js';
import { labelOf } from '../labels.js';
import { t } from '../language.js';
import { useLoading, usePages, useQuery } from '../queries.js';
import type { Pages } from '../queries.js';
import { partsOfDay } from '../route.js';
import type { CellSearch, PartOfDay } from '../route.js';
import { Confirm } from './confirm.js';
import { DayStrip } from './days.js';
import type { Day } from './days.js';

interface SearchProps {
  direction: PatientDirection;
  /** The visit to move. Without it a cell is booked. */
  visit?: PatientAppointment;
  search: CellSearch;
  /** Returns the address of this view with other filters. */
  address: (search: CellSearch) => string;
  /** The address of the choice of an institution. */
  institutions: string;
}

/** The number of days that are searched at once. */
const daysOfSearch = 7;

/** The number of cells that are loaded without a request of the patient. */
const maxCells = 1000;

/** Shows the free cells of a week by day and doctor, and books the chosen one. */
export function Search({ direction, visit, search, address, institutions }: SearchProps) {
  const from = search.from ?? localToday();
  const path = { directionGuid: direction.guid };
  const query = {
    lpuGuid: search.lpu,
    dateFrom: search.from,
    dateTo: addDays(from, daysOfSearch - 1),
    appointmentGuid: visit?.guid,
  };
  const [attempt, setAttempt] = useState(0);
  const pages = usePages<Slot, SlotPage, 'listDirectionSlots'>(
    (cursor, options) => listDirectionSlots(talon, { path, query: { ...query, limit: 100, cursor } }, options),
    [direction.guid, visit?.guid, search.lpu, from, attempt],
  );
  const { items: cells, failure, last } = pages;
  const isSearching = useLoading(pages, maxCells);

  const { chosen, open, choose, close, onFailure } = useDialog(() => setAttempt(attempt + 1));
  const show = (changed: CellSearch) => location.replace(address({ ...search, ...changed }));

  const blocked = last?.blockedBy;
  const isComplete = last?.next === null && !isSearching;
  const matching = cells.filter((cell) => matches(cell, search));
  const days = daysOf(from, cells, matching, isComplete);
  const day = days.find((each) => each.date === search.day) ?? days.find((each) => each.cells.length > 0);
  const inOtherZone = cells.find(({ start }) => deviceOffset(start));
  const place = search.lpu === undefined ? undefined : cells.find(({ lpu }) => lpu.guid === search.lpu)?.lpu;

  return (
    <>
      {!blocked && (
        <>
          <p class="where">
            {search.lpu ? <Ru>{place?.name}</Ru> : t.everywhere}{' '}
            <a href={institutions}>{search.lpu ? t.otherInstitution : t.chooseInstitution}</a>
          </p>
          <DayStrip days={days} shown={day?.date} first={localToday()} isSearching={isSearching} show={show} />
          <Filters cells={cells} search={search} show={show} />
        </>
      )}
      <Status>
        {isSearching && t.searching}
        {!isSearching && matching.length > 0 && t.freeCount(matching.length, isComplete)}
        {isComplete && !blocked && matching.length === 0 && (cells.length > 0 ? t.noneMatches : t.noneFree)}
      </Status>
      {blocked && <FailureMessage failure={{ refusal: refusalOf(blocked, direction.appointment) }} />}
      {isComplete && !blocked && matching.length === 0 && (
        <NothingFree cells={cells} path={path} query={query} search={search} address={address} />
      )}
      {inOtherZone && <ZoneNote time={inOtherZone.start} timeZone={inOtherZone.lpu.timeZone} />}
      {day && day.cells.length > 0 && <DayOfCells day={day} choose={open} />}
      {failure && <FailureMessage failure={failure} retry={pages.retry} />}
      {!isSearching && <More pages={pages as Pages<unknown, unknown>} />}
      {chosen && (
        <Confirm
          key={chosen.guid}
          referral={{
            directionGuid: direction.guid,
            directionType: direction.type,
            holderLpuGuid: direction.holderLpuGuid,
          }}
          cell={chosen}
          visit={visit}
          choose={choose}
          close={close}
          onFailure={onFailure}
        />
      )}
    </>
  );
}

/** The entry of the browser's history for an open dialog. A reload keeps it. */
interface DialogEntry {
  cell: Cell;
}

const chosenCell = (): Cell | undefined => (history.state as DialogEntry | null)?.cell;

/**
 * Opens the dialog for a cell as an entry of the browser's history: the Back button closes it, and a
 * reload opens it again. `refresh` is called if the list is outdated when the dialog closes.
 */
function useDialog(refresh: () => void) {
  const [chosen, setChosen] = useState(chosenCell);
  const isOutdated = useRef(false);
  const button = useRef<string | undefined>(undefined);
  useEffect(() => {
    const onChange = () => setChosen(chosenCell());
    addEventListener('popstate', onChange);
    addEventListener('hashchange', onChange);
    return () => {
      removeEventListener('popstate', onChange);
      removeEventListener('hashchange', onChange);
    };
  }, []);
  useEffect(() => {
    if (chosen) {
      button.current = `cell-${chosen.guid}`;
    } else if (button.current !== undefined) {
      const opener = isOutdated.current ? null : document.getElementById(button.current);
      (opener ?? document.querySelector('h1'))?.focus();
      if (isOutdated.current) refresh();
      isOutdated.current = false;
      button.current = undefined;
    }
  }, [chosen]);
  return {
    chosen,
    open: ({ guid, start, end, lpu, resource, restriction }: Cell) => {
      const cell = { guid, start, end, lpu, resource, restriction };
      history.pushState({ cell } satisfies DialogEntry, '');
      setChosen(cell);
    },
    /** Chooses another cell of the same institution in the open dialog. */
    choose: ({ guid, start, end, resource }: NearestSlot) => {
      const cell = chosen && { guid, start, end, resource, lpu: chosen.lpu };
      history.replaceState({ cell }, '');
      setChosen(cell);
    },
    close: () => history.back(),
    onFailure: () => void (isOutdated.current = true),
  };
}

/** Returns the part of the day of a time. */
export function partOf(time: string): PartOfDay {
  const hour = Number(time.slice(11, 13));
  return hour < 12 ? 'morning' : hour < 17 ? 'day' : 'evening';
}

const matches = ({ start, resource }: Slot, search: CellSearch) =>
  (search.resource === undefined || resource.guid === search.resource) &&
  (search.part === undefined || partOf(start) === search.part);

/** Returns the days of a week with their matching cells. */
function daysOf(from: string, cells: Slot[], matching: Slot[], isComplete: boolean): Day[] {
  // The day in the institution can be before that of the device.
  const first = cells[0] && dayOf(cells[0].start) < from ? dayOf(cells[0].start) : from;
  const partial = isComplete ? undefined : cells.length > 0 ? dayOf(cells.at(-1)!.start) : first;
  return Array.from({ length: daysOfSearch }, (_, index) => {
    const date = addDays(first, index);
    const loaded =
      partial === undefined || date < partial ? 'all' : date === partial && cells.length > 0 ? 'some' : 'none';
    return { date, loaded, cells: matching.filter(({ start }) => dayOf(start) === date) };
  });
}

/** Converts the rule that blocks a list into a refusal. It has no request id. */
function refusalOf(blocked: NonNullable<SlotPage['blockedBy']>, appointment: ExistingAppointment): Refusal {
  const details = blocked.rule === 'direction_already_booked' && appointment ? { appointment } : undefined;
  return { ...blocked, details } as Refusal;
}

interface FiltersProps {
  cells: Cell[];
  search: CellSearch;
  show: (changed: CellSearch) => void;
}

function Filters({ cells, search, show }: FiltersProps) {
  const [doctors, setDoctors] = useState(new Map<string, string>());
  useEffect(() => {
    // Keep the names of other weeks: the chosen doctor can have no cells in this one.
    setDoctors((known) => new Map([...known, ...cells.map(({ resource }) => [resource.guid, resource.name] as const)]));
  }, [cells.length, cells[0]?.guid]);
  const { resource = '', part } = search;
  return (
    <form class="filters" aria-label={t.filters} onSubmit={(event) => event.preventDefault()}>
      {(doctors.size > 1 || resource) && (
        <p class="field">
          <label for="doctor">{t.doctor}</label>
          <select
            id="doctor"
            value={resource}
            onChange={(event) => show({ resource: event.currentTarget.value || undefined })}
          >
            <option value="">{t.allDoctors}</option>
            {resource && !doctors.has(resource) && <option value={resource}>…</option>}
            {[...doctors].map(([guid, name]) => (
              <option key={guid} value={guid} lang="ru">
                {name}
              </option>
            ))}
          </select>
        </p>
      )}
      <fieldset class="field">
        <legend>{t.partOfDay}</legend>
        <div class="segments">
          {[undefined, ...partsOfDay].map((each) => (
            <label key={each} title={each && t.partHints[each]}>
              <input type="radio" name="part" checked={part === each} onChange={() => show({ part: each })} />
              <span>{each ? t.parts[each] : t.anyTime}</span>
            </label>
          ))}
        </div>
      </fieldset>
    </form>
  );
}

/** Shows the cells of a day by doctor. */
function DayOfCells({ day, choose }: { day: Day; choose: (cell: Cell) => void }) {
  const id = `day-${day.date}`;
  return (
    <section class="day" aria-labelledby={id}>
      <h2 id={id}>{formatDay(day.date)}</h2>
      {[...new Set(day.cells.map(({ resource }) => resource.guid))].map((guid) => (
        <Doctor key={guid} cells={day.cells.filter(({ resource }) => resource.guid === guid)} choose={choose} />
      ))}
    </section>
  );
}

function Doctor({ cells, choose }: { cells: Slot[]; choose: (cell: Cell) => void }) {
  const { start, lpu, resource } = cells[0]!;
  const day = formatDay(start);
  return (
    <div class="doctor">
      <h3>
        <Ru>{resource.name}</Ru>{' '}
        <small>
          <Place of={cells[0]!} />
          {deviceOffset(start) && t.localTimeOf(zoneOf(start, lpu.timeZone))}
        </small>
      </h3>
      <ul class="hours">
        {cells.map((cell) => (
          <li key={cell.guid}>
            <Button onPress={() => choose(cell)} light id={`cell-${cell.guid}`}>
              <strong>{formatHour(cell.start)}</strong>
              <span class="hidden">
                {' '}
                {day}, <Ru>{resource.name}</Ru>
              </span>
              {cell.restriction !== 'none' && <small> {labelOf(t.restriction, cell.restriction)}</small>}
              {cell.capacity > 1 && <small> {t.places(cell.left)}</small>}
            </Button>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface NothingFreeProps {
  cells: Slot[];
  path: { directionGuid: string };
  query: { lpuGuid?: string; dateFrom?: string; dateTo?: string; appointmentGuid?: string };
  search: CellSearch;
  address: (search: CellSearch) => string;
}

/** Explains an empty list: links to the next free cell, and shows the reasons against the others. */
function NothingFree({ cells, path, query, search, address }: NothingFreeProps) {
  const isPartOnly = search.part !== undefined && cells.some((cell) => matches(cell, { ...search, part: undefined }));
  return (
    <>
      {!isPartOnly && <NextFree path={path} query={query} search={search} address={address} />}
      {cells.length > 0 ? (
        <p class="actions">
          <a href={address({ ...search, resource: undefined, part: undefined })}>{t.showAll}</a>
        </p>
      ) : (
        <Reasons path={path} query={query} />
      )}
    </>
  );
}

/** The link to the next free cell, of the chosen doctor if there is one. */
function NextFree({ path, query, search, address }: Omit<NothingFreeProps, 'cells'>) {
  const resourceGuid = search.resource;
  const { data, failure, retry } = useQuery(
    (options) => listDirectionSlots(talon, { path, query: { ...query, resourceGuid, limit: 1 } }, options),
    [path.directionGuid, resourceGuid, ...Object.values(query)],
  );
  if (failure) return <FailureMessage failure={failure} retry={retry} />;
  if (!data?.nextAvailable) return null;
  return (
    <p class="actions">
      <a class="button" href={address({ ...search, part: undefined, from: dayOf(data.nextAvailable), day: undefined })}>
        {t.nearest(formatStart(data.nextAvailable))}
      </a>
    </p>
  );
}

/** Shows why the other cells cannot be booked. */
function Reasons({ path, query }: Pick<NothingFreeProps, 'path' | 'query'>) {
  const { data, failure, retry } = useQuery(
    (options) => listDirectionSlots(talon, { path, query: { ...query, explain: true, limit: 100 } }, options),
    [path.directionGuid, ...Object.values(query)],
  );
  const reasons = new Set(data?.items.flatMap(({ message }) => message ?? []));
  if (failure) return <FailureMessage failure={failure} retry={retry} />;
  if (reasons.size === 0) return null;
  return (
    <>
      <h2>{t.why}</h2>
      <ul lang="ru">
        {[...reasons].map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
      </ul>
    </>
  );
}
