import type { SandboxPatient } from 'talon-sdk';
import { useState } from 'preact/hooks';
import { useDeed } from '../queries.js';
import { Button, Heading, Status } from '../components.js';
import { reset, withPatient } from '../sandbox.js';
import { Trouble } from '../failure.js';

/** Who of the demo's patients to be. */
export function Patients({ patients }: { patients: SandboxPatient[] }) {
  const [done, setDone] = useState(false);
  const deed = useDeed(reset, () => setDone(true));
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
            <a href={withPatient(guid)}>{name.replace(/^Пациент /, '')}</a>
          </li>
        ))}
      </ul>
      <p class="actions">
        <Button run={deed.run} pending={deed.pending} light>
          Вернуть данные к началу
        </Button>
      </p>
      <Status>{deed.pending ? 'Возвращаем данные…' : done && 'Данные снова как в первый день.'}</Status>
      {deed.failure && <Trouble failure={deed.failure} again={deed.run} />}
    </>
  );
}
