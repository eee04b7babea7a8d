import { holdSlot, releaseSlot } from 'talon-sdk';
import { useEffect, useRef, useState } from 'preact/hooks';
import { talon } from './api.js';
import { settle } from './queries.js';
import type { Failure } from './queries.js';
import type { Cell, ReferralRef } from './cell.js';

export interface CellHold {
  /** Until when it stands. */
  until?: string;
  /** It has ended, though nobody gave it back. */
  over: boolean;
  failure?: Failure;
  again: () => void;
  /** It has ended with the booking, and is not to be given back. */
  used: () => void;
}

/** Holds and releases come one after the other, so that none overtakes another of the same cell. */
let queue: Promise<unknown> = Promise.resolve();

/** Holds a cell for as long as the view is there: to be booked, or for the move of a visit. */
export function useHold(
  { directionGuid, directionType, holderLpuGuid }: ReferralRef,
  cell: Cell,
  visit: string | undefined,
): CellHold {
  const [state, setState] = useState<{ until?: string; failure?: Failure }>({});
  const [over, setOver] = useState(false);
  const [turn, setTurn] = useState(0);
  const used = useRef(false);

  useEffect(() => {
    let gone = false;
    setState({});
    setOver(false);
    const referral = { DirectionGuid: directionGuid, DirectionType: directionType, LpuFromGuid: holderLpuGuid };
    const body = { ...referral, LpuToGuid: cell.lpu.guid, AppointmentGuid: visit };
    const held = queue.then(() => settle(holdSlot(talon, { path: { slotGuid: cell.guid }, body })));
    queue = held;
    held.then(({ data, failure }) => gone || setState({ until: data?.heldUntil, failure }));

    const giveBack = () => {
      gone = true;
      queue = held.then(({ data }) => {
        if (data === undefined || used.current) return;
        return settle(releaseSlot(talon, { path: { slotGuid: cell.guid }, query: { lpuGuid: cell.lpu.guid } })); // where it fails the hold ends by itself
      });
    };
    const holdAgain = ({ persisted }: PageTransitionEvent) => persisted && setTurn(turn + 1);
    addEventListener('pagehide', giveBack);
    addEventListener('pageshow', holdAgain);
    return () => {
      removeEventListener('pagehide', giveBack);
      removeEventListener('pageshow', holdAgain);
      giveBack();
    };
  }, [cell.guid, turn]);

  const { until } = state;
  useEffect(() => {
    if (until === undefined) return;
    const timer = setTimeout(() => setOver(true), Math.max(0, Date.parse(until) - Date.now()));
    return () => clearTimeout(timer);
  }, [until]);

  return { ...state, over, again: () => setTurn(turn + 1), used: () => void (used.current = true) };
}
