// A consumer of Talon without the SDK: a call centre. Its expectations are in pacts/.

/**
 * Creates the functions of an operator. Each returns data of Talon, or `{ refusal }` with the rule
 * and the message for the caller.
 * @param {object} application
 * @param {string} application.baseUrl The address of Talon.
 * @param {string} application.guid The guid of the client application.
 * @param {string} application.secret The secret of the client application.
 */
export function callCentre({ baseUrl, guid, secret }) {
  const basic = `Basic ${Buffer.from(`${guid}:${secret}`).toString('base64')}`;

  async function send(authorization, method, path, { query = {}, body, key } = {}) {
    const headers = { Authorization: authorization };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (key !== undefined) headers['Idempotency-Key'] = key;
    const search = new URLSearchParams(query).toString();
    const response = await fetch(`${baseUrl}${path}${search && `?${search}`}`, {
      method,
      headers,
      body: body && JSON.stringify(body),
    });
    const data = await response.json();
    if (response.ok) return data;
    const { rule, message, request_id: requestId } = data;
    const retryAfter = response.headers.get('Retry-After');
    return { refusal: { rule, message, requestId, ...(retryAfter && { retryAfter: Number(retryAfter) }) } };
  }

  /** Identifies the caller by personal data. Returns the patient's token. */
  const identify = async (parameters) => {
    const result = await send(basic, 'GET', '/auth/cod/token', { query: parameters });
    return result.refusal ? result : { token: `Bearer ${result.token}`, until: result.expiresAt };
  };

  return {
    identifyByPolicy: (number, birthday) => identify({ n_pol: number, Birthday: birthday }),
    identifyByGuid: (personguid) => identify({ personguid }),
    identifyByName: (snils, surname, name, patronymic) =>
      identify({ epgu: true, snils, f: surname, n: name, p: patronymic }),

    /** Returns the rules that would reject a booking, each with its message and who can help. */
    failedChecks: async (token, booking) => {
      const result = await send(token, 'POST', '/appointments/check', { body: booking });
      if (result.refusal) return result;
      return result.checks
        .filter(({ result }) => result === 'failed')
        .map(({ rule, message, mender }) => ({ rule, message, mender }));
    },

    /** Books. A repetition with the same key does not book again. */
    book: async (token, booking, key) => {
      const result = await send(token, 'POST', '/appointments', { body: booking, key });
      return result.refusal ? result : (result.consultDirection ?? result.laboratoryDirection).appointment;
    },

    /** Cancels an appointment, with the caller's reason in words. */
    cancel: (token, appointment, reason, key) =>
      send(token, 'DELETE', `/appointments/${appointment}`, { body: { ReasonCode: 6, Reason: reason }, key }),

    /** Returns a referral by the number that the caller reads from the paper. */
    referral: (token, number) => send(token, 'GET', `/directions/by-number/${encodeURIComponent(number)}`),

    /** Returns the enabled rules of an institution, each with who can help after a refusal. */
    rules: async (token, lpuGuid) => {
      const result = await send(token, 'GET', '/rules', { query: { lpuGuid } });
      return result.refusal
        ? result
        : result.items.filter(({ enabled }) => enabled).map(({ rule, mender }) => ({ rule, mender }));
    },
  };
}
