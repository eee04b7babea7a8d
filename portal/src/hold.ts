import { holdSlot, releaseSlot } from 'talon-sdk';
import { useEffect, useRef, useState } from 'preact/hooks';
import { talon } from './api.js';
import type { Cell, ReferralRef } from './cell.js';
import { settle } from './queries.js';
import type { Failure } from './queries.js';

export interface CellHold {
  /** The end of the hold. It is missing until Talon has confirmed the hold. */
  heldUntil?: string;
  /** Whether the hold has expired. */
  expired: boolean;
  failure?: Failure;
  /** Holds the cell once more. */
  retry: () => void;
  /** Tells the hook that a booking has used the hold, so that it does not release the cell. */
  markUsed: () => void;
}

/** The last hold or release. The next one waits for it: those of one cell keep their order. */
let queue: Promise<unknown> = Promise.resolve();

/** Holds a cell while the view is open, for a booking or for the move of a visit. */
export function useHold(
  { directionGuid, directionType, holderLpuGuid }: ReferralRef,
  cell: Cell,
  visitGuid: string | undefined,
): CellHold {
  const [state, setState] = useState<{ heldUntil?: string; failure?: Failure }>({});
  const [expired, setExpired] = useState(false);
  const [attempt, setAttempt] = useState(0);
  const isUsed = useRef(false);

  useEffect(() => {
    let isReleased = false;
    setState({});
    setExpired(false);
    const body = {
      DirectionGuid: directionGuid,
      DirectionType: directionType,
      LpuFromGuid: holderLpuGuid,
      LpuToGuid: cell.lpu.guid,
      AppointmentGuid: visitGuid,
    };
    const held = queue.then(() => settle(holdSlot(talon, { path: { slotGuid: cell.guid }, body })));
    queue = held;
    held.then(({ data, failure }) => isReleased || setState({ heldUntil: data?.heldUntil, failure }));

    const release = () => {
      isReleased = true;
      queue = held.then(({ data }) => {
        if (data === undefined || isUsed.current) return;
        // If the release fails, the hold expires later.
        return settle(releaseSlot(talon, { path: { slotGuid: cell.guid }, query: { lpuGuid: cell.lpu.guid } }));
      });
    };
    const holdAgain = ({ persisted }: PageTransitionEvent) => persisted && setAttempt(attempt + 1);
    addEventListener('pagehide', release);
    addEventListener('pageshow', holdAgain);
    return () => {
      removeEventListener('pagehide', release);
      removeEventListener('pageshow', holdAgain);
      release();
    };
  }, [cell.guid, attempt]);

  const { heldUntil } = state;
  useEffect(() => {
    if (heldUntil === undefined) return;
    const timer = setTimeout(() => setExpired(true), Math.max(0, Date.parse(heldUntil) - Date.now()));
    return () => clearTimeout(timer);
  }, [heldUntil]);

  return {
    ...state,
    expired,
    retry: () => setAttempt(attempt + 1),
    markUsed: () => void (isUsed.current = true),
  };
}
