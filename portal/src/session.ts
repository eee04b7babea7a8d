import type { Host } from './host.js';
import { sandbox } from './sandbox.js';

/** Whether the page runs in the sandbox: no host identifies the patient, and the user picks one. */
export const inSandbox = window.talonHost === undefined;

/** The host that identifies the patient. */
export const host: Host = window.talonHost ?? sandbox;
