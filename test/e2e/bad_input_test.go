package e2e_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/test/harness"
)

// Promise: a body that breaks the contract is rejected with a Russian message that names the field,
// if there is one. Nothing changes, and the log contains neither the token nor any part of the
// body.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Check = harness.PlainCheck
	before := sc.Snapshot()

	const notAGuid = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	const zero = "00000000-0000-0000-0000-000000000000"
	valid := func(changes ...harness.Fields) string {
		text, err := json.Marshal(sc.BookingBody(changes...))
		require.NoError(t, err)
		return string(text)
	}
	malformed := func(problem string) string {
		return "Тело запроса должно быть корректным объектом JSON: " + problem
	}
	unreadable := malformed("ошибка разбора JSON или текст не в UTF-8")
	for name, bad := range map[string]struct{ body, message string }{
		"no body":               {"", malformed("тело запроса пустое")},
		"blank":                 {" \r\n\t", malformed("тело запроса пустое")},
		"null":                  {"null", malformed("ожидается объект")},
		"an array":              {"[" + valid() + "]", malformed("ожидается объект")},
		"a string":              {`"x"`, malformed("ожидается объект")},
		"broken":                {`{"SlotId":1`, unreadable},
		"single quotes":         {`{'SlotId':1}`, unreadable},
		"a comment":             {`{} // x`, malformed("после объекта есть лишние данные")},
		"trailing object":       {valid() + "{}", malformed("после объекта есть лишние данные")},
		"trailing garbage":      {valid() + "x", malformed("после объекта есть лишние данные")},
		"a key twice":           {strings.Replace(valid(), "{", `{"SlotId":1,`, 1), malformed("ключ SlotId указан дважды")},
		"a key in another case": {strings.Replace(valid(), "{", `{"slotid":2,`, 1), "Поле slotid: неизвестное поле"},
		"an unknown key":        {valid(harness.Fields{"Foo": 1}), "Поле Foo: неизвестное поле"},
		"an escaped key twice": {
			strings.Replace(valid(), "{", `{"Slot\u0049d":1,`, 1), malformed("ключ SlotId указан дважды"),
		},
		"invalid UTF-8":         {strings.Replace(valid(), "{", "{\"VisitComment\":\"\xff\",", 1), unreadable},
		"a lone surrogate":      {strings.Replace(valid(), "{", `{"VisitComment":"\ud800",`, 1), unreadable},
		"NUL":                   {valid(harness.Fields{"VisitComment": "a\x00b"}), "Поле VisitComment: недопустимые символы"},
		"nested too deep":       {strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), unreadable},
		"DirectionGuid missing": {valid(harness.Fields{"DirectionGuid": nil}), "Поле DirectionGuid: обязательное поле не указано"},
		"DirectionType missing": {valid(harness.Fields{"DirectionType": nil}), "Поле DirectionType: обязательное поле не указано"},
		"LpuFromGuid missing":   {valid(harness.Fields{"LpuFromGuid": nil}), "Поле LpuFromGuid: обязательное поле не указано"},
		"LpuToGuid missing":     {valid(harness.Fields{"LpuToGuid": nil}), "Поле LpuToGuid: обязательное поле не указано"},
		"several missing":       {`{}`, "Поле DirectionGuid: обязательное поле не указано"},
		"DirectionGuid null": {
			strings.Replace(valid(harness.Fields{"DirectionGuid": nil}), "{", `{"DirectionGuid":null,`, 1),
			"Поле DirectionGuid: " + "не может быть null",
		},
		"DirectionGuid no guid":  {valid(harness.Fields{"DirectionGuid": "x"}), "Поле DirectionGuid: " + notAGuid},
		"DirectionGuid a number": {valid(harness.Fields{"DirectionGuid": 1}), "Поле DirectionGuid: " + notAGuid},
		"DirectionGuid in braces": {
			valid(harness.Fields{"DirectionGuid": "{" + sc.Direction.String() + "}"}),
			"Поле DirectionGuid: " + notAGuid,
		},
		"DirectionGuid as a urn": {
			valid(harness.Fields{"DirectionGuid": "urn:uuid:" + sc.Direction.String()}),
			"Поле DirectionGuid: " + notAGuid,
		},
		"DirectionGuid zero":       {valid(harness.Fields{"DirectionGuid": zero}), "Поле DirectionGuid: нулевой guid недопустим"},
		"LpuFromGuid zero":         {valid(harness.Fields{"LpuFromGuid": zero}), "Поле LpuFromGuid: нулевой guid недопустим"},
		"LpuToGuid zero":           {valid(harness.Fields{"LpuToGuid": zero}), "Поле LpuToGuid: нулевой guid недопустим"},
		"a key like a placeholder": {valid(harness.Fields{"{Problem}": 1}), "Поле {Problem}: неизвестное поле"},
		"DirectionType a number":   {valid(harness.Fields{"DirectionType": 1}), "Поле DirectionType: ожидается строка"},
		"no id of a cell":          {valid(harness.Fields{"SlotId": nil}), "Поле SlotId: обязательно указание одного из идентификаторов ячейки расписания: SlotId или SlotGuid"},
		"SlotGuid no guid": {
			valid(harness.Fields{"SlotId": nil, "SlotGuid": "c2ab84d4-bfal-4965-a4a9-48c8306a0a84"}),
			"Поле SlotGuid: " + notAGuid,
		},
		"SlotGuid without dashes": {
			valid(harness.Fields{"SlotId": nil, "SlotGuid": strings.ReplaceAll(sc.Slots[0].String(), "-", "")}),
			"Поле SlotGuid: " + notAGuid,
		},
		"SlotGuid zero":     {valid(harness.Fields{"SlotId": nil, "SlotGuid": zero}), "Поле SlotGuid: нулевой guid недопустим"},
		"SlotGuid a number": {valid(harness.Fields{"SlotGuid": 5}), "Поле SlotGuid: ожидается строка"},
		"SlotId a string":   {valid(harness.Fields{"SlotId": "14527455"}), "Поле SlotId: ожидается целое число"},
		"SlotId a fraction": {valid(harness.Fields{"SlotId": 1.5}), "Поле SlotId: ожидается целое число"},
		"SlotId as a fraction": {
			valid(harness.Fields{"SlotId": json.Number("14527457.0")}), "Поле SlotId: ожидается целое число",
		},
		"SlotId 0":               {valid(harness.Fields{"SlotId": 0}), "Поле SlotId: значение должно быть не меньше 1"},
		"SlotId negative":        {valid(harness.Fields{"SlotId": -1}), "Поле SlotId: значение должно быть не меньше 1"},
		"SlotId over int64":      {valid(harness.Fields{"SlotId": json.Number("9223372036854775808")}), "Поле SlotId: значение должно быть не больше 9007199254740991"},
		"SlotId of 400 digits":   {valid(harness.Fields{"SlotId": json.Number("1" + strings.Repeat("0", 400))}), ""},
		"Difficulty 0":           {valid(harness.Fields{"Difficulty": 0}), "Поле Difficulty: значение должно быть не меньше 1"},
		"Difficulty -1":          {valid(harness.Fields{"Difficulty": -1}), "Поле Difficulty: значение должно быть не меньше 1"},
		"Difficulty 17":          {valid(harness.Fields{"Difficulty": 17}), "Поле Difficulty: значение должно быть не больше 16"},
		"Difficulty a billion":   {valid(harness.Fields{"Difficulty": 1_000_000_000}), "Поле Difficulty: значение должно быть не больше 16"},
		"Difficulty over int32":  {valid(harness.Fields{"Difficulty": int64(1) << 40}), "Поле Difficulty: ожидается целое число от 1 до 16"},
		"VisitComment too long":  {valid(harness.Fields{"VisitComment": strings.Repeat("ж", 1001)}), "Поле VisitComment: длина должна быть не больше 1000 символов"},
		"IsCito a string":        {valid(harness.Fields{"IsCito": "true"}), "Поле IsCito: ожидается true или false"},
		"OutOfSchedule a number": {valid(harness.Fields{"OutOfSchedule": 1}), "Поле OutOfSchedule: ожидается true или false"},
		"DocPrvdGuid missing":    {valid(sc.OutOfSchedule("2019-08-21"), harness.Fields{"DocPrvdGuid": nil}), "Поле DocPrvdGuid: обязательное поле не указано"},
		"DocPrvdGuid no guid": {
			valid(sc.OutOfSchedule("2019-08-21"), harness.Fields{"DocPrvdGuid": "x"}), "Поле DocPrvdGuid: " + notAGuid,
		},
		"DocPrvdGuid zero":         {valid(sc.OutOfSchedule("2019-08-21"), harness.Fields{"DocPrvdGuid": zero}), "Поле DocPrvdGuid: нулевой guid недопустим"},
		"Date missing":             {valid(sc.OutOfSchedule(""), harness.Fields{"Date": nil}), "Поле Date: обязательное поле не указано"},
		"Date empty":               {valid(sc.OutOfSchedule("")), "Поле Date: ожидается дата (2006-01-02) или дата и время (2006-01-02T15:04:05+03:00)"},
		"Date nonsense":            {valid(sc.OutOfSchedule("завтра")), "Поле Date: ожидается дата (2006-01-02) или дата и время (2006-01-02T15:04:05+03:00)"},
		"Date on 31 February":      {valid(sc.OutOfSchedule("2020-02-31")), "Поле Date: ожидается дата (2006-01-02) или дата и время (2006-01-02T15:04:05+03:00)"},
		"Date at 25 o'clock":       {valid(sc.OutOfSchedule("2019-08-21T25:00:00")), "Поле Date: ожидается дата (2006-01-02) или дата и время (2006-01-02T15:04:05+03:00)"},
		"Date in the year 9999":    {valid(sc.OutOfSchedule("9999-12-31")), "Поле Date: дата должна быть не позже чем через 366 дней"},
		"Date in the year 9999, Z": {valid(sc.OutOfSchedule("9999-12-31T23:59:59-23:59")), "Поле Date: дата должна быть не позже чем через 366 дней"},
		"Date a second too far":    {valid(sc.OutOfSchedule("2020-08-20T17:52:15+03:00")), "Поле Date: дата должна быть не позже чем через 366 дней"},
		"Date too long":            {valid(sc.OutOfSchedule(strings.Repeat("2", 101))), "Поле Date: длина должна быть не больше 100 символов"},
		"Date a number":            {valid(sc.OutOfSchedule(""), harness.Fields{"Date": 20190821}), "Поле Date: ожидается строка"},
	} {
		t.Run(name, func(t *testing.T) {
			a := sc.Book(sc.Person, bad.body)
			require.Equal(t, 400, a.StatusCode, "%s", a.Raw)
			require.Equal(t, "4000", a.Refusal.MessageCode)
			require.Equal(t, "Validation", a.Refusal.Type)
			require.Contains(t, []string{"body_malformed", "field_invalid"}, a.Refusal.Rule)
			if bad.message != "" {
				require.Equal(t, bad.message, a.Refusal.Message)
			}
		})
	}
	require.Equal(t, before, sc.Snapshot())
	sc.RequireNoSecretsInLog()
}

// Promise: values at the bounds are accepted.
func TestBoundsAreInclusive(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	for i, changes := range []harness.Fields{
		{"VisitComment": strings.Repeat("ж", 1000)},
		{"VisitComment": strings.Repeat("😀", 1000)},
		{"Difficulty": 1},
	} {
		direction := uuid.New()
		sc.AddDirection(direction, "Laboratory")
		a := sc.TryBook(harness.Fields{
			"SlotId": harness.FirstSlotID + i, "DirectionGuid": direction, "DirectionType": "Laboratory",
		}, changes)
		require.Equal(t, 200, a.StatusCode, "%d: %s", i, a.Raw)
	}
	sc.TryBook(harness.Fields{"SlotId": 9007199254740991}).RequireRefusal(t, "slot_not_found")
	longType := harness.Fields{"DirectionType": strings.Repeat("x", 100)}
	sc.TryBook(longType).RequireRefusal(t, "direction_type_unsupported")
	sc.TryBook(harness.Fields{"Difficulty": 16}).RequireRefusal(t, "slot_full")
}

// Promise: a body that is not plain JSON is rejected because of its headers.
func TestMediaTypes(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	text, err := json.Marshal(sc.BookingBody())
	require.NoError(t, err)
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	_, err = io.CopyN(zip, zeroReader{}, 20<<20)
	require.NoError(t, err)
	require.NoError(t, zip.Close())

	for name, attempt := range map[string]struct {
		headers http.Header
		body    []byte
		want    int
	}{
		"missing":         {nil, text, 415},
		"text":            {http.Header{"Content-Type": {"text/plain"}}, text, 415},
		"form":            {http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, text, 415},
		"broken":          {http.Header{"Content-Type": {"application/json; charset"}}, text, 415},
		"another charset": {http.Header{"Content-Type": {"application/json; charset=windows-1251"}}, text, 415},
		"a gzip bomb": {
			http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, bomb.Bytes(), 415,
		},
		"a hidden bomb": {http.Header{"Content-Type": {"application/json"}}, bomb.Bytes()[:60<<10%bomb.Len()], 400},
		"with charset":  {http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, text, 200},
	} {
		t.Run(name, func(t *testing.T) {
			request := sc.NewRequest(http.MethodPost, "/appointments", bytes.NewReader(attempt.body))
			if attempt.headers != nil {
				request.Header = attempt.headers.Clone()
			}
			request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
			require.Equal(t, attempt.want, sc.Do(request).StatusCode)
		})
	}
}

// zeroReader reads zero bytes without end.
type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Promise: each bad token gets its documented response, before anything else of the request is
// read. The database is unchanged, and the log contains no secrets.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Check = harness.PlainCheck
	before := sc.Snapshot()
	good := sc.Token(sc.Person)
	claims := func(changes jwt.MapClaims) jwt.MapClaims {
		all := jwt.MapClaims{
			"iss": "issuer", "aud": "talon",
			"sub": sc.Person.String(), "client_application": harness.ClientGuid.String(),
			"iat": harness.Moment.Unix(), "exp": harness.Moment.Add(time.Hour).Unix(),
		}
		for name, value := range changes {
			if value == nil {
				delete(all, name)
			} else {
				all[name] = value
			}
		}
		return all
	}
	// The tokens are signed with an unknown key, so that an accepted claim shows as a wrong
	// signature.
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	sign := func(method jwt.SigningMethod, key any, claims jwt.MapClaims, kid string) string {
		token := jwt.NewWithClaims(method, claims)
		if kid != "" {
			token.Header["kid"] = kid
		}
		text, err := token.SignedString(key)
		require.NoError(t, err)
		return "Bearer " + text
	}
	with := func(changes jwt.MapClaims) []string {
		return []string{sign(jwt.SigningMethodES256, stranger, claims(changes), "")}
	}
	for name, attempt := range map[string]struct {
		authorization []string
		rule          string
	}{
		"no header":          {nil, "token_missing"},
		"an empty header":    {[]string{""}, "token_missing"},
		"Bearer alone":       {[]string{"Bearer"}, "token_missing"},
		"Bearer and a space": {[]string{"Bearer "}, "token_missing"},
		"another scheme":     {[]string{"Basic " + good}, "token_missing"},
		"no scheme":          {[]string{good}, "token_missing"},
		"two headers":        {[]string{"Bearer " + good, "Bearer " + good}, "token_missing"},
		"garbage":            {[]string{"Bearer a.b.c"}, "token_invalid"},
		"16 KiB":             {[]string{"Bearer " + strings.Repeat("a", 16<<10)}, "token_invalid"},
		"alg none": {
			[]string{sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil), "")}, "token_invalid",
		},
		"alg HS256": {
			[]string{sign(jwt.SigningMethodHS256, []byte(strings.Repeat("k", 32)), claims(nil), "")}, "token_invalid",
		},
		"without iss":       {with(jwt.MapClaims{"iss": nil}), "token_invalid"},
		"without aud":       {with(jwt.MapClaims{"aud": nil}), "token_invalid"},
		"without sub":       {with(jwt.MapClaims{"sub": nil}), "token_invalid"},
		"without exp":       {with(jwt.MapClaims{"exp": nil}), "token_invalid"},
		"without iat":       {with(jwt.MapClaims{"iat": nil}), "token_invalid"},
		"without client":    {with(jwt.MapClaims{"client_application": nil}), "token_invalid"},
		"sub no guid":       {with(jwt.MapClaims{"sub": "patient"}), "token_invalid"},
		"sub the zero guid": {with(jwt.MapClaims{"sub": uuid.Nil.String()}), "token_invalid"},
		"another issuer":    {with(jwt.MapClaims{"iss": "somebody"}), "token_invalid"},
		"another audience":  {with(jwt.MapClaims{"aud": "somebody"}), "token_invalid"},
		"not valid yet":     {with(jwt.MapClaims{"nbf": harness.Moment.Add(61 * time.Second).Unix()}), "token_invalid"},
		"expired": {
			with(jwt.MapClaims{"exp": harness.Moment.Add(-61 * time.Second).Unix()}), "token_expired",
		},
		"expired within leeway": {
			with(jwt.MapClaims{"exp": harness.Moment.Add(-59 * time.Second).Unix()}), "token_signature_invalid",
		},
		"signed by a stranger": {with(nil), "token_signature_invalid"},
		"a foreign key id": {
			[]string{sign(jwt.SigningMethodES256, stranger, claims(nil), "foreign")}, "token_signature_invalid",
		},
		"a signature of no bytes": {
			[]string{"Bearer " + good[:strings.LastIndexByte(good, '.')+1]}, "token_signature_invalid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			sc.Post("not even JSON", attempt.authorization...).RequireRefusal(t, attempt.rule)
		})
	}
	require.Equal(t, before, sc.Snapshot())
	sc.RequireNoSecretsInLog()
}

// Promise: an unknown path or method gets an error of the documented shape.
func TestUnknownRoutes(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	for _, path := range []string{
		"/appointments/", "//appointments", "/Appointments", "/docs/no-such-file", "/health",
		"/appointments/1/%00", "/%2e%2e/appointments",
	} {
		request := s.NewRequest(http.MethodPost, path, strings.NewReader("{}"))
		if strings.HasPrefix(path, "/docs/") {
			request = s.NewRequest(http.MethodGet, path, nil)
		}
		s.Do(request).RequireRefusal(t, "route_not_found")
	}
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "BREW"} {
		s.Do(s.NewRequest(method, "/appointments", nil)).RequireRefusal(t, "method_not_allowed")
	}
	// Other methods than POST are allowed at /appointments/{appointmentGuid}.
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		a := s.Do(s.NewRequest(method, "/appointments/check", nil))
		a.RequireRefusal(t, "method_not_allowed")
		require.Equal(t, "POST", a.Header.Get("Allow"))
	}
}

// Promise: of several unknown keys the alphabetically first is named, so that equal requests get
// equal responses. A long key is truncated.
func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	for range 20 {
		a := sc.TryBook(harness.Fields{"H": 1, "G": 1, "F": 1, "E": 1, "D": 1, "C": 1, "B": 1, "Aa": 1})
		require.Equal(t, "Поле Aa: неизвестное поле", a.Refusal.Message)
	}
	long := strings.Repeat("ж", 10_000)
	a := sc.TryBook(harness.Fields{long: 1})
	require.Equal(t, "Поле "+strings.Repeat("ж", 50)+"…: неизвестное поле", a.Refusal.Message)
	a = sc.Book(sc.Person, `{"`+long+`":1,"`+long+`":1}`)
	require.Equal(t, "Тело запроса должно быть корректным объектом JSON: ключ "+strings.Repeat("ж", 50)+"… указан дважды", a.Refusal.Message)
}
