import type { SandboxPatient } from 'talon-sdk';
import { useState } from 'preact/hooks';
import { Button, Heading, Status } from '../components.js';
import { FailureMessage } from '../failure.js';
import { language, t } from '../language.js';
import { useMutation } from '../queries.js';
import { patientHref, reset } from '../sandbox.js';

/** The number of patients on the first screen. The others are folded away. */
const shown = 4;

/** Lets the user pick a demo patient or reset the demo data. */
export function Patients({ patients }: { patients: SandboxPatient[] }) {
  const groups = new Map<string, SandboxPatient[]>(Object.keys(t.groups).map((group) => [group, []]));
  for (const patient of patients) groups.set(patient.group, [...(groups.get(patient.group) ?? []), patient]);
  const bookable = groups.get('bookable') ?? [];
  groups.set('bookable', bookable.slice(shown));
  return (
    <>
      <Heading title={t.patientsTitle}>{t.patientsHeading}</Heading>
      <p class="lead">{t.patientsLead}</p>
      <ul class="people">
        {bookable.slice(0, shown).map((patient) => (
          <li key={patient.guid}>
            <a href={patientHref(patient.guid)}>
              <span class="initials" aria-hidden="true" lang="ru">
                {initials(patient.name)}
              </span>
              <strong lang="ru">{patient.name}</strong>
              <span>{noteOf(patient)}</span>
            </a>
          </li>
        ))}
      </ul>
      <h2>{t.patientsMore}</h2>
      {[...groups].map(([group, members]) => (
        <Group key={group} group={group} members={members} />
      ))}
      <Reset />
    </>
  );
}

/** Patients that demonstrate the same, folded away. */
function Group({ group, members }: { group: string; members: SandboxPatient[] }) {
  const [title, hint] = t.groups[group] ?? [group, ''];
  return (
    <details class="group">
      <summary>
        {title} <span class="number">{members.length}</span>
      </summary>
      <p>{hint}</p>
      <ul>
        {members.map((patient) => (
          <li key={patient.guid}>
            <a href={patientHref(patient.guid)} lang="ru">
              {patient.name.replace(/^Пациент /, '')}
            </a>{' '}
            <small>{noteOf(patient) ?? (language === 'en' && patient.description)}</small>
          </li>
        ))}
      </ul>
    </details>
  );
}

/** Returns what is special about a patient. Only those with ordinary names need it. */
const noteOf = ({ guid }: SandboxPatient): string | undefined => t.patientNotes[Number(guid.slice(-12))];

/** Returns the initials of a surname and a name. */
const initials = (name: string) =>
  name
    .split(' ')
    .slice(0, 2)
    .map((word) => word[0])
    .join('');

function Reset() {
  const [isDone, setDone] = useState(false);
  const mutation = useMutation(reset, () => setDone(true));
  return (
    <>
      <p class="actions">
        <Button onPress={mutation.run} pending={mutation.pending} light>
          {t.resetData}
        </Button>
      </p>
      <Status>{mutation.pending ? t.resetting : isDone && t.resetDone}</Status>
      {mutation.failure && <FailureMessage failure={mutation.failure} retry={mutation.run} />}
    </>
  );
}
