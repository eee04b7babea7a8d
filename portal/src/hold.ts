import { holdSlot, releaseSlot } from 'talon-sdk';
import { useEffect, useRef, useState } from 'preact/hooks';
import { talon } from './api.js';
import type { Cell, ReferralRef } from './cell.js';
import { settle } from './queries.js';
import type { Failure } from './queries.js';

export interface CellHold {
  /** The end of the hold. It is missing until Talon has confirmed the hold. */
  heldUntil?: string;
  /** The rest of the hold in milliseconds, 0 after its end. It changes every second. */
  remaining: number;
  failure?: Failure;
  /** Holds the cell once more. */
  retry: () => void;
  /** Tells the hook that a booking has used the hold, so that it does not release the cell. */
  markUsed: () => void;
}

/** The last hold or release. The next one waits for it: those of one cell keep their order. */
let queue: Promise<unknown> = Promise.resolve();

/**
 * Holds a cell while the view is open, for a booking or for the move of a visit. A reload keeps the
 * hold, and Talon returns it again. So if the page is closed instead, the hold ends by itself.
 */
export function useHold(
  { directionGuid, directionType, holderLpuGuid }: ReferralRef,
  cell: Cell,
  visitGuid: string | undefined,
): CellHold {
  const [state, setState] = useState<{ heldUntil?: string; failure?: Failure }>({});
  const [attempt, setAttempt] = useState(0);
  const isUsed = useRef(false);

  useEffect(() => {
    let isReleased = false;
    setState({});
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
    return () => {
      isReleased = true;
      queue = held.then(({ data }) => {
        if (data === undefined || isUsed.current) return;
        // If the release fails, the hold expires later.
        return settle(releaseSlot(talon, { path: { slotGuid: cell.guid }, query: { lpuGuid: cell.lpu.guid } }));
      });
    };
  }, [cell.guid, attempt]);

  return {
    ...state,
    remaining: useRemaining(state.heldUntil),
    retry: () => setAttempt(attempt + 1),
    markUsed: () => void (isUsed.current = true),
  };
}

/** Returns the milliseconds until a time, and renders anew every second until then. */
function useRemaining(until: string | undefined): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (until === undefined) return;
    const tick = () => {
      setNow(Date.now());
      if (Date.now() >= Date.parse(until)) clearInterval(timer);
    };
    const timer = setInterval(tick, 1000);
    tick();
    return () => clearInterval(timer);
  }, [until]);
  return until === undefined ? 0 : Math.max(0, Date.parse(until) - now);
}
