/** What the page around this one gives it: who the patient is. A deployment sets `window.talonHost` in its own host.js. */
export interface Host {
  /** Where Talon is; the page's own origin by default. */
  baseUrl?: string;
  /** The patient's name, for the ticket. */
  patientName?: string;
  /** Gives the patient's COD token. Where Talon has refused one as expired it is asked once more, with that token. */
  token: (expired?: string) => string | undefined | Promise<string | undefined>;
  /** Has the patient sign in again. */
  signIn: () => void;
}

declare global {
  interface Window {
    talonHost?: Host;
  }
}
