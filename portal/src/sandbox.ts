import { createTalon, listScenarios, orThrow, resetSandbox } from 'talon-sdk';
import type { CallOptions, Outcome, SandboxPatient } from 'talon-sdk';
import type { Host } from './host.js';

const talon = createTalon({ baseUrl: '' });

/** The guid of the picked patient, from the address: tabs, links and reloads keep it. */
export const pickedGuid = new URLSearchParams(location.search).get('patient');

/** Returns the address of the page for a patient. */
export const patientHref = (guid: string) => `?patient=${guid}#/referrals`;

/** The address of the page on which the user picks a patient. */
export const patientListHref = location.pathname;

/** The picked patient, with a token. */
let patient: SandboxPatient | undefined;

/** Returns the demo patients, and stores the picked one. */
export async function listPatients(options?: CallOptions): Promise<Outcome<SandboxPatient[], 'listScenarios'>> {
  const outcome = await listScenarios(talon, {}, options);
  if (!outcome.ok) return outcome;
  const { patients } = outcome.data;
  patient = patients.find(({ guid }) => guid === pickedGuid);
  sandbox.patientName = patient?.name;
  return { ...outcome, data: patients };
}

/** The host of the sandbox: it identifies the picked patient. */
export const sandbox: Host = {
  token: async (expired) => {
    if (patient === undefined || patient.token === expired) orThrow(await listPatients());
    return patient?.token;
  },
  signIn: () => location.assign(patientListHref),
};

/** Resets the demo data. */
export const reset = (options?: CallOptions) => resetSandbox(talon, {}, options);
