// What a call centre does with Talon, by HTTP alone: a consumer whose expectations are in pacts/.

/**
 * The desk of an operator. Each of its ways answers what Talon has said, or `{ refused }`: the rule, and what to tell the caller.
 * @param {{ baseUrl: string, guid: string, secret: string }} application Where Talon is, and what the client application proves itself by.
 */
export function callCentre({ baseUrl, guid, secret }) {
  const basic = `Basic ${Buffer.from(`${guid}:${secret}`).toString('base64')}`;

  async function ask(authorization, method, path, { query = {}, body, key } = {}) {
    const headers = { Authorization: authorization };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (key !== undefined) headers['Idempotency-Key'] = key;
    const search = new URLSearchParams(query).toString();
    const response = await fetch(`${baseUrl}${path}${search && `?${search}`}`, {
      method,
      headers,
      body: body && JSON.stringify(body),
    });
    const answer = await response.json();
    if (response.ok) return answer;
    const { rule, message, request_id: requestId } = answer;
    const again = response.headers.get('Retry-After');
    return { refused: { rule, message, requestId, ...(again && { again: Number(again) }) } };
  }

  /** Whom the caller is, by what the caller says: the patient's token. */
  const identify = async (parameters) => {
    const answer = await ask(basic, 'GET', '/auth/cod/token', { query: parameters });
    return answer.refused ? answer : { token: `Bearer ${answer.token}`, until: answer.expiresAt };
  };

  return {
    identifyByPolicy: (number, birthday) => identify({ n_pol: number, Birthday: birthday }),
    identifyByGuid: (personguid) => identify({ personguid }),
    identifyByName: (snils, surname, name, patronymic) =>
      identify({ epgu: true, snils, f: surname, n: name, p: patronymic }),

    /** What stands in the way of a booking, with who can mend it; nothing, where it would be booked. */
    obstacles: async (token, booking) => {
      const answer = await ask(token, 'POST', '/appointments/check', { body: booking });
      if (answer.refused) return answer;
      return answer.checks
        .filter(({ result }) => result === 'failed')
        .map(({ rule, message, mender }) => ({ rule, message, mender }));
    },

    /** Books once, however often it is asked for with the same key. */
    book: async (token, booking, key) => {
      const answer = await ask(token, 'POST', '/appointments', { body: booking, key });
      return answer.refused ? answer : (answer.consultDirection ?? answer.laboratoryDirection).appointment;
    },

    /** Cancels, with the caller's own words for why. */
    cancel: (token, appointment, reason, key) =>
      ask(token, 'DELETE', `/appointments/${appointment}`, { body: { ReasonCode: 6, Reason: reason }, key }),

    /** Finds the referral that the caller reads from the paper. */
    referral: (token, number) => ask(token, 'GET', `/directions/by-number/${encodeURIComponent(number)}`),

    /** The rules that are in force in an institution, with who can mend what they refuse. */
    rules: async (token, lpuGuid) => {
      const answer = await ask(token, 'GET', '/rules', { query: { lpuGuid } });
      return answer.refused
        ? answer
        : answer.items.filter(({ enabled }) => enabled).map(({ rule, mender }) => ({ rule, mender }));
    },
  };
}
