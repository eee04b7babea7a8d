package e2e_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/test/harness"
)

// Promise: a body that breaks the contract is refused in Russian, naming the field where there is one; nothing changes, and the log holds neither the
// token nor anything of the body.
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
		"no body":                  {"", malformed("тело запроса пустое")},
		"blank":                    {" \r\n\t", malformed("тело запроса пустое")},
		"null":                     {"null", malformed("ожидается объект")},
		"an array":                 {"[" + valid() + "]", malformed("ожидается объект")},
		"a string":                 {`"x"`, malformed("ожидается объект")},
		"broken":                   {`{"SlotId":1`, unreadable},
		"single quotes":            {`{'SlotId':1}`, unreadable},
		"a comment":                {`{} // x`, malformed("после объекта есть лишние данные")},
		"trailing object":          {valid() + "{}", malformed("после объекта есть лишние данные")},
		"trailing garbage":         {valid() + "x", malformed("после объекта есть лишние данные")},
		"a key twice":              {strings.Replace(valid(), "{", `{"SlotId":1,`, 1), malformed("ключ SlotId указан дважды")},
		"a key in another case":    {strings.Replace(valid(), "{", `{"slotid":2,`, 1), "Поле slotid: неизвестное поле"},
		"an unknown key":           {valid(harness.Fields{"Foo": 1}), "Поле Foo: неизвестное поле"},
		"an escaped key twice":     {strings.Replace(valid(), "{", `{"Slot\u0049d":1,`, 1), malformed("ключ SlotId указан дважды")},
		"invalid UTF-8":            {strings.Replace(valid(), "{", "{\"VisitComment\":\"\xff\",", 1), unreadable},
		"a lone surrogate":         {strings.Replace(valid(), "{", `{"VisitComment":"\ud800",`, 1), unreadable},
		"NUL":                      {valid(harness.Fields{"VisitComment": "a\x00b"}), "Поле VisitComment: недопустимые символы"},
		"nested too deep":          {strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), unreadable},
		"DirectionGuid missing":    {valid(harness.Fields{"DirectionGuid": nil}), "Поле DirectionGuid: обязательное поле не указано"},
		"DirectionType missing":    {valid(harness.Fields{"DirectionType": nil}), "Поле DirectionType: обязательное поле не указано"},
		"LpuFromGuid missing":      {valid(harness.Fields{"LpuFromGuid": nil}), "Поле LpuFromGuid: обязательное поле не указано"},
		"LpuToGuid missing":        {valid(harness.Fields{"LpuToGuid": nil}), "Поле LpuToGuid: обязательное поле не указано"},
		"several missing":          {`{}`, "Поле DirectionGuid: обязательное поле не указано"},
		"DirectionGuid null":       {strings.Replace(valid(harness.Fields{"DirectionGuid": nil}), "{", `{"DirectionGuid":null,`, 1), "Поле DirectionGuid: " + notAGuid},
		"DirectionGuid no guid":    {valid(harness.Fields{"DirectionGuid": "x"}), "Поле DirectionGuid: " + notAGuid},
		"DirectionGuid a number":   {valid(harness.Fields{"DirectionGuid": 1}), "Поле DirectionGuid: " + notAGuid},
		"DirectionGuid in braces":  {valid(harness.Fields{"DirectionGuid": "{" + sc.Direction.String() + "}"}), "Поле DirectionGuid: " + notAGuid},
		"DirectionGuid as a urn":   {valid(harness.Fields{"DirectionGuid": "urn:uuid:" + sc.Direction.String()}), "Поле DirectionGuid: " + notAGuid},
		"DirectionGuid zero":       {valid(harness.Fields{"DirectionGuid": zero}), "Поле DirectionGuid: нулевой guid недопустим"},
		"LpuFromGuid zero":         {valid(harness.Fields{"LpuFromGuid": zero}), "Поле LpuFromGuid: нулевой guid недопустим"},
		"LpuToGuid zero":           {valid(harness.Fields{"LpuToGuid": zero}), "Поле LpuToGuid: нулевой guid недопустим"},
		"a key like a placeholder": {valid(harness.Fields{"{Problem}": 1}), "Поле {Problem}: неизвестное поле"},
		"DirectionType a number":   {valid(harness.Fields{"DirectionType": 1}), "Поле DirectionType: ожидается строка"},
		"no id of a cell":          {valid(harness.Fields{"SlotId": nil}), "Поле SlotId: обязательно указание одного из идентификаторов ячейки расписания: SlotId или SlotGuid"},
		"SlotGuid no guid":         {valid(harness.Fields{"SlotId": nil, "SlotGuid": "c2ab84d4-bfal-4965-a4a9-48c8306a0a84"}), "Поле SlotGuid: " + notAGuid},
		"SlotGuid without dashes":  {valid(harness.Fields{"SlotId": nil, "SlotGuid": strings.ReplaceAll(sc.Slots[0].String(), "-", "")}), "Поле SlotGuid: " + notAGuid},
		"SlotGuid zero":            {valid(harness.Fields{"SlotId": nil, "SlotGuid": zero}), "Поле SlotGuid: нулевой guid недопустим"},
		"SlotGuid a number":        {valid(harness.Fields{"SlotGuid": 5}), "Поле SlotGuid: ожидается строка"},
		"SlotId a string":          {valid(harness.Fields{"SlotId": "14527455"}), "Поле SlotId: ожидается целое число"},
		"SlotId a fraction":        {valid(harness.Fields{"SlotId": 1.5}), "Поле SlotId: ожидается целое число"},
		"SlotId as a fraction":     {valid(harness.Fields{"SlotId": json.Number("14527457.0")}), "Поле SlotId: ожидается целое число"},
		"SlotId 0":                 {valid(harness.Fields{"SlotId": 0}), "Поле SlotId: значение должно быть не меньше 1"},
		"SlotId negative":          {valid(harness.Fields{"SlotId": -1}), "Поле SlotId: значение должно быть не меньше 1"},
		"SlotId over int64":        {valid(harness.Fields{"SlotId": json.Number("9223372036854775808")}), "Поле SlotId: значение должно быть не больше 9007199254740991"},
		"SlotId of 400 digits":     {valid(harness.Fields{"SlotId": json.Number("1" + strings.Repeat("0", 400))}), ""},
		"Difficulty 0":             {valid(harness.Fields{"Difficulty": 0}), "Поле Difficulty: значение должно быть не меньше 1"},
		"Difficulty -1":            {valid(harness.Fields{"Difficulty": -1}), "Поле Difficulty: значение должно быть не меньше 1"},
		"Difficulty 17":            {valid(harness.Fields{"Difficulty": 17}), "Поле Difficulty: значение должно быть не больше 16"},
		"Difficulty a billion":     {valid(harness.Fields{"Difficulty": 1_000_000_000}), "Поле Difficulty: значение должно быть не больше 16"},
		"Difficulty over int32":    {valid(harness.Fields{"Difficulty": int64(1) << 40}), "Поле Difficulty: ожидается целое число от 1 до 16"},
		"VisitComment too long":    {valid(harness.Fields{"VisitComment": strings.Repeat("ж", 1001)}), "Поле VisitComment: длина должна быть не больше 1000 символов"},
		"IsCito a string":          {valid(harness.Fields{"IsCito": "true"}), "Поле IsCito: ожидается true или false"},
		"OutOfSchedule a number":   {valid(harness.Fields{"OutOfSchedule": 1}), "Поле OutOfSchedule: ожидается true или false"},
		"DocPrvdGuid missing":      {valid(sc.OutOfSchedule("2019-08-21"), harness.Fields{"DocPrvdGuid": nil}), "Поле DocPrvdGuid: обязательное поле не указано"},
		"DocPrvdGuid no guid":      {valid(sc.OutOfSchedule("2019-08-21"), harness.Fields{"DocPrvdGuid": "x"}), "Поле DocPrvdGuid: " + notAGuid},
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
			require.EqualValues(t, "Validation", a.Refusal.Type)
			require.Contains(t, []string{"body_malformed", "field_invalid"}, string(a.Refusal.Rule))
			if bad.message != "" {
				require.Equal(t, bad.message, a.Refusal.Message)
			}
		})
	}
	require.Equal(t, before, sc.Snapshot())
	sc.RequireNoSecretsInLog()
}

// Promise: what is at a bound is accepted.
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
		a := sc.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + i, "DirectionGuid": direction, "DirectionType": "Laboratory"}, changes)
		require.Equal(t, 200, a.StatusCode, "%d: %s", i, a.Raw)
	}
	sc.TryBook(harness.Fields{"SlotId": 9007199254740991}).RequireRefusal(t, "slot_not_found")
	sc.TryBook(harness.Fields{"DirectionType": strings.Repeat("x", 1000)}).RequireRefusal(t, "direction_type_unsupported")
	sc.TryBook(harness.Fields{"Difficulty": 16}).RequireRefusal(t, "slot_full")
}

// Promise: a body that is not plain JSON is refused by its headers.
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
		"a gzip bomb":     {http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, bomb.Bytes(), 415},
		"a hidden bomb":   {http.Header{"Content-Type": {"application/json"}}, bomb.Bytes()[:60<<10%bomb.Len()], 400},
		"with charset":    {http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, text, 200},
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

// zeros is an endless stream.
type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Promise: an anonymous client cannot make the service read its body, and nobody can make it read more than 64 KiB.
func TestLargeBodiesAreNotRead(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	for name, attempt := range map[string]struct {
		authorization string
		announced     bool
		rule          string
	}{
		"anonymous, announced":   {"", true, "token_missing"},
		"anonymous, in chunks":   {"", false, "token_missing"},
		"with token, announced":  {"Bearer " + sc.Token(sc.Person), true, "body_too_large"},
		"with token, in chunks":  {"Bearer " + sc.Token(sc.Person), false, "body_too_large"},
		"a bad token, in chunks": {"Bearer x", false, "token_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			size := int64(10 << 20)
			if attempt.rule == "body_too_large" && !attempt.announced {
				size = 200 << 10 // more than that, and the refusal may reach a client too late that is still writing
			}
			var sent atomic.Int64
			body := io.TeeReader(io.LimitReader(zeroReader{}, size), byteCounter{&sent})
			request := sc.NewRequest(http.MethodPost, "/appointments", body)
			if attempt.announced {
				request.ContentLength = size
			}
			request.Header.Set("Content-Type", "application/json")
			if attempt.authorization != "" {
				request.Header.Set("Authorization", attempt.authorization)
			}
			// The client asks before it sends, as curl does with a body of this size.
			request.Header.Set("Expect", "100-continue")
			patient := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 10 * time.Second}}
			response, err := patient.Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			raw, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			harness.ValidateResponse(t, request, response, raw)
			require.Contains(t, string(raw), attempt.rule)
			// What lies in the buffers of sockets has been sent, though nobody read it.
			require.Less(t, sent.Load(), int64(4<<20))
			if attempt.rule != "body_too_large" {
				require.Zero(t, sent.Load(), "not a byte was asked for")
			}
		})
	}
}

type byteCounter struct{ n *atomic.Int64 }

func (c byteCounter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// Promise: each bad token gets its documented answer, before anything else of the request is looked at; the database is unchanged and the log discreet.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Check = harness.PlainCheck
	before := sc.Snapshot()
	good := sc.Token(sc.Person)
	claims := func(changes jwt.MapClaims) jwt.MapClaims {
		all := jwt.MapClaims{
			"iss": "issuer", "aud": "talon", "sub": sc.Person.String(), "client_application": harness.ClientGuid.String(),
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
	// Signed by a stranger, so that a claim that passes would show as a wrong signature.
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
		"no header":               {nil, "token_missing"},
		"an empty header":         {[]string{""}, "token_missing"},
		"Bearer alone":            {[]string{"Bearer"}, "token_missing"},
		"Bearer and a space":      {[]string{"Bearer "}, "token_missing"},
		"another scheme":          {[]string{"Basic " + good}, "token_missing"},
		"no scheme":               {[]string{good}, "token_missing"},
		"two headers":             {[]string{"Bearer " + good, "Bearer " + good}, "token_missing"},
		"garbage":                 {[]string{"Bearer a.b.c"}, "token_invalid"},
		"1 MiB":                   {[]string{"Bearer " + strings.Repeat("a", 1<<20)}, "token_invalid"},
		"alg none":                {[]string{sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil), "")}, "token_invalid"},
		"alg HS256":               {[]string{sign(jwt.SigningMethodHS256, []byte(strings.Repeat("k", 32)), claims(nil), "")}, "token_invalid"},
		"without iss":             {with(jwt.MapClaims{"iss": nil}), "token_invalid"},
		"without aud":             {with(jwt.MapClaims{"aud": nil}), "token_invalid"},
		"without sub":             {with(jwt.MapClaims{"sub": nil}), "token_invalid"},
		"without exp":             {with(jwt.MapClaims{"exp": nil}), "token_invalid"},
		"without iat":             {with(jwt.MapClaims{"iat": nil}), "token_invalid"},
		"without client":          {with(jwt.MapClaims{"client_application": nil}), "token_invalid"},
		"sub no guid":             {with(jwt.MapClaims{"sub": "patient"}), "token_invalid"},
		"sub the zero guid":       {with(jwt.MapClaims{"sub": uuid.Nil.String()}), "token_invalid"},
		"another issuer":          {with(jwt.MapClaims{"iss": "somebody"}), "token_invalid"},
		"another audience":        {with(jwt.MapClaims{"aud": "somebody"}), "token_invalid"},
		"not valid yet":           {with(jwt.MapClaims{"nbf": harness.Moment.Add(61 * time.Second).Unix()}), "token_invalid"},
		"expired":                 {with(jwt.MapClaims{"exp": harness.Moment.Add(-61 * time.Second).Unix()}), "token_expired"},
		"expired within leeway":   {with(jwt.MapClaims{"exp": harness.Moment.Add(-59 * time.Second).Unix()}), "token_signature_invalid"},
		"signed by a stranger":    {with(nil), "token_signature_invalid"},
		"a foreign key id":        {[]string{sign(jwt.SigningMethodES256, stranger, claims(nil), "foreign")}, "token_signature_invalid"},
		"a signature of no bytes": {[]string{"Bearer " + good[:strings.LastIndexByte(good, '.')+1]}, "token_signature_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			sc.Post("not even JSON", attempt.authorization...).RequireRefusal(t, attempt.rule)
		})
	}
	require.Equal(t, before, sc.Snapshot())
	sc.RequireNoSecretsInLog()
}

// Promise: a path or a method that does not exist is answered in the one shape, too.
func TestUnknownRoutes(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	for _, path := range []string{"/appointments/", "//appointments", "/Appointments", "/docs/no-such-file", "/health", "/appointments/1/%00", "/%2e%2e/appointments"} {
		request := s.NewRequest(http.MethodPost, path, strings.NewReader("{}"))
		if strings.HasPrefix(path, "/docs/") {
			request = s.NewRequest(http.MethodGet, path, nil)
		}
		s.Do(request).RequireRefusal(t, "route_not_found")
	}
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "BREW"} {
		s.Do(s.NewRequest(method, "/appointments", nil)).RequireRefusal(t, "method_not_allowed")
	}
	// Others of these are fine at /appointments/{appointmentGuid}.
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		a := s.Do(s.NewRequest(method, "/appointments/check", nil))
		a.RequireRefusal(t, "method_not_allowed")
		require.Equal(t, "POST", a.Header.Get("Allow"))
	}
}

// Promise: requests above the bound are refused at once instead of waiting, while the health checks still answer.
func TestRequestsInFlightAreBounded(t *testing.T) {
	t.Parallel()
	sc := harness.StartWithMaxInFlight(t, 1)
	tx, err := sc.DB.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM slot FOR UPDATE`)
	require.NoError(t, err)
	answers := make(chan harness.Answer, 1)
	go func() { answers <- sc.TryBook() }()
	sc.WaitForBlocked(tx)

	sc.TryBook().RequireRefusal(t, "overloaded")
	require.Equal(t, 200, sc.Do(sc.NewRequest(http.MethodGet, "/health/live", nil)).StatusCode)
	require.Equal(t, 200, sc.Do(sc.NewRequest(http.MethodGet, "/health/ready", nil)).StatusCode)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, 200, (<-answers).StatusCode)
}

// Promise: clients that send their bodies slowly keep nobody else out.
func TestSlowBodiesDoNotBlockOthers(t *testing.T) {
	t.Parallel()
	sc := harness.StartWithMaxInFlight(t, 1)
	for range 4 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(sc.URL, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "POST /appointments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", sc.Token(sc.Person))
		require.NoError(t, err)
	}
	require.Equal(t, 200, sc.TryBook().StatusCode)
}

// Promise: a patient's data in a message of the database do not end in the log.
func TestDatabaseMessagesAreNotLogged(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.ExecScript(`CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the patient is %', NEW.person_guid; END $$;
		CREATE TRIGGER tell BEFORE INSERT ON appointment FOR EACH ROW EXECUTE FUNCTION tell()`)
	sc.TryBook().RequireRefusal(t, "internal_error")
	require.Contains(t, sc.Logs.String(), "P0001")
	sc.RequireNoSecretsInLog()
}

// Promise: a client that goes away does not leave a booking half done, nor a goroutine.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.HangUpAndStop()
	require.Equal(t, 0, sc.Count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM appointment) + (SELECT count(*) FROM speciality_claim)
		+ (SELECT count(*) FROM direction WHERE appointment_guid IS NOT NULL)`))
}
