import { createTalon, orThrow } from './call.js';
import type { TalonOptions } from './call.js';
import { getSystemToken } from './gen/operations.gen.js';

/** The options of `clientCredentials`. Never set them in a browser. */
export interface ClientCredentials extends Pick<TalonOptions, 'baseUrl' | 'fetch'> {
  /** The guid of the client application. */
  clientId: string;
  secret: string;
  /** The scopes of the tokens, separated by spaces; by default all of the client application. */
  scope?: string;
}

/** A new token is requested this many milliseconds before the old one expires. */
const MARGIN = 60_000;

/**
 * Returns a token provider for `createTalon`: the tokens of a client application that acts for
 * itself, such as a clinic's system. It requests a token when one is needed, keeps it until shortly
 * before it expires, and requests one at a time. A rejected request throws a `RefusedError`.
 */
export function clientCredentials(options: ClientCredentials): (expired?: string) => Promise<string> {
  const { baseUrl, fetch, clientId, secret, scope } = options;
  const talon = createTalon({ baseUrl, fetch });
  const body = { grant_type: 'client_credentials', client_id: clientId, client_secret: secret, scope };
  let issued: { token: string; renewAt: number } | undefined;
  let pending: Promise<typeof issued & {}> | undefined;

  const request = async () => {
    const now = Date.now();
    const { access_token: token, expires_in: seconds } = orThrow(await getSystemToken(talon, { body }));
    const life = seconds * 1_000;
    return { token, renewAt: now + life - Math.min(MARGIN, life / 2) };
  };

  return async (expired) => {
    if (issued !== undefined && issued.token !== expired && Date.now() < issued.renewAt) return issued.token;
    pending ??= request().finally(() => (pending = undefined));
    issued = await pending;
    return issued.token;
  };
}
