// Labels of the contract's values in the language of the page.
import type { Speciality } from 'talon-sdk';
import { t } from './language.js';

/** Returns the label of a value. The contract may add values that have no label yet. */
export const labelOf = (labels: Record<string, string>, value: string) => labels[value] ?? value;

/** Returns the label of a referral's type. */
export const referralType = (type: string) => (type === 'Consult' ? t.consultation : t.examination);

/** Returns the title of a referral: «Консультация: Терапия». */
export function referralTitle({ type, speciality }: { type: string; speciality: Speciality }): string {
  const name = speciality.name || (speciality.code && t.speciality(speciality.code));
  return [referralType(type), name].filter(Boolean).join(': ');
}
