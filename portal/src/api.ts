import { createTalon } from 'talon-sdk';
import { language } from './language.js';
import { host } from './session.js';

/** The client of Talon for the patient of this page. */
export const talon = createTalon({
  baseUrl: host.baseUrl ?? '',
  token: (expired) => host.token(expired),
  tries: 3, // fewer than the default: the patient waits and can retry
  fetch: (request) => {
    request.headers.set('Accept-Language', language); // titles of refusals
    return fetch(request, { keepalive: true }); // the browser completes it after the page is closed
  },
});
