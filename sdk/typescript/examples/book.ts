import { createAppointment, createTalon, formatTime, listDirectionSlots, orThrow } from 'talon-sdk';

const baseUrl = process.env.TALON_URL ?? 'http://127.0.0.1:8080';
const talon = createTalon({ baseUrl, token: () => process.env.TOKEN });
const path = { directionGuid: 'e714e964-d8a0-4776-b163-c708371c39a5' };
const { items, blockedBy, ...direction } = orThrow(await listDirectionSlots(talon, { path, query: { limit: 1 } }));
if (items.length === 0) throw new Error(blockedBy?.message ?? 'no free cells');
const [{ guid, start, lpu }] = items;
const booked = await createAppointment(talon, {
  body: {
    DirectionGuid: direction.directionGuid,
    DirectionType: direction.directionType,
    LpuFromGuid: direction.holderLpuGuid,
    LpuToGuid: lpu.guid,
    SlotGuid: guid,
  },
});
if (booked.ok) {
  console.log(`Booked: ${formatTime(start, 'ru', { dateStyle: 'full', timeStyle: 'short' })}`);
} else if (booked.refusal.rule === 'slot_taken') {
  console.log('Another patient was faster. Free nearby:', booked.refusal.details?.slots);
} else {
  console.log(booked.refusal.message);
}
