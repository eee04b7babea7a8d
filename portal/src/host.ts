/**
 * The connection to the site around this page. It identifies the patient. A deployment sets
 * `window.talonHost` in its own host.js.
 */
export interface Host {
  /** The address of Talon; by default the origin of the page. */
  baseUrl?: string;
  /** The name of the patient on the ticket. */
  patientName?: string;
  /**
   * Returns the patient's COD token. When Talon rejects a token as expired, it is called once more
   * with that token and must return a new one.
   */
  token: (expired?: string) => string | undefined | Promise<string | undefined>;
  /** Starts a new sign-in of the patient. */
  signIn: () => void;
}

declare global {
  interface Window {
    talonHost?: Host;
  }
}
