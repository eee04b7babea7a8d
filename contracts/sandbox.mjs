// The real service with its demo data: for a check to talk to, and for its scenarios, which are the provider states of the pacts.
export { startTalon as startSandbox } from '../sdk/typescript/test/service.mjs';

/** The scenarios of a sandbox, in their order. */
export async function scenariosOf(baseUrl) {
  const response = await fetch(`${baseUrl}/sandbox/scenarios`);
  if (!response.ok) throw new Error(`${baseUrl} is no sandbox: GET /sandbox/scenarios answers ${response.status}`);
  return (await response.json()).scenarios;
}

/** Puts the data of a sandbox back. */
export async function reset(baseUrl) {
  const response = await fetch(`${baseUrl}/sandbox/reset`, { method: 'POST' });
  if (!response.ok) throw new Error(`POST /sandbox/reset answers ${response.status}`);
}
