import type { ComponentChildren } from 'preact';
import { useEffect, useErrorBoundary, useState } from 'preact/hooks';
import { Heading, Status } from './components.js';
import { FailureMessage } from './failure.js';
import { useQuery } from './queries.js';
import { href, parseRoute } from './route.js';
import type { Route } from './route.js';
import { listPatients, patientListHref, pickedGuid } from './sandbox.js';
import { host, inSandbox } from './session.js';
import { Appointments } from './views/appointments.js';
import { Cancel } from './views/cancel.js';
import { Cells, Move } from './views/cells.js';
import { Patients } from './views/patients.js';
import { Referrals } from './views/referrals.js';
import { Ticket } from './views/ticket.js';

export function App() {
  return inSandbox ? <Sandbox /> : <Portal />;
}

/** Lets the user pick a demo patient, and then shows the portal. */
function Sandbox() {
  const { data, failure, retry } = useQuery(listPatients, []);
  if (data && host.patientName) return <Portal />;
  return (
    <Frame>
      {failure && <FailureMessage failure={failure} retry={retry} />}
      {!data && !failure && <Status>Загружаем…</Status>}
      {data && pickedGuid && <p role="alert">Такого пациента в демонстрации нет.</p>}
      {data && <Patients patients={data} />}
    </Frame>
  );
}

function Portal() {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const onChange = () => setHash(location.hash);
    addEventListener('hashchange', onChange);
    return () => removeEventListener('hashchange', onChange);
  }, []);
  const route = parseRoute(hash);
  const isAppointmentView = ['appointments', 'ticket', 'move', 'cancel'].includes(route.view);
  return (
    <Frame
      nav={
        <nav aria-label="Разделы">
          <a href={href({ view: 'referrals' })} aria-current={isAppointmentView ? undefined : 'page'}>
            Направления
          </a>
          <a href={href({ view: 'appointments' })} aria-current={isAppointmentView ? 'page' : undefined}>
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
  const [error] = useErrorBoundary((thrown) => console.error(thrown));
  if (error) return <FailureMessage failure={{ error }} retry={() => location.reload()} />;
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
    case 'notFound':
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
          event.preventDefault(); // the hash selects the view
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
          <p class="patient">
            {host.patientName} {inSandbox && host.patientName && <a href={patientListHref}>Сменить</a>}
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
