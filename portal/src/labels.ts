// The Russian labels of the contract's values.
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

/** The label before the name of a resource. The name of a doctor usually contains «врач». */
export const resourceKind: Record<Resource['kind'], string> = {
  doctor: 'Принимает',
  room: 'Кабинет',
  equipment: 'Оборудование',
};

/** The short label of a cell's restriction. The text of the service is too long for a button. */
export const restriction: Record<Slot['restriction'], string> = {
  none: '',
  adults: 'для взрослых',
  children: 'для детей',
  infants: 'до 1 года',
  disabled: 'для пациентов с инвалидностью',
  pregnant: 'для беременных',
  healthy_children: 'для здоровых детей',
};

/** Returns the title of a referral: «Консультация: Терапия». */
export function referralTitle({
  type,
  speciality,
}: {
  type: 'Consult' | 'Laboratory';
  speciality: Speciality;
}): string {
  const name = speciality.name || (speciality.code && `специальность ${speciality.code}`);
  return [type === 'Consult' ? 'Консультация' : 'Исследование', name].filter(Boolean).join(': ');
}
