package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	talon "talon.example"
	"talon.example/internal/booking"
)

// documented is the source's table «Возможные ошибки», row by row, with the rule of each. A
// response that the source lists twice is here twice.
var documented = []struct {
	status  int
	code    string
	message string
	kind    booking.Type
	rule    booking.Name
}{
	{403, "5010", `Запрос должен содержать 'Authorization: Bearer ...'`, "Error", TokenMissing},
	{403, "5008", `Токен некорректен`, "Error", TokenInvalid},
	{403, "5007", `Время действия токена истекло`, "Error", TokenExpired},
	{403, "5009", `Подпись запроса некорректна`, "Error", TokenSignatureInvalid},
	{404, "4001", `Ваша электронная медицинская карта отсутствует. Обратитесь в регистратуру медицинского учреждения.`, "Error", booking.MkabAbsent},
	{403, "5096", `Ваша электронная медицинская карта закрыта. Обратитесь в регистратуру медицинского учреждения.`, "Error", booking.MkabClosed},
	{400, "4000", `По указанному идентификатору ячейки расписания не найдено ресурса для записи`, "Validation", booking.SlotResourceNotFound},
	{400, "4000", `По указанному идентификатору не найдено ячейки расписания`, "Validation", booking.SlotNotFound},
	{400, "4000", `Невозможно записаться в заданную ячейку расписания`, "Validation", booking.SlotNotForReception},
	{400, "4000", `Неподдерживаемый тип направления`, "Validation", booking.DirectionTypeUnsupported},
	{400, "4000", `Направление не найдено`, "Validation", booking.DirectionNotFound},
	{400, "4000", `ЛПУ в направлении и запросе не принадлежат одному юр лицу`, "Validation", booking.DirectionLpuMismatch},
	{400, "4000", `У выбранного направления уже есть запись на прием`, "Validation", booking.DirectionAlreadyBooked},
	{400, "4000", `Направление {DirectionGuid} не принадлежит пациенту`, "Validation", booking.DirectionNotPatients},
	{400, "4000", `Специальность, указанная в направлении не совпадает со специальностью ресурса`, "Validation", booking.SpecialityMismatch},
	{400, "4000", `Запись на консультацию возможно только к врачу или в кабинет`, "Validation", booking.ResourceKindMismatch},
	{500, "5000", `Произошла ошибка при попытке создания записи на прием по направлению: не удалось сделать сложную ячейку`, "Error", booking.ComplexSlotFailed},
	{500, "5000", `Произошла ошибка при попытке создания записи на прием по направлению: операция создания не вернула идентификатор`, "Error", booking.AppointmentNotCreated},
	{500, "5000", `Произошла ошибка при попытке создания записи на прием по направлению: конечная запись не найдена`, "Error", booking.AppointmentNotFound},
	{500, "5000", `Произошла ошибка при попытке создания записи на прием по направлению: конечная запись не прикреплена к направлению`, "Error", booking.AppointmentNotLinked},
	{400, "4009", `Это время уже занято. Выберите другое свободное время приема.`, "Validation", booking.SlotTaken},
	{400, "4000", `Выбранная ячейка расписания уже занята.`, "Validation", booking.SlotFull},
	{400, "4000", `У выбранной ячейки расписания прошло время начала приема.`, "Validation", booking.SlotTimePassed},
	{400, "4000", `У вас не хватает прав для записи в выбранную ячейку расписания.`, "Validation", booking.SlotAccessDenied},
	{400, "4000", `Выбранная ячейка расписания недоступна.`, "Validation", booking.SlotUnavailable},
	{400, "4029", `Запись недоступна для лиц младше 18 лет. Сотрудниками учреждения было установлено ограничение по возрасту при записи на прием на выбранное время.`, "Validation", booking.SlotAdultsOnly},
	{400, "4029", `Запись недоступна для взрослых. Сотрудниками учреждения было установлено ограничение по возрасту при записи на прием на выбранное время.`, "Validation", booking.SlotChildrenOnly},
	{400, "4029", `Запись доступна только для детей до 1 года. Сотрудниками учреждения было установлено ограничение по возрасту при записи на прием на выбранное время.`, "Validation", booking.SlotInfantsOnly},
	{400, "4000", `Это время доступно для записи на прием только для пациентов с ограниченными возможностями.`, "Validation", booking.SlotDisabledOnly},
	{400, "4000", `Это время доступно для записи на прием только для беременных.`, "Validation", booking.SlotPregnantOnly},
	{400, "4029", `Запись недоступна для взрослых. Сотрудниками учреждения было установлено ограничение по возрасту при записи на прием на выбранное время.`, "Validation", booking.SlotChildrenOnly},
	{400, "4000", `Это время доступно для записи на прием только здоровых детей. У выбранного пациента имеется открытый случай лечения. Открыт {tapDate}`, "Validation", booking.SlotHealthyChildrenOnly},
	{400, "4008", `Вы уже записаны {actualAppointment.ResourceName} на {actualAppointment.Start.ToString("dd.MM.yyyy HH:mm")}. Запрещено иметь более одной активной записи на прием на одну специальность.`, "Validation", booking.SpecialityAlreadyBooked},
	{500, "5000", `Пациент не найден в МИПе`, "Error", booking.MipPersonNotFound},
	{500, "5000", `Данные персоны не найдены`, "Error", booking.MipPersonDataMissing},
	{500, "5000", `Произошла ошибка при попытке создания МКАБ: Номер полиса не может быть пуст.`, "Error", booking.MkabPolicyNumberEmpty},
	{500, "5000", `Произошла ошибка при попытке создания МКАБ: Пол не указан.`, "Error", booking.MkabSexEmpty},
	{500, "5000", `Произошла ошибка при попытке создания МКАБ. ЛПУ из настройки 'Код поликлиники' не найдено.`, "Error", booking.MkabLpuNotFound},
	{500, "5000", `Произошла ошибка при попытке создания МКАБ: Фамилия не должна быть пуста`, "Error", booking.MkabSurnameEmpty},
	{500, "5000", `Произошла ошибка при попытке создания МКАБ: Имя не должно быть пусто`, "Error", booking.MkabNameEmpty},
	{500, "5000", `Произошла ошибка при попытке создания связи полиса с МКАБ: Ссылка на МКАБ не должна быть пусто`, "Error", booking.MkabPolicyLinkFailed},
	{500, "5000", `Не удалось получить Ticket. Значение сервиса авторизации AuthUrl - пустое.`, "Error", booking.MipAuthURLEmpty},
	{500, "5000", `Не удалось получить Ticket. Адрес сервиса авторизации недоступен "..." - значение настройки \"AuthUrl\"`, "Error", booking.MipAuthURLUnreachable},
}

// Promise: each documented row is the response of a rule with exactly its code, message code, type
// and message. Every other rule is marked as ours.
func TestRulesAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	require.Len(t, documented, 43)
	byName := map[booking.Name]booking.Rule{}
	for _, rule := range Catalogue {
		require.NotContains(t, byName, rule.Name)
		byName[rule.Name] = rule
	}
	seen := map[booking.Name]bool{}
	for _, row := range documented {
		rule := byName[row.rule]
		// The dots are the setting's value, and the backslashes are an escape.
		message := strings.NewReplacer(`"..."`, `"{AuthUrl}"`, `\"`, `"`).Replace(row.message)
		if row.rule == TokenMissing {
			message = row.message // these dots are part of the message
		}
		require.Equal(t,
			booking.Rule{Name: row.rule, Status: row.status, Code: row.code, Type: row.kind, Message: message},
			booking.Rule{Name: rule.Name, Status: rule.Status, Code: rule.Code, Type: rule.Type, Message: rule.Message})
		seen[row.rule] = true
	}
	require.Len(t, seen, 42, "the source lists one response twice")
	for i, rule := range Catalogue {
		require.Equal(t, i, rule.Order, rule.Name)
		require.Equal(t, !seen[rule.Name], rule.Ours, rule.Name)
	}
}

// Promise: each rule has a group, a mender and possibly a field of the booking's body. The rules of
// a group are adjacent. A rule is retryable if its cause ends by itself.
func TestRulesAreDescribed(t *testing.T) {
	t.Parallel()
	groups := []booking.Group{
		booking.GroupToken, booking.GroupCaller, booking.GroupRequest,
		booking.GroupDirection, booking.GroupSlot, booking.GroupResource,
		booking.GroupRestriction, booking.GroupSpeciality, booking.GroupMkab, booking.GroupMip, booking.GroupWrite,
		booking.GroupKey,
		booking.GroupAbsent, booking.GroupAppointment, booking.GroupHold, booking.GroupRegistry, booking.GroupClinic,
		booking.GroupIdentity, booking.GroupService,
	}
	menders := []booking.Mender{
		booking.MenderPatient, booking.MenderRegistry, booking.MenderReferringDoctor, booking.MenderClient,
		booking.MenderService,
	}
	doc, err := talon.Document()
	require.NoError(t, err)
	bodyFields := doc.Components.Schemas["AppointmentRequest"].Value.Properties
	var met []booking.Group
	for _, rule := range Catalogue {
		met = append(met, rule.Group)
		require.Contains(t, menders, rule.Mender, rule.Name)
		if rule.Field != "" {
			require.Contains(t, bodyFields, rule.Field, rule.Name)
		}
		// These end by themselves: an outage, the earlier visit, the request that uses the key, a
		// hold, the period of counted failures, the days before the horizon, an import, the time
		// before a visit, and the time of a rate.
		passing := rule.Status == 503 || slices.Contains([]booking.Name{
			booking.MipAuthURLUnreachable, booking.SpecialityAlreadyBooked, booking.SlotBeyondHorizon,
			booking.IdempotencyKeyInUse, booking.TooManyHolds, booking.TooManyAttempts,
			booking.TooManyImports, booking.AttendanceEarly, booking.TooManyRequests,
		}, rule.Name)
		require.Equal(t, passing, rule.Retryable, rule.Name)
	}
	require.Equal(t, groups, slices.Compact(met))
}
