// A client of swagger-typescript-api. It throws a response that is not 2xx.
import type { Story } from '../story.js';
import { Api, type Error as TalonError, type HttpResponse } from './generated/talon.js';

export const story: Story = async ({ baseUrl, token, directionGuid, lpuToGuid, dateFrom, fullSlotId }) => {
  const talon = new Api<string>({
    baseUrl,
    securityWorker: (token) => ({ headers: { Authorization: `Bearer ${token}` } }),
  });
  talon.setSecurityData(token);

  const { data: referral } = await talon.directions.getDirection(directionGuid);
  const request = {
    DirectionGuid: referral.guid,
    DirectionType: referral.type,
    LpuFromGuid: referral.holderLpuGuid,
    LpuToGuid: lpuToGuid,
  };

  const full = await talon.appointments.createAppointment({ ...request, SlotId: fullSlotId }).then(
    () => {
      throw new Error('a full cell was booked');
    },
    (rejected: HttpResponse<unknown, TalonError>) => rejected,
  );

  const query = { lpuGuid: lpuToGuid, dateFrom, limit: 1 };
  const { data: cells } = await talon.directions.listDirectionSlots(directionGuid, query);
  const cell = cells.items[0];
  if (!cell) throw new Error('no free cell');

  const { data: visit } = await talon.appointments.createAppointment(
    { ...request, SlotGuid: cell.guid, VisitComment: 'swagger-typescript-api' },
    { headers: { 'Idempotency-Key': crypto.randomUUID() } },
  );
  const appointment = visit.consultDirection?.appointment;
  if (!appointment) throw new Error('not a consultation');
  const { data: after } = await talon.directions.getDirection(directionGuid);

  const reason = { ReasonCode: 6, Reason: 'Пациент уезжает' };
  const { data: cancelled } = await talon.appointments.cancelAppointment(appointment.guid, reason);

  return {
    status: referral.status,
    booked: [referral.appointment !== null, after.appointment !== null],
    blockedBy: cells.blockedBy?.rule ?? null,
    refused: { status: full.status, rule: full.error.rule, details: full.error.details !== undefined },
    startsWithCell: appointment.start === cell.start,
    cancelled: cancelled.message_code,
  };
};
