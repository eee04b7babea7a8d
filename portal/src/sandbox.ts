import { createTalon, listScenarios, orThrow, resetSandbox } from 'talon-sdk';
import type { CallOptions, Outcome, SandboxPatient } from 'talon-sdk';
import type { Host } from './host.js';

const talon = createTalon({ baseUrl: '' });

/** Who was picked: `?patient=GUID`, so that each tab, link and reload has its own. */
export const picked = new URLSearchParams(location.search).get('patient');

/** The address of the page with a patient picked. */
export const withPatient = (guid: string) => `?patient=${guid}#/referrals`;

/** The page without a patient: where one is picked. */
export const withoutPatient = location.pathname;

/** The demo's patients. The one picked is remembered, with the token. */
export async function listPatients(options?: CallOptions): Promise<Outcome<SandboxPatient[], 'listScenarios'>> {
  const outcome = await listScenarios(talon, {}, options);
  if (!outcome.ok) return outcome;
  const { patients } = outcome.data;
  patient = patients.find(({ guid }) => guid === picked);
  sandbox.patientName = patient?.name;
  return { ...outcome, data: patients };
}

let patient: SandboxPatient | undefined;

export const sandbox: Host = {
  token: async (expired) => {
    if (patient === undefined || patient.token === expired) orThrow(await listPatients());
    return patient?.token;
  },
  signIn: () => location.assign(withoutPatient),
};

/** Puts the demo data back. */
export const reset = (options?: CallOptions) => resetSandbox(talon, {}, options);
