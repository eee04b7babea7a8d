import { createTalon } from 'talon-sdk';
import { host } from './session.js';

/** The client of Talon for the patient of this page. */
export const talon = createTalon({
  baseUrl: host.baseUrl ?? '',
  token: (expired) => host.token(expired),
  tries: 3, // fewer than the default: the patient waits and can retry
  fetch: (request) => fetch(request, { keepalive: true }), // the browser completes it after the page is closed
});
