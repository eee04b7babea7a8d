import { createTalon } from 'talon-sdk';
import { host } from './session.js';

export const talon = createTalon({
  baseUrl: host.baseUrl ?? '',
  token: (expired) => host.token(expired),
  tries: 3, // somebody is waiting, and can repeat
  fetch: (request) => fetch(request, { keepalive: true }), // what was asked is done though the page be left
});
