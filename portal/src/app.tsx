import type { ComponentChildren } from 'preact';
import { useEffect, useErrorBoundary, useState } from 'preact/hooks';
import { useAnswer } from './queries.js';
import { host, inSandbox } from './session.js';
import { Heading, Status } from './components.js';
import { href, parseRoute } from './route.js';
import type { Route } from './route.js';
import { listPatients, picked, withoutPatient } from './sandbox.js';
import { Trouble } from './failure.js';
import { Appointments } from './views/appointments.js';
import { Cancel } from './views/cancel.js';
import { Cells, Move } from './views/cells.js';
import { Patients } from './views/patients.js';
import { Referrals } from './views/referrals.js';
import { Ticket } from './views/ticket.js';

export function App() {
  return inSandbox ? <Sandbox /> : <Portal />;
}

/** In the sandbox a patient has to be picked first. */
function Sandbox() {
  const { data, failure, again } = useAnswer(listPatients, []);
  if (data && host.patientName) return <Portal />;
  return (
    <Frame>
      {failure && <Trouble failure={failure} again={again} />}
      {!data && !failure && <Status>Загружаем…</Status>}
      {data && picked && <p role="alert">Такого пациента в демонстрации нет.</p>}
      {data && <Patients patients={data} />}
    </Frame>
  );
}

function Portal() {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const follow = () => setHash(location.hash);
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  const route = parseRoute(hash);
  const visits = ['appointments', 'ticket', 'move', 'cancel'].includes(route.view);
  return (
    <Frame
      nav={
        <nav aria-label="Разделы">
          <a href={href({ view: 'referrals' })} aria-current={visits ? undefined : 'page'}>
            Направления
          </a>
          <a href={href({ view: 'appointments' })} aria-current={visits ? 'page' : undefined}>
            Записи
          </a>
        </nav>
      }
    >
      <View key={hash.split('?')[0]} route={route} />
    </Frame>
  );
}

function View({ route }: { route: Route }) {
  const [broken] = useErrorBoundary((error) => console.error(error));
  if (broken) return <Trouble failure={{ lost: broken }} again={() => location.reload()} />;
  switch (route.view) {
    case 'referrals':
      return <Referrals />;
    case 'cells':
      return <Cells direction={route.direction} search={route.search} />;
    case 'appointments':
      return <Appointments />;
    case 'ticket':
      return <Ticket appointment={route.appointment} news={route.news} />;
    case 'move':
      return <Move appointment={route.appointment} search={route.search} />;
    case 'cancel':
      return <Cancel appointment={route.appointment} />;
    case 'nowhere':
      return (
        <>
          <Heading title="Такой страницы нет">Такой страницы нет</Heading>
          <p>
            <a href={href({ view: 'referrals' })}>К направлениям</a>
          </p>
        </>
      );
  }
}

function Frame({ nav, children }: { nav?: ComponentChildren; children: ComponentChildren }) {
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault(); // the hash is the view
          document.getElementById('main')?.focus();
        }}
      >
        К содержанию
      </a>
      <header class="top">
        <p class="brand">
          <img src="./icon.svg" alt="" width="32" height="32" /> Талон
        </p>
        {nav}
        {(host.patientName || inSandbox) && (
          <p class="who">
            {host.patientName} {inSandbox && host.patientName && <a href={withoutPatient}>Сменить</a>}
          </p>
        )}
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
      {inSandbox && <footer>Демонстрация: люди и организации вымышлены.</footer>}
    </>
  );
}
