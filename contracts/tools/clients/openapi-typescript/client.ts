// A client with openapi-fetch and the types of openapi-typescript.
import createClient from 'openapi-fetch';
import type { Story } from '../story.js';
import type { paths } from './generated/talon.js';

export const story: Story = async ({ baseUrl, token, directionGuid, lpuToGuid, dateFrom, fullSlotId }) => {
  const talon = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
  const path = { directionGuid };

  const referral = await talon.GET('/directions/{directionGuid}', { params: { path } });
  if (!referral.data) throw new Error(referral.error.rule);
  const request = {
    DirectionGuid: referral.data.guid,
    DirectionType: referral.data.type,
    LpuFromGuid: referral.data.holderLpuGuid,
    LpuToGuid: lpuToGuid,
  };

  const full = await talon.POST('/appointments', { body: { ...request, SlotId: fullSlotId } });
  if (!full.error) throw new Error('a full cell was booked');

  const cells = await talon.GET('/directions/{directionGuid}/slots', {
    params: { path, query: { lpuGuid: lpuToGuid, dateFrom, limit: 1 } },
  });
  const cell = cells.data?.items[0];
  if (!cells.data || !cell) throw new Error('no free cell');

  const visit = await talon.POST('/appointments', {
    params: { header: { 'Idempotency-Key': crypto.randomUUID() } },
    body: { ...request, SlotGuid: cell.guid, VisitComment: 'openapi-typescript' },
  });
  const appointment = visit.data?.consultDirection?.appointment;
  if (!appointment) throw new Error(visit.error?.rule);
  const after = await talon.GET('/directions/{directionGuid}', { params: { path } });
  if (!after.data) throw new Error(after.error.rule);

  const cancelled = await talon.DELETE('/appointments/{appointmentGuid}', {
    params: { path: { appointmentGuid: appointment.guid } },
    body: { ReasonCode: 6, Reason: 'Пациент уезжает' },
  });
  if (!cancelled.data) throw new Error(cancelled.error.rule);

  return {
    status: referral.data.status,
    booked: [referral.data.appointment !== null, after.data.appointment !== null],
    blockedBy: cells.data.blockedBy?.rule ?? null,
    refused: { status: full.response.status, rule: full.error.rule, details: full.error.details !== undefined },
    startsWithCell: appointment.start === cell.start,
    cancelled: cancelled.data.message_code,
  };
};
