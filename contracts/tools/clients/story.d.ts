/** The patient, the referral and the cells of a story. */
export interface Input {
  baseUrl: string;
  token: string;
  directionGuid: string;
  lpuToGuid: string;
  dateFrom: string;
  /** A cell without a free place. */
  fullSlotId: number;
}

/** What a client has read in a story. Each value comes from a decoded response. */
export interface Output {
  /** The status of the unbooked referral. */
  status: string;
  /** Whether the referral has an appointment before the booking, and after it. */
  booked: [boolean, boolean];
  /** The rule that rejects every cell, or null. */
  blockedBy: string | null;
  /** The rejection of the full cell. */
  refused: { status: number; rule: string; details: boolean };
  /** Whether the booked visit starts when its cell does. */
  startsWithCell: boolean;
  /** The message code of the cancellation. */
  cancelled: string;
}

/** Books a visit in a full cell, which is refused, then in a free one, and cancels it. */
export type Story = (input: Input) => Promise<Output>;
