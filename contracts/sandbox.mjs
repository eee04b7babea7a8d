// Starts the service with its demo data, and reads its scenarios: the provider states of pacts.
export { startTalon as startSandbox } from '../sdk/typescript/test/service.mjs';

/** Returns the scenarios of a sandbox in their order. */
export async function scenariosOf(baseUrl) {
  const response = await fetch(`${baseUrl}/sandbox/scenarios`);
  if (!response.ok) throw new Error(`${baseUrl} is not a sandbox: GET /sandbox/scenarios returns ${response.status}`);
  return (await response.json()).scenarios;
}

/** Resets the data of a sandbox. */
export async function reset(baseUrl) {
  const response = await fetch(`${baseUrl}/sandbox/reset`, { method: 'POST' });
  if (!response.ok) throw new Error(`POST /sandbox/reset returns ${response.status}`);
}
