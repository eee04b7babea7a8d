package booking

import "fmt"

// Problems of a field, a parameter or the body, in Russian. They follow «Поле SlotGuid: » in
// field_invalid and the colon in body_malformed.
const (
	ProblemMissing       = "обязательное поле не указано"
	ProblemEmpty         = "значение не указано"
	ProblemRepeated      = "значение указано больше одного раза"
	ProblemUnknown       = "неизвестное поле"
	ProblemNull          = "не может быть null"
	ProblemCharacters    = "недопустимые символы"
	ProblemOther         = "недопустимое значение"
	ProblemNotInteger    = "ожидается целое число"
	ProblemNotBoolean    = "ожидается true или false"
	ProblemNotString     = "ожидается строка"
	ProblemNotGuid       = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	ProblemZeroGuid      = "нулевой guid недопустим"
	ProblemNotDay        = "ожидается дата (2006-01-02)"
	ProblemNotMoment     = "ожидается дата и время со смещением (2006-01-02T15:04:05+03:00)"
	ProblemNotVisitDate  = "ожидается дата (2006-01-02) или дата и время (2006-01-02T15:04:05+03:00)"
	ProblemTooFarAhead   = "дата должна быть не позже чем через 366 дней"
	ProblemSkippedTime   = "в этот день часы переводят вперед, и такого времени нет"
	ProblemAfterDateTo   = "дата должна быть не позже dateTo"
	ProblemEmptyPeriod   = "конец периода должен быть позже его начала"
	ProblemNotCursor     = "ожидается значение next предыдущей страницы"
	ProblemNoSlot        = "обязательно указание одного из идентификаторов ячейки расписания: SlotId или SlotGuid"
	ProblemNoEvidence    = "обязательно указание personguid, или mkab, или n_pol и Birthday, или epgu, snils, f и n"
	ProblemTwoEvidences  = "указано больше одного способа определить пациента"
	ProblemNotEpgu       = "вместе с snils, f, n и p ожидается true"
	ProblemLpuMissing    = "обязательно указание ЛПУ: в направлении оно не указано"
	ProblemLpuUnknown    = "ЛПУ не найдено"
	ProblemLpuOther      = "ЛПУ не принадлежит юр лицу, в которое выдано направление"
	ProblemBodyEmpty     = "тело запроса пустое"
	ProblemBodyCutOff    = "тело запроса получено не полностью"
	ProblemBodyNotObject = "ожидается объект"
	ProblemBodyTrailing  = "после объекта есть лишние данные"
	ProblemBodySyntax    = "ошибка разбора JSON или текст не в UTF-8"
	ProblemBodyOther     = "запрос не соответствует описанию"
)

// ProblemBelow names the least value allowed.
func ProblemBelow(least float64) string {
	return fmt.Sprintf("значение должно быть не меньше %.0f", least)
}

// ProblemAbove names the greatest value allowed.
func ProblemAbove(greatest float64) string {
	return fmt.Sprintf("значение должно быть не больше %.0f", greatest)
}

// ProblemOutside names the range of an integer that its type does not hold.
func ProblemOutside(least, greatest float64) string {
	return fmt.Sprintf("ожидается целое число от %.0f до %.0f", least, greatest)
}

// ProblemTooLong names the greatest length allowed, in characters.
func ProblemTooLong(most uint64) string {
	return fmt.Sprintf("длина должна быть не больше %d символов", most)
}

// ProblemTooMany names the greatest number of values allowed.
func ProblemTooMany(most uint64) string {
	return fmt.Sprintf("значений должно быть не больше %d", most)
}

// ProblemNotOneOf names the values allowed, separated by commas.
func ProblemNotOneOf(values string) string {
	return "ожидается одно из значений: " + values
}

// ProblemDuplicateKey names a key that an object of the body has twice.
func ProblemDuplicateKey(key string) string { return "ключ " + key + " указан дважды" }

// ProblemPeriod names the longest period that can be searched, in days.
func ProblemPeriod(days int) string {
	return fmt.Sprintf("период должен быть не больше %d дней", days)
}

// ProblemLpuChoice asks for an institution where a legal entity has more of them than one search
// covers.
func ProblemLpuChoice(most int) string {
	return fmt.Sprintf("обязательно указание ЛПУ: у юр лица их больше %d", most)
}
