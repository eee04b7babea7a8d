// What the contract's values are called.
import type { AppointmentStatus, DirectionStatus, Resource, Slot, Speciality } from 'talon-sdk';

export const directionStatus: Record<DirectionStatus, string> = {
  NotBooked: 'Не записан',
  Booked: 'Записан',
  Expired: 'Истекло',
  Completed: 'Состоялся',
  Cancelled: 'Отменено',
};

export const appointmentStatus: Record<AppointmentStatus, string> = {
  Booked: 'Записан',
  Completed: 'Состоялся',
  Cancelled: 'Отменена',
};

/** What stands before the name of a resource, which mostly says «врач» itself. */
export const resourceKind: Record<Resource['kind'], string> = {
  doctor: 'Принимает',
  room: 'Кабинет',
  equipment: 'Оборудование',
};

/** Whom a cell is kept for, beside its hours; the service's own words are long. */
export const restriction: Record<Slot['restriction'], string> = {
  none: '',
  adults: 'для взрослых',
  children: 'для детей',
  infants: 'до 1 года',
  disabled: 'для пациентов с инвалидностью',
  pregnant: 'для беременных',
  healthy_children: 'для здоровых детей',
};

/** «Консультация: Терапия» */
export function purpose({ type, speciality }: { type: 'Consult' | 'Laboratory'; speciality: Speciality }): string {
  const name = speciality.name || (speciality.code && `специальность ${speciality.code}`);
  return [type === 'Consult' ? 'Консультация' : 'Исследование', name].filter(Boolean).join(': ');
}
