import type { SandboxPatient } from 'talon-sdk';
import { useState } from 'preact/hooks';
import { Button, Heading, Status } from '../components.js';
import { FailureMessage } from '../failure.js';
import { useMutation } from '../queries.js';
import { patientHref, reset } from '../sandbox.js';

/** Lets the user pick a demo patient or reset the demo data. */
export function Patients({ patients }: { patients: SandboxPatient[] }) {
  const [isDone, setDone] = useState(false);
  const mutation = useMutation(reset, () => setDone(true));
  return (
    <>
      <Heading title="Кто записывается">Кто записывается?</Heading>
      <p>
        Пациенты демонстрации вымышлены. Имя говорит, что с ними произойдёт: кто-то запишется сразу, кто-то опоздает, а
        у кого-то не ответит сервис.
      </p>
      <ul class="patients">
        {patients.map(({ guid, name }) => (
          <li key={guid}>
            <a href={patientHref(guid)}>{name.replace(/^Пациент /, '')}</a>
          </li>
        ))}
      </ul>
      <p class="actions">
        <Button onPress={mutation.run} pending={mutation.pending} light>
          Вернуть данные к началу
        </Button>
      </p>
      <Status>{mutation.pending ? 'Возвращаем данные…' : isDone && 'Данные снова как в первый день.'}</Status>
      {mutation.failure && <FailureMessage failure={mutation.failure} retry={mutation.run} />}
    </>
  );
}
