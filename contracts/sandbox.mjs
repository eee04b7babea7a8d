// The real service with its demo data: for a check to talk to, and for its scenarios, which are the provider states of the pacts.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTalon } from '../sdk/typescript/test/service.mjs';

/** Starts a sandbox of our own. Stop it in the end. */
export async function startSandbox() {
  const folder = mkdtempSync(join(tmpdir(), 'talon-contracts-'));
  chmodSync(folder, 0o755); // PostgreSQL, started by root, runs as another user
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  try {
    const service = await startTalon({ XDG_CACHE_HOME: folder });
    return { baseUrl: service.baseUrl, stop: () => service.stop().finally(removeFolder) };
  } catch (error) {
    removeFolder();
    throw error;
  }
}

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
