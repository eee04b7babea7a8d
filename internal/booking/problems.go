package booking

import "fmt"

// Problem is what is wrong with a field or a parameter of the request.
type Problem struct {
	Code string // stable, from the schema FieldProblem of the contract
	Text string // in Russian; it follows «Поле SlotGuid: » in the message
}

// The problems of a field or a parameter.
var (
	ProblemMissing       = Problem{"required", "обязательное поле не указано"}
	ProblemEmpty         = Problem{"empty", "значение не указано"}
	ProblemRepeated      = Problem{"repeated", "значение указано больше одного раза"}
	ProblemUnknown       = Problem{"unknown", "неизвестное поле"}
	ProblemNull          = Problem{"null", "не может быть null"}
	ProblemCharacters    = Problem{"characters", "недопустимые символы"}
	ProblemOther         = Problem{"invalid", "недопустимое значение"}
	ProblemNotInteger    = Problem{"type", "ожидается целое число"}
	ProblemNotBoolean    = Problem{"type", "ожидается true или false"}
	ProblemNotString     = Problem{"type", "ожидается строка"}
	ProblemNotGuid       = Problem{"format", "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"}
	ProblemZeroGuid      = Problem{"zero_guid", "нулевой guid недопустим"}
	ProblemNotDay        = Problem{"format", "ожидается дата (2006-01-02)"}
	ProblemNotMoment     = Problem{"format", "ожидается дата и время со смещением (2006-01-02T15:04:05+03:00)"}
	ProblemNotVisitDate  = Problem{"format", "ожидается дата (2006-01-02) или дата и время (2006-01-02T15:04:05+03:00)"}
	ProblemTooFarAhead   = Problem{"too_far_ahead", "дата должна быть не позже чем через 366 дней"}
	ProblemSkippedTime   = Problem{"skipped_time", "в этот день часы переводят вперед, и такого времени нет"}
	ProblemAfterDateTo   = Problem{"period", "дата должна быть не позже dateTo"}
	ProblemEmptyPeriod   = Problem{"period", "конец периода должен быть позже его начала"}
	ProblemBusyType      = Problem{"busy_type_unknown", "тип занятости не найден"}
	ProblemYear          = Problem{"period", "год должен быть от 1900 до 2199"}
	ProblemDisplace      = Problem{"not_supported", "вытеснение записей (displace) в этой версии еще не поддерживается"}
	ProblemOutsideWindow = Problem{"period", "ячейка должна начинаться внутри периода"}
	ProblemNotCursor     = Problem{"cursor", "ожидается значение next предыдущей страницы"}
	ProblemNoSlot        = Problem{"required", "обязательно указание одного из идентификаторов ячейки расписания: SlotId или SlotGuid"}
	ProblemNoEvidence    = Problem{"required", "обязательно указание personguid, или mkab, или n_pol и Birthday, или epgu, snils, f и n"}
	ProblemTwoEvidences  = Problem{"conflict", "указано больше одного способа определить пациента"}
	ProblemTwoSecrets    = Problem{"conflict", "указано больше одного способа аутентификации"}
	ProblemNotEpgu       = Problem{"enum", "вместе с snils, f, n и p ожидается true"}
	ProblemLpuMissing    = Problem{"required", "обязательно указание ЛПУ: в направлении оно не указано"}
	ProblemLpuUnknown    = Problem{"lpu_unknown", "ЛПУ не найдено"}
	ProblemTimeZone      = Problem{"time_zone_unknown", "часовой пояс не найден"}
	ProblemEntityUnknown = Problem{"legal_entity_unknown", "юр лицо не найдено"}
	ProblemCodeTaken     = Problem{"code_taken", "код уже принадлежит другому ЛПУ"}
	ProblemSetting       = Problem{"setting_unknown", "такой настройки у этого владельца нет"}
	ProblemNotCSV        = Problem{"format", "ошибка разбора CSV"}
	ProblemOpenQuote     = Problem{"too_long", "запись длиннее 1 МиБ; возможно, не закрыта кавычка"}
	ProblemNoLines       = Problem{"empty", "в файле нет строк для загрузки"}
	ProblemNoColumn      = Problem{"required", "в заголовке CSV нет такой колонки"}
	ProblemDayDiffers    = Problem{"conflict", "значение должно быть одинаковым во всех строках дня"}
	ProblemUnsorted      = Problem{"unsorted", "строки одного ресурса и дня должны следовать друг за другом; отсортируйте файл по ресурсу и началу"}
	ProblemNotRegistry   = Problem{"format", "ожидается путь операции реестра, который начинается с /registry/"}
	ProblemNotImportable = Problem{"not_supported", "эта операция не может быть строкой загрузки"}
	ProblemCardUnknown   = Problem{"card_unknown", "медицинская карта не найдена"}
	ProblemCardClosed    = Problem{"card_closed", "медицинская карта закрыта"}
	ProblemCardSame      = Problem{"card_same", "карту нельзя объединить с ней самой"}
	ProblemPersonFixed   = Problem{"person_fixed", "карта принадлежит другой персоне"}
	ProblemPersonOther   = Problem{"person_other", "карты принадлежат разным персонам"}
	ProblemBeforeDate    = Problem{"period", "дата должна быть не раньше Date"}
	ProblemBeforeOpened  = Problem{"period", "дата должна быть не раньше OpenedOn"}
	ProblemLpuOther      = Problem{"lpu_foreign", "ЛПУ не принадлежит юр лицу, в которое выдано направление"}
	ProblemReason        = Problem{"conflict", "причина указывается только вместе с rejected"}
	ProblemCause         = Problem{"conflict", "причина не соответствует инициатору отмены"}
	ProblemNotWebhookURL = Problem{"format", "ожидается адрес https без имени пользователя и фрагмента, на который установка отправляет события"}
	ProblemNotDelivered  = Problem{"event_unknown", "события нет в журнале доставки"}
	ProblemNotKept       = Problem{"period", "время должно быть не в будущем и не раньше чем 30 дней назад"}
	ProblemNoEvents      = Problem{"required", "обязательно указание одного из полей: EventIds или Since"}
	ProblemTwoEvents     = Problem{"conflict", "указано больше одного способа выбрать события"}
)

// Problems of the body, in Russian. They follow the colon in body_malformed.
const (
	ProblemBodyEmpty     = "тело запроса пустое"
	ProblemBodyCutOff    = "тело запроса получено не полностью"
	ProblemBodyNotObject = "ожидается объект"
	ProblemBodyTrailing  = "после объекта есть лишние данные"
	ProblemBodySyntax    = "ошибка разбора JSON или текст не в UTF-8"
	ProblemBodyForm      = "ошибка разбора"
	ProblemBodyOther     = "запрос не соответствует описанию"
)

// ProblemBelow names the least value allowed.
func ProblemBelow(least float64) Problem {
	return problemf("too_small", "значение должно быть не меньше %.0f", least)
}

// ProblemAbove names the greatest value allowed.
func ProblemAbove(greatest float64) Problem {
	return problemf("too_large", "значение должно быть не больше %.0f", greatest)
}

// ProblemOutside names the range of an integer that its type does not hold.
func ProblemOutside(least, greatest float64) Problem {
	return problemf("type", "ожидается целое число от %.0f до %.0f", least, greatest)
}

// ProblemTooLong names the greatest length allowed, in characters.
func ProblemTooLong(most uint64) Problem {
	return problemf("too_long", "длина должна быть не больше %d символов", most)
}

// ProblemTooMany names the greatest number of values allowed.
func ProblemTooMany(most uint64) Problem {
	return problemf("too_many", "значений должно быть не больше %d", most)
}

// ProblemNotOneOf names the values allowed, separated by commas.
func ProblemNotOneOf(values string) Problem {
	return Problem{"enum", "ожидается одно из значений: " + values}
}

// ProblemDuplicateKey names a key that an object of the body has twice.
func ProblemDuplicateKey(key string) string { return "ключ " + key + " указан дважды" }

// ProblemPeriod names the longest period that can be searched, in days.
func ProblemPeriod(days int) Problem {
	return problemf("period", "период должен быть не больше %d дней", days)
}

// ProblemLpuChoice asks for an institution where a legal entity has more of them than one search
// covers.
func ProblemLpuChoice(most int) Problem {
	return problemf("required", "обязательно указание ЛПУ: у юр лица их больше %d", most)
}

func problemf(code, format string, values ...any) Problem {
	return Problem{code, fmt.Sprintf(format, values...)}
}
