package harness

import (
	"encoding/base64"
	"strings"

	"github.com/google/uuid"
)

// OddValues returns values that a client may send in a parameter, by mistake or on purpose.
func (sc *Scene) OddValues() []string {
	values := []string{
		"", " ", "x", "-1", "0", "1", "+1", " 1", "01", "1.0", "1e3", "100", "101", "0x10", "1_0", "2147483648",
		"9223372036854775808", strings.Repeat("9", 400),
		"true", "TRUE", "t", "null", "NaN", "undefined", "Consult", "consult", "Booked", "Booked,Expired",
		"2019-08-21", "2019-02-30", "2019-8-1", "20190821", "2019-08-21T08:45", "2019-08-21T08:45:00",
		"2019-08-21T08:45:00+03:00", "2019-08-21T08:45:00 03:00",
		"2019-08-21T08:45:00Z", "2019-02-30T08:45:00Z", "2019-08-21T25:00:00Z", "2019-08-21T24:00:00Z",
		"2019-08-21T08:45:60Z", "2019-08-21T08:45:00+99:99",
		"2019-08-21t08:45:00z", "2019-08-21T08:45:00,5Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59",
		"9999-12-31T23:59:59-23:59", "10000-01-01",
		uuid.NewString(), uuid.Nil.String(), sc.Direction.String(), strings.ToUpper(sc.To.String()),
		"{" + sc.To.String() + "}", "urn:uuid:" + sc.To.String(),
		strings.ReplaceAll(sc.To.String(), "-", ""), "\x00", "a\x00b", "\xff", "\u202e", "'; DROP TABLE slot; --", "%",
		"a;b", "a/b", "..", strings.Repeat("ж", 2000),
	}
	for _, cursor := range []string{
		`{}`, `[]`, `null`, `1`, `"x"`, `{"`, `{"x":1}`, `{"at":"x","guid":"x"}`,
		`{"at":"2019-08-21T08:45:00Z"}`, `{"at":"294277-01-01T00:00:00Z"}`,
	} {
		values = append(values, base64.RawURLEncoding.EncodeToString([]byte(cursor)),
			base64.StdEncoding.EncodeToString([]byte(cursor)))
	}
	return values
}
