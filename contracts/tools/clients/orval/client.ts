// A client of orval, with its fetch functions.
import type { Story } from '../story.js';
import { connect } from './fetch.js';
import { cancelAppointment, createAppointment, getDirection, listDirectionSlots } from './generated/talon.js';

export const story: Story = async ({ baseUrl, token, directionGuid, lpuToGuid, dateFrom, fullSlotId }) => {
  connect({ baseUrl, token });

  const referral = await getDirection(directionGuid);
  if (referral.status !== 200) throw new Error(referral.data.rule);
  const request = {
    DirectionGuid: referral.data.guid,
    DirectionType: referral.data.type,
    LpuFromGuid: referral.data.holderLpuGuid,
    LpuToGuid: lpuToGuid,
  };

  const full = await createAppointment({ ...request, SlotId: fullSlotId });
  if (full.status === 200) throw new Error('a full cell was booked');

  const cells = await listDirectionSlots(directionGuid, { lpuGuid: lpuToGuid, dateFrom, limit: 1 });
  if (cells.status !== 200) throw new Error(cells.data.rule);
  const cell = cells.data.items[0];
  if (!cell) throw new Error('no free cell');

  const visit = await createAppointment(
    { ...request, SlotGuid: cell.guid, VisitComment: 'orval' },
    { headers: { 'Idempotency-Key': crypto.randomUUID() } },
  );
  if (visit.status !== 200) throw new Error(visit.data.rule);
  const appointment = visit.data.consultDirection?.appointment;
  if (!appointment) throw new Error('not a consultation');
  const after = await getDirection(directionGuid);
  if (after.status !== 200) throw new Error(after.data.rule);

  const cancelled = await cancelAppointment(appointment.guid, { ReasonCode: 6, Reason: 'Пациент уезжает' });
  if (cancelled.status !== 200) throw new Error(cancelled.data.rule);

  return {
    status: referral.data.status,
    booked: [referral.data.appointment !== null, after.data.appointment !== null],
    blockedBy: cells.data.blockedBy?.rule ?? null,
    refused: { status: full.status, rule: full.data.rule, details: full.data.details !== undefined },
    startsWithCell: appointment.start === cell.start,
    cancelled: cancelled.data.message_code,
  };
};
