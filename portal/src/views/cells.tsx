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
import { useAnswer, usePages } from '../queries.js';
import type { Pages } from '../queries.js';
import {
  addDays,
  count,
  formatDate,
  formatDay,
  formatHour,
  formatStart,
  formatVisit,
  otherOffset,
  zoneOf,
} from '../format.js';
import { Button, Heading, More, Status, ZoneNote } from '../components.js';
import { href } from '../route.js';
import type { CellSearch } from '../route.js';
import { Trouble } from '../failure.js';
import { purpose, restriction } from '../labels.js';
import { Confirm } from './confirm.js';

/** The free cells for a referral. */
export function Cells({ direction, search }: { direction: string; search: CellSearch }) {
  const { data, failure, again } = useAnswer(
    (options) => getDirection(talon, { path: { directionGuid: direction } }, options),
    [direction],
  );
  return (
    <>
      <Heading title="Выбор времени">Выберите время</Heading>
      {!data && !failure && <Status>Загружаем направление…</Status>}
      {failure && <Trouble failure={failure} again={again} />}
      {data && (
        <>
          <p class="lead">
            {purpose(data)}
            <br />
            Направление № {data.number}, действует по {formatDate(data.dateEnd)}
          </p>
          <CellsFor direction={data} search={search} />
        </>
      )}
    </>
  );
}

/** The cells that a visit can be moved to. */
export function Move({ appointment, search }: { appointment: string; search: CellSearch }) {
  const { data, failure, again } = useAnswer(
    (options) => getAppointment(talon, { path: { appointmentGuid: appointment } }, options),
    [appointment],
  );
  return (
    <>
      <Heading title="Перенос записи">Перенести запись</Heading>
      {!data && !failure && <Status>Загружаем запись…</Status>}
      {failure && <Trouble failure={failure} again={again} />}
      {data && (
        <>
          <p class="lead">
            {purpose(data.direction)}
            <br />
            Сейчас: {formatVisit(data)}, {data.resource.name}, {data.lpu.name}
          </p>
          <MoveOf visit={data} search={search} />
        </>
      )}
    </>
  );
}

function MoveOf({ visit, search }: { visit: PatientAppointment; search: CellSearch }) {
  const path = { directionGuid: visit.direction.guid };
  const { data, failure, again } = useAnswer((options) => getDirection(talon, { path }, options), [path.directionGuid]);
  if (failure) return <Trouble failure={failure} again={again} />;
  return data ? <CellsFor direction={data} visit={visit} search={search} /> : <Status>Загружаем направление…</Status>;
}

function CellsFor({
  direction,
  visit,
  search,
}: {
  direction: PatientDirection;
  visit?: PatientAppointment;
  search: CellSearch;
}) {
  const lpu = search.lpu ?? (direction.lpuTo ? undefined : visit?.lpu.guid);
  const address = (changed: CellSearch) =>
    visit
      ? href({ view: 'move', appointment: visit.guid, search: { ...search, ...changed } })
      : href({ view: 'cells', direction: direction.guid, search: { ...search, ...changed } });
  if (!direction.lpuTo && !lpu) return <ChooseLpu address={(guid) => address({ lpu: guid })} />;
  return <Search direction={direction} visit={visit} search={{ ...search, lpu }} address={address} />;
}

/** A referral to any institution: the service wants one named. Those that the patient has had to do with are offered. */
function ChooseLpu({ address }: { address: (guid: string) => string }) {
  const directions = useAnswer((options) => listDirections(talon, { query: { limit: 100 } }, options), []);
  const visits = useAnswer((options) => listAppointments(talon, { query: { limit: 100 } }, options), []);
  const failed = directions.failure ? directions : visits.failure ? visits : undefined;
  if (failed?.failure) return <Trouble failure={failed.failure} again={failed.again} />;
  if (!directions.data || !visits.data) return <Status>Загружаем медицинские организации…</Status>;
  const named = [
    ...directions.data.items.flatMap(({ lpuFrom, lpuTo }) => [lpuFrom, lpuTo]),
    ...visits.data.items.map(({ lpu }) => lpu),
  ];
  const lpus = new Map(named.flatMap((lpu) => (lpu ? [[lpu.guid, lpu.name] as const] : [])));
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

interface SearchProps {
  direction: PatientDirection;
  visit?: PatientAppointment;
  search: CellSearch;
  address: (changed: CellSearch) => string;
}

/** How many days one search covers. */
const period = 14;

function Search({ direction, visit, search, address }: SearchProps) {
  const path = { directionGuid: direction.guid };
  const query = {
    lpuGuid: search.lpu,
    resourceGuid: search.resource,
    dateFrom: search.from,
    appointmentGuid: visit?.guid,
  };
  const [turn, setTurn] = useState(0);
  const inputs = [direction.guid, visit?.guid, search.lpu, search.resource, search.from, turn];
  const pages = usePages<Slot, SlotPage, 'listDirectionSlots'>(
    (cursor, options) => listDirectionSlots(talon, { path, query: { ...query, limit: 60, cursor } }, options),
    inputs,
  );
  const { items: cells, pending, failure, last } = pages;
  const lookedThrough = last !== undefined && !pending && last.next === null;
  const nothing = lookedThrough && cells.length === 0;
  const blocked = last?.blockedBy;
  const elsewhere = cells.find(({ start }) => otherOffset(start));

  const [taken, setTaken] = useState<Cell>();
  const close = (stale: boolean) => {
    setTaken(undefined);
    if (stale) setTurn(turn + 1);
    const back = stale ? null : document.getElementById(`cell-${taken?.guid}`);
    (back ?? document.querySelector('h1'))?.focus();
  };
  const take = ({ guid, start, end, resource }: NearestSlot) =>
    taken && setTaken({ guid, start, end, resource, lpu: taken.lpu });
  useEffect(() => setTaken(undefined), inputs);

  return (
    <>
      {!blocked && <Filters cells={cells} search={search} address={address} />}
      <Status>
        {pending && 'Ищем свободное время…'}
        {!pending &&
          cells.length > 0 &&
          `Свободное время: ${count(cells.length, 'вариант', 'варианта', 'вариантов')}${last?.next ? ', есть ещё' : ''}.`}
        {nothing && !blocked && 'Свободного времени нет.'}
      </Status>
      {blocked && <Trouble failure={{ refusal: blockedBy(blocked, direction.appointment) }} />}
      {nothing && !blocked && <Why path={path} query={query} nextAvailable={last.nextAvailable} address={address} />}
      {elsewhere && <ZoneNote time={elsewhere.start} timeZone={elsewhere.lpu.timeZone} />}
      <Days cells={cells} choose={setTaken} />
      {failure && <Trouble failure={failure} again={pages.again} />}
      <More pages={pages as Pages<unknown, unknown>} />
      {lookedThrough && !blocked && <Later search={search} cells={cells} address={address} />}
      {taken && (
        <Confirm
          key={taken.guid}
          referral={{
            directionGuid: direction.guid,
            directionType: direction.type,
            holderLpuGuid: direction.holderLpuGuid,
          }}
          cell={taken}
          visit={visit}
          take={take}
          close={close}
        />
      )}
    </>
  );
}

/** The list names the rule and its message only; there is no request to quote that was refused. */
function blockedBy(blocked: NonNullable<SlotPage['blockedBy']>, appointment: ExistingAppointment | null): Refusal {
  const details = blocked.rule === 'direction_already_booked' && appointment ? { appointment } : undefined;
  return { ...blocked, details } as Refusal;
}

/** The day that it is where the patient is. The service counts from now where no day is given. */
const localToday = () => today(Intl.DateTimeFormat().resolvedOptions().timeZone);

function Filters({
  cells,
  search,
  address,
}: {
  cells: Cell[];
  search: CellSearch;
  address: (changed: CellSearch) => string;
}) {
  const [lpus, setLpus] = useState(new Map<string, string>());
  const [resources, setResources] = useState(new Map<string, string>());
  useEffect(() => {
    // Names stay when the list is narrowed, so that it can be widened again.
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

/** The cells by day and, within it, by doctor. */
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
          {otherOffset(start) && `, местное время: ${zoneOf(start, lpu.timeZone)}`}
        </small>
      </h3>
      <ul class="hours">
        {cells.map((cell) => (
          <li key={cell.guid}>
            <Button run={() => choose(cell)} light id={`cell-${cell.guid}`}>
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

interface WhyProps {
  path: { directionGuid: string };
  query: { lpuGuid?: string; resourceGuid?: string; dateFrom?: string; appointmentGuid?: string };
  nextAvailable: string | null;
  address: (changed: CellSearch) => string;
}

/** Nothing is free: when something is next, or else what stands in the way of all there is. */
function Why({ path, query, nextAvailable, address }: WhyProps) {
  const inputs = [path.directionGuid, ...Object.values(query)];
  const { data, failure, again } = useAnswer(
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
      {failure && <Trouble failure={failure} again={again} />}
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

/** The fortnight after the one that has been looked through. */
function Later({
  search,
  cells,
  address,
}: {
  search: CellSearch;
  cells: Cell[];
  address: (changed: CellSearch) => string;
}) {
  const from = search.from ?? (cells[0] ? dayOf(cells[0].start) : localToday());
  const next = addDays(from, period);
  return (
    <p class="actions">
      <a href={address({ from: next })}>Показать время с {formatDate(next + 'T00:00:00')}</a>
    </p>
  );
}
