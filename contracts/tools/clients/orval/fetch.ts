// orval calls this instead of fetch. It adds the address of the service and the token.
let service: { baseUrl: string; token: string };

/** Sets the service for all requests. */
export const connect = (to: typeof service): void => {
  service = to;
};

/** Sends a request, and parses its JSON. */
export const send = async <T>(path: string, init: RequestInit): Promise<T> => {
  const headers = { ...init.headers, Authorization: `Bearer ${service.token}` };
  const response = await fetch(`${service.baseUrl}${path}`, { ...init, headers });
  const data: unknown = response.status === 304 ? undefined : await response.json();
  return { status: response.status, data, headers: response.headers } as T;
};
