import type { ComponentChildren } from 'preact';
import { useEffect, useErrorBoundary, useState } from 'preact/hooks';
import { Heading, Ru, Status } from './components.js';
import { FailureMessage } from './failure.js';
import { chooseLanguage, language, t } from './language.js';
import type { Language } from './language.js';
import { useQuery } from './queries.js';
import { href, parseRoute } from './route.js';
import type { Route } from './route.js';
import { listPatients, patientListHref, pickedGuid } from './sandbox.js';
import { host, inSandbox } from './session.js';
import { Appointments } from './views/appointments.js';
import { Cancel } from './views/cancel.js';
import { Cells, Move } from './views/cells.js';
import { Institutions, MoveInstitutions } from './views/institutions.js';
import { Patients } from './views/patients.js';
import { Referrals } from './views/referrals.js';
import { Ticket } from './views/ticket.js';

/** The path of the page: the folder above the one of this file. */
const root = new URL(import.meta.url.replace(/[^/]*\/[^/]*$/, '')).pathname;

const isUnknownPath = ![root, `${root}index.html`].includes(location.pathname);

export function App() {
  // All components read the texts while they render, so this renders them in the new language.
  const [current, setCurrent] = useState<Language>(language);
  useEffect(() => {
    document.documentElement.lang = current;
  }, [current]);
  const change = (next: Language) => {
    chooseLanguage(next);
    setCurrent(next);
  };
  const frame = { change };
  if (isUnknownPath) {
    return (
      <Frame {...frame}>
        <NotFound start={root} />
      </Frame>
    );
  }
  return inSandbox ? <Sandbox frame={frame} /> : <Portal frame={frame} />;
}

interface FrameProps {
  /** Changes the language. */
  change: (language: Language) => void;
}

/** Lets the user pick a demo patient, and then shows the portal. */
function Sandbox({ frame }: { frame: FrameProps }) {
  const { data, failure, retry } = useQuery(listPatients, []);
  if (data && host.patientName) return <Portal frame={frame} />;
  const isLoadingPicked = pickedGuid !== null && !data && !failure;
  return (
    <Frame {...frame} nav={isLoadingPicked && <Navigation route={parseRoute(location.hash)} />}>
      {failure && <FailureMessage failure={failure} retry={retry} />}
      {!data && !failure && <Status>{t.loading}</Status>}
      {data && pickedGuid && <p role="alert">{t.patientAbsent}</p>}
      {data && <Patients patients={data} />}
    </Frame>
  );
}

function Portal({ frame }: { frame: FrameProps }) {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const onChange = () => setHash(location.hash);
    addEventListener('hashchange', onChange);
    return () => removeEventListener('hashchange', onChange);
  }, []);
  const route = parseRoute(hash);
  return (
    <Frame {...frame} nav={<Navigation route={route} />}>
      <View key={hash.split('?')[0]} route={route} />
    </Frame>
  );
}

function Navigation({ route }: { route: Route }) {
  const isOfReferrals = ['referrals', 'cells', 'institutions'].includes(route.view);
  const isOfVisits = !isOfReferrals && route.view !== 'notFound';
  return (
    <nav aria-label={t.sections}>
      <a href={href({ view: 'referrals' })} aria-current={isOfReferrals ? 'page' : undefined}>
        {t.referrals}
      </a>
      <a href={href({ view: 'appointments' })} aria-current={isOfVisits ? 'page' : undefined}>
        {t.visits}
      </a>
    </nav>
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
    case 'institutions':
      return <Institutions direction={route.direction} />;
    case 'appointments':
      return <Appointments />;
    case 'ticket':
      return <Ticket appointment={route.appointment} news={route.news} />;
    case 'move':
      return <Move appointment={route.appointment} search={route.search} />;
    case 'moveInstitutions':
      return <MoveInstitutions appointment={route.appointment} />;
    case 'cancel':
      return <Cancel appointment={route.appointment} />;
    case 'notFound':
      return <NotFound start={href({ view: 'referrals' })} />;
  }
}

/** The page for an address that leads nowhere. */
function NotFound({ start }: { start: string }) {
  return (
    <>
      <Heading title={t.notFound}>{t.notFound}</Heading>
      <p>{t.notFoundHint}</p>
      <p class="actions">
        <a class="button" href={start}>
          {t.toStart}
        </a>
      </p>
    </>
  );
}

function Frame({ change, nav, children }: FrameProps & { nav?: ComponentChildren; children: ComponentChildren }) {
  const other: Language = language === 'ru' ? 'en' : 'ru';
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
        {t.skip}
      </a>
      <header class="top">
        <p class="brand">
          <img src={`${root}icon.svg`} alt="" width="32" height="32" /> {t.brand}
        </p>
        {nav}
        {nav && (host.patientName || inSandbox) && (
          <p class="patient">
            <Ru>{host.patientName}</Ru> {inSandbox && <a href={patientListHref}>{t.changePatient}</a>}
          </p>
        )}
        <button class="language" type="button" lang={other} onClick={() => change(other)}>
          {other === 'ru' ? 'Русский' : 'English'}
        </button>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
      {inSandbox && <footer>{t.demoFooter}</footer>}
    </>
  );
}
