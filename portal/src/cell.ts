import type { Slot, SlotPage } from 'talon-sdk';

/** A cell that can be booked, from the list of free cells or from the details of a refusal. */
export type Cell = Pick<Slot, 'guid' | 'start' | 'end' | 'lpu' | 'resource'> & Partial<Pick<Slot, 'restriction'>>;

/** The fields of a referral that a booking and a hold send. */
export type ReferralRef = Pick<SlotPage, 'directionGuid' | 'directionType' | 'holderLpuGuid'>;
