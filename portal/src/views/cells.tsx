import {
  byDay,
  dayOf,
  getAppointment,
  getDirection,
  listAppointments,
  listDirections,
  listDirectionSlots,
  today,
} from 'talon-sdk';
import type {
  ExistingAppointment,
  NearestSlot,
  PatientAppointment,
  PatientDirection,
  Refusal,
  Slot,
  SlotPage,
} from 'talon-sdk';
import { useEffect, useState } from 'preact/hooks';
import { talon } from '../api.js';
import type { Cell } from '../cell.js';
import { Button, Heading, More, Status, ZoneNote } from '../components.js';
import { FailureMessage } from '../failure.js';
import {
  addDays,
  count,
  deviceOffset,
  formatDate,
  formatDay,
  formatHour,
  formatStart,
  formatVisit,
  zoneOf,
} from '../format.js';
import { referralTitle, restriction } from '../labels.js';
import { usePages, useQuery } from '../queries.js';
import type { Pages } from '../queries.js';
import { href } from '../route.js';
import type { CellSearch } from '../route.js';
import { Confirm } from './confirm.js';

/** Shows the free cells for a referral. */
export function Cells({ direction, search }: { direction: string; search: CellSearch }) {
  const { data, failure, retry } = useQuery(
    (options) => getDirection(talon, { path: { directionGuid: direction } }, options),
    [direction],
  );
  return (
    <>
      <Heading title="Выбор времени">Выберите время</Heading>
      {!data && !failure && <Status>Загружаем направление…</Status>}
      {failure && <FailureMessage failure={failure} retry={retry} />}
      {data && (
        <>
          <p class="lead">
            {referralTitle(data)}
            <br />
            Направление № {data.number}, действует по {formatDate(data.dateEnd)}
          </p>
          <CellSection direction={data} search={search} />
        </>
      )}
    </>
  );
}

/** Shows the cells to which a visit can be moved. */
export function Move({ appointment, search }: { appointment: string; search: CellSearch }) {
  const { data, failure, retry } = useQuery(
    (options) => getAppointment(talon, { path: { appointmentGuid: appointment } }, options),
    [appointment],
  );
  return (
    <>
      <Heading title="Перенос записи">Перенести запись</Heading>
      {!data && !failure && <Status>Загружаем запись…</Status>}
      {failure && <FailureMessage failure={failure} retry={retry} />}
      {data && (
        <>
          <p class="lead">
            {referralTitle(data.direction)}
            <br />
            Сейчас: {formatVisit(data)}, {data.resource.name}, {data.lpu.name}
          </p>
          <MoveVisit visit={data} search={search} />
        </>
      )}
    </>
  );
}

function MoveVisit({ visit, search }: { visit: PatientAppointment; search: CellSearch }) {
  const path = { directionGuid: visit.direction.guid };
  const { data, failure, retry } = useQuery((options) => getDirection(talon, { path }, options), [path.directionGuid]);
  if (failure) return <FailureMessage failure={failure} retry={retry} />;
  return data ? (
    <CellSection direction={data} visit={visit} search={search} />
  ) : (
    <Status>Загружаем направление…</Status>
  );
}

interface CellSectionProps {
  direction: PatientDirection;
  visit?: PatientAppointment;
  search: CellSearch;
}

function CellSection({ direction, visit, search }: CellSectionProps) {
  const lpu = search.lpu ?? (direction.lpuTo ? undefined : visit?.lpu.guid);
  const address = (changed: CellSearch) =>
    visit
      ? href({ view: 'move', appointment: visit.guid, search: { ...search, ...changed } })
      : href({ view: 'cells', direction: direction.guid, search: { ...search, ...changed } });
  if (!direction.lpuTo && !lpu) return <ChooseLpu address={(guid) => address({ lpu: guid })} />;
  return <Search direction={direction} visit={visit} search={{ ...search, lpu }} address={address} />;
}

/**
 * Lets the patient choose an institution for a referral that is valid in any. The service has no
 * list of all institutions, so those of the patient's referrals and visits are offered.
 */
function ChooseLpu({ address }: { address: (guid: string) => string }) {
  const directions = useQuery((options) => listDirections(talon, { query: { limit: 100 } }, options), []);
  const visits = useQuery((options) => listAppointments(talon, { query: { limit: 100 } }, options), []);
  const failed = directions.failure ? directions : visits;
  if (failed.failure) return <FailureMessage failure={failed.failure} retry={failed.retry} />;
  if (!directions.data || !visits.data) return <Status>Загружаем медицинские организации…</Status>;
  const known = [
    ...directions.data.items.flatMap(({ lpuFrom, lpuTo }) => [lpuFrom, lpuTo]),
    ...visits.data.items.map(({ lpu }) => lpu),
  ];
  const lpus = new Map(known.flatMap((lpu) => (lpu ? [[lpu.guid, lpu.name] as const] : [])));
  return (
    <>
      <p>
        С этим направлением принимает любая медицинская организация. Выберите одну из тех, что есть в ваших направлениях
        и записях:
      </p>
      <ul class="patients">
        {[...lpus].map(([guid, name]) => (
          <li key={guid}>
            <a href={address(guid)}>{name}</a>
          </li>
        ))}
      </ul>
    </>
  );
}

interface SearchProps extends CellSectionProps {
  /** Returns the address of this view with other filters. */
  address: (changed: CellSearch) => string;
}

/** The number of days that one search covers. */
const searchDays = 14;

function Search({ direction, visit, search, address }: SearchProps) {
  const path = { directionGuid: direction.guid };
  const query = {
    lpuGuid: search.lpu,
    resourceGuid: search.resource,
    dateFrom: search.from,
    appointmentGuid: visit?.guid,
  };
  const [attempt, setAttempt] = useState(0);
  const inputs = [direction.guid, visit?.guid, search.lpu, search.resource, search.from, attempt];
  const pages = usePages<Slot, SlotPage, 'listDirectionSlots'>(
    (cursor, options) => listDirectionSlots(talon, { path, query: { ...query, limit: 60, cursor } }, options),
    inputs,
  );
  const { items: cells, pending, failure, last } = pages;
  const isComplete = last !== undefined && !pending && last.next === null;
  const isEmpty = isComplete && cells.length === 0;
  const hasMore = last?.next ? ', есть ещё' : '';
  const blocked = last?.blockedBy;
  const inOtherZone = cells.find(({ start }) => deviceOffset(start));

  const [chosen, setChosen] = useState<Cell>();
  const close = (outdated: boolean) => {
    setChosen(undefined);
    if (outdated) setAttempt(attempt + 1);
    const button = outdated ? null : document.getElementById(`cell-${chosen?.guid}`);
    (button ?? document.querySelector('h1'))?.focus();
  };
  const choose = ({ guid, start, end, resource }: NearestSlot) =>
    chosen && setChosen({ guid, start, end, resource, lpu: chosen.lpu });
  useEffect(() => setChosen(undefined), inputs);

  return (
    <>
      {!blocked && <Filters cells={cells} search={search} address={address} />}
      <Status>
        {pending && 'Ищем свободное время…'}
        {!pending &&
          cells.length > 0 &&
          `Свободное время: ${count(cells.length, 'вариант', 'варианта', 'вариантов')}${hasMore}.`}
        {isEmpty && !blocked && 'Свободного времени нет.'}
      </Status>
      {blocked && <FailureMessage failure={{ refusal: refusalOf(blocked, direction.appointment) }} />}
      {isEmpty && !blocked && (
        <EmptyList path={path} query={query} nextAvailable={last.nextAvailable} address={address} />
      )}
      {inOtherZone && <ZoneNote time={inOtherZone.start} timeZone={inOtherZone.lpu.timeZone} />}
      <Days cells={cells} choose={setChosen} />
      {failure && <FailureMessage failure={failure} retry={pages.retry} />}
      <More pages={pages as Pages<unknown, unknown>} />
      {isComplete && !blocked && <LaterCells search={search} cells={cells} address={address} />}
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
        />
      )}
    </>
  );
}

/** Converts the rule that blocks a list into a refusal. It has no request id. */
function refusalOf(blocked: NonNullable<SlotPage['blockedBy']>, appointment: ExistingAppointment): Refusal {
  const details = blocked.rule === 'direction_already_booked' && appointment ? { appointment } : undefined;
  return { ...blocked, details } as Refusal;
}

/** Returns the current day in the zone of the device. By default the list starts from now. */
const localToday = () => today(Intl.DateTimeFormat().resolvedOptions().timeZone);

interface FiltersProps {
  cells: Cell[];
  search: CellSearch;
  address: (changed: CellSearch) => string;
}

function Filters({ cells, search, address }: FiltersProps) {
  const [lpus, setLpus] = useState(new Map<string, string>());
  const [resources, setResources] = useState(new Map<string, string>());
  useEffect(() => {
    // Keep the names of earlier lists, so that the patient can undo a filter.
    setLpus((known) => new Map([...known, ...cells.map(({ lpu }) => [lpu.guid, lpu.name] as const)]));
    setResources(
      (known) => new Map([...known, ...cells.map(({ resource }) => [resource.guid, resource.name] as const)]),
    );
  }, [cells.length, cells[0]?.guid]);
  const change = (changed: CellSearch) => (location.hash = address(changed));
  return (
    <form class="filters" aria-label="Какое время показать" onSubmit={(event) => event.preventDefault()}>
      <p class="field">
        <label for="from">Начиная с</label>
        <input
          id="from"
          type="date"
          value={search.from ?? localToday()}
          min={localToday()}
          onChange={(event) => change({ from: event.currentTarget.value })}
        />
      </p>
      {(lpus.size > 1 || search.lpu) && (
        <Choice
          id="lpu"
          label="Где"
          all="Везде"
          options={lpus}
          value={search.lpu}
          choose={(lpu) => change({ lpu, resource: undefined })}
        />
      )}
      {(resources.size > 1 || search.resource) && (
        <Choice
          id="resource"
          label="У кого"
          all="У всех"
          options={resources}
          value={search.resource}
          choose={(resource) => change({ resource })}
        />
      )}
    </form>
  );
}

interface ChoiceProps {
  id: string;
  label: string;
  all: string;
  options: Map<string, string>;
  value?: string;
  choose: (value: string | undefined) => void;
}

function Choice({ id, label, all, options, value = '', choose }: ChoiceProps) {
  return (
    <p class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => choose(event.currentTarget.value || undefined)}>
        <option value="">{all}</option>
        {[...options].map(([guid, name]) => (
          <option key={guid} value={guid}>
            {name}
          </option>
        ))}
      </select>
    </p>
  );
}

/** Shows cells by day and by doctor. */
function Days({ cells, choose }: { cells: Slot[]; choose: (cell: Cell) => void }) {
  return (
    <>
      {[...byDay(cells)].map(([day, ofDay]) => (
        <section key={day} class="day" aria-labelledby={`day-${day}`}>
          <h2 id={`day-${day}`}>{formatDay(ofDay[0]!.start)}</h2>
          {[...new Set(ofDay.map(({ resource }) => resource.guid))].map((guid) => (
            <Doctor key={guid} cells={ofDay.filter(({ resource }) => resource.guid === guid)} choose={choose} />
          ))}
        </section>
      ))}
    </>
  );
}

function Doctor({ cells, choose }: { cells: Slot[]; choose: (cell: Cell) => void }) {
  const { resource, lpu, start } = cells[0]!;
  return (
    <div class="doctor">
      <h3>
        {resource.name}{' '}
        <small>
          {lpu.name}
          {deviceOffset(start) && `, местное время: ${zoneOf(start, lpu.timeZone)}`}
        </small>
      </h3>
      <ul class="hours">
        {cells.map((cell) => (
          <li key={cell.guid}>
            <Button onPress={() => choose(cell)} light id={`cell-${cell.guid}`}>
              <strong>{formatHour(cell.start)}</strong>
              <span class="hidden">
                {' '}
                {formatDay(cell.start)}, {resource.name}
              </span>
              {cell.restriction !== 'none' && <small> {restriction[cell.restriction]}</small>}
              {cell.capacity > 1 && <small> мест: {cell.left}</small>}
            </Button>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface EmptyListProps {
  path: { directionGuid: string };
  query: { lpuGuid?: string; resourceGuid?: string; dateFrom?: string; appointmentGuid?: string };
  nextAvailable: string | null;
  address: (changed: CellSearch) => string;
}

/** Explains an empty list: shows the next free cell, and the reasons against the other cells. */
function EmptyList({ path, query, nextAvailable, address }: EmptyListProps) {
  const inputs = [path.directionGuid, ...Object.values(query)];
  const { data, failure, retry } = useQuery(
    (options) => listDirectionSlots(talon, { path, query: { ...query, explain: true, limit: 100 } }, options),
    inputs,
  );
  const reasons = new Set(data?.items.flatMap(({ message }) => message ?? []));
  return (
    <>
      {nextAvailable && (
        <p class="actions">
          <a class="button" href={address({ from: dayOf(nextAvailable) })}>
            Ближайшее свободное время: {formatStart(nextAvailable)}
          </a>
        </p>
      )}
      {failure && <FailureMessage failure={failure} retry={retry} />}
      {reasons.size > 0 && (
        <>
          <h2>Почему</h2>
          <ul>
            {[...reasons].map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

/** The link to the cells of the next two weeks. */
function LaterCells({ search, cells, address }: FiltersProps) {
  const from = search.from ?? (cells[0] ? dayOf(cells[0].start) : localToday());
  const next = addDays(from, searchDays);
  return (
    <p class="actions">
      <a href={address({ from: next })}>Показать время с {formatDate(next + 'T00:00:00')}</a>
    </p>
  );
}
