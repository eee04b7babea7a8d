import type { Slot, SlotPage } from 'talon-sdk';

/** A cell that can be booked. It comes from the list of free cells or from the details of a refusal. */
export type Cell = Pick<Slot, 'guid' | 'start' | 'end' | 'lpu' | 'resource'> & Partial<Pick<Slot, 'restriction'>>;

/** What a booking or a hold sends of its referral. */
export type ReferralRef = Pick<SlotPage, 'directionGuid' | 'directionType' | 'holderLpuGuid'>;
